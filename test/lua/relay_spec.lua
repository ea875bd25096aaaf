-- wrapclient of objects that are no LuaSocket sockets: their bytes go through
-- their own receive and send.

local h = require "harness";
local T = require "tls_harness";
local socket = require "socket";
local ssl = require "ssl";
local backend = h.backend;

local function socket_pair()
	local listener = assert(socket.bind("127.0.0.1", 0));
	local sock = assert(socket.connect("127.0.0.1", h.port_of(listener)));
	local peer = assert(listener:accept());
	listener:close();
	sock:settimeout(0);
	return sock, peer;
end

-- A LuaSec socket after its handshake, and the peer at the other end
local function luasec_pair()
	local sock, accepted = socket_pair();
	local peer = h.wrap_peer(T.transport(accepted, { cert = "ec" }, "server"));
	local tls = assert(ssl.wrap(sock, assert(T.luasec_newcontext { mode = "client", protocol = "any", verify = "none" })));
	tls:settimeout(0);
	h.run_until(function ()
		peer:pump();
		return tls:dohandshake();
	end, "the handshake");
	return tls, peer;
end

-- A table around a socket that changes what passes. Its fields may be replaced.
local function shim(sock)
	local object = { sent = 0, received = 0 };
	function object.getfd() return sock:getfd(); end
	function object.dirty() return sock:dirty(); end
	function object.settimeout(_, t) return sock:settimeout(t); end
	function object.close() return sock:close(); end
	function object.getpeername() return sock:getpeername(); end
	function object.getsockname() return sock:getsockname(); end
	function object:send(data)
		self.sent = self.sent + 1;
		return sock:send(data:upper());
	end
	function object:receive(pattern)
		self.received = self.received + 1;
		local data, err, partial = sock:receive(pattern);
		return data and data:lower(), err, partial and partial:lower();
	end
	return object;
end

local function shim_pair()
	local sock, accepted = socket_pair();
	return shim(sock), h.wrap_peer(accepted);
end

-- What mod_inotify_reload makes: the descriptor can be read, but is never
-- writable, and is no socket.
local function fifo()
	local path = os.tmpname();
	os.remove(path);
	assert(os.execute(("mkfifo %s"):format(path)));
	local writer = assert(io.open(path, "r+"));
	writer:setvbuf("no");
	local reader = assert(io.open(path, "r"));
	local fd;
	for name in require "lfs".dir("/proc/self/fd") do
		if require "lfs".symlinkattributes("/proc/self/fd/" .. name, "target") == path then
			fd = math.max(fd or 0, tonumber(name));
		end
	end
	os.remove(path);
	local object = { closed = 0 };
	function object.getfd() return reader and fd or -1; end
	function object.dirty() return false; end
	function object.settimeout() end
	function object.send(_, data) return #data, 0; end
	function object.receive() return reader:read("*l"); end
	function object:close()
		self.closed = self.closed + 1;
		if reader then reader:close(); end
		reader = nil;
	end
	return object, writer;
end

local function wrap(object, rec, read_size)
	return h.track(assert(backend.wrapclient(object, "127.0.0.1", 1, rec.listeners, read_size or "*a")));
end

describe("wrapclient of a LuaSec socket", function ()
	before_each(h.start);
	after_each(h.finish);

	it("sends nothing beside its TLS", function ()
		local tls, peer = luasec_pair();
		local rec = h.recorder({ onconnect = function (conn) conn:write("hello"); end });
		local conn = wrap(tls, rec);
		h.run_until(function () return peer.bytes == 5; end, "the greeting");
		assert.equal("hello", peer:data());
		peer:send("world");
		rec:wait_bytes(5);
		assert.equal("world", rec:data());
		assert.equal(tls, conn:socket());
		assert.equal("127.0.0.1", conn:ip());
		assert.is_table(conn:socket():info());
		peer:close();
		rec:wait("ondisconnect");
		rec:expect("onconnect onincoming ondisconnect");
		assert.is_nil(conn:socket());
	end);

	it("moves much data, both ways", function ()
		local tls, peer = luasec_pair();
		local rec = h.recorder(nil, { "ondrain" });
		local conn = wrap(tls, rec, 4096);
		rec:wait("onconnect");
		local data = {};
		for i = 1, 20000 do
			data[i] = ("%06d %s\n"):format(i, ("x"):rep(i % 50));
			conn:write(data[i]);
		end
		data = table.concat(data);
		peer:send(data);
		h.run_until(function () return peer.bytes >= #data and rec.bytes >= #data; end, "all of it");
		assert.is_true(data == peer:data());
		assert.is_true(data == rec:data());
		conn:close();
	end);

	it("refuses a TLS context of ours", function ()
		local tls, peer = luasec_pair();
		local rec = h.recorder();
		local conn, err = backend.wrapclient(tls, "127.0.0.1", 1, rec.listeners, "*a", T.client());
		h.deviation("TLS in TLS: 0.12 finds out later that LuaSec cannot do that", {
			epoll = function () rec:wait("ondisconnect"); end;
			go = function ()
				assert.is_nil(conn);
				assert.equal("TLS needs a LuaSocket socket", err);
				assert.equal(1, h.logged("error", "^wrapclient: TLS needs a LuaSocket socket"));
			end;
		});
		tls:close();
		peer:close();
		assert.equal(0, peer.bytes);
	end);
end);

describe("wrapclient of a table around a socket", function ()
	before_each(h.start);
	after_each(h.finish);

	it("uses its methods", function ()
		local object, peer = shim_pair();
		local rec = h.recorder();
		local conn = wrap(object, rec);
		rec:wait("onconnect");
		conn:write("to the peer");
		peer:send("To The Conn");
		rec:wait_bytes(11);
		h.run_until(function () return peer.bytes == 11; end, "the data");
		assert.equal("TO THE PEER", peer:data());
		assert.equal("to the conn", rec:data());
		assert.equal(object, conn:socket());
		assert.equal(object.getfd(), conn:getfd());
		conn:close();
		h.run_until(function () return peer.ended; end, "the end");
		rec:expect("onconnect onincoming ondisconnect");
	end);

	it("is not taken in by the metatable of a socket", function ()
		local sock, accepted = socket_pair();
		local peer = h.wrap_peer(accepted);
		local rec = h.recorder();
		local conn = wrap(setmetatable(shim(sock), getmetatable(sock)), rec);
		rec:wait("onconnect");
		conn:write("abc");
		h.run_until(function () return peer.bytes == 3; end, "the data");
		assert.equal("ABC", peer:data());
		conn:close();
	end);

	it("sends what it could not take at first, in order", function ()
		local object, peer = shim_pair();
		local send = object.send;
		function object:send(data)
			if self.sent % 3 == 1 then
				self.sent = self.sent + 1;
				return nil, self.sent % 2 == 0 and "timeout" or "wantwrite", 0;
			end
			local n = math.min(#data, 7);
			local sent, err, partial = send(self, data:sub(1, n));
			if sent and n < #data then
				return nil, "timeout", n;
			end
			return sent, err, partial;
		end
		local rec = h.recorder(nil, { "ondrain" });
		local conn = wrap(object, rec);
		rec:wait("ondrain");
		for i = 1, 30 do
			conn:write(("line %d\n"):format(i));
		end
		rec:wait("ondrain", 2);
		local expected = {};
		for i = 1, 30 do expected[i] = ("LINE %d\n"):format(i); end
		expected = table.concat(expected);
		h.run_until(function () return peer.bytes >= #expected; end, "all lines");
		assert.equal(expected, peer:data());
		conn:close();
	end);

	it("reads what it has buffered", function ()
		local object, peer = shim_pair();
		local rec = h.recorder();
		local conn = wrap(object, rec, 2);
		peer:send("abcdefgh");
		rec:wait_bytes(8);
		assert.same({ "ab", "cd", "ef", "gh" }, rec.chunks);
		conn:close();
	end);

	it("pauses and resumes", function ()
		local object, peer = shim_pair();
		local rec = h.recorder();
		local conn = wrap(object, rec);
		rec:wait("onconnect");
		assert.is_true(conn:pause());
		peer:send("abc");
		h.run_for(0.02);
		assert.equal(0, rec.bytes);
		assert.is_true(conn:resume());
		rec:wait_bytes(3);
		conn:pausefor(0.05);
		peer:send("def");
		h.run_for(0.01);
		assert.equal(3, rec.bytes);
		rec:wait_bytes(6);
		conn:pause_writes();
		conn:write("held");
		h.run_for(0.02);
		assert.equal(0, peer.bytes);
		conn:resume_writes();
		h.run_until(function () return peer.bytes == 4; end, "the output");
		conn:close();
		assert.is_nil((conn:pause()));
		assert.is_nil((conn:resume()));
	end);

	it("has its read timeout again after a pause for its limit", function ()
		h.settings({ read_timeout = 0.3 });
		local object, peer = shim_pair();
		local rec = h.recorder();
		local conn = wrap(object, rec);
		rec:wait("onconnect");
		conn:setlimit(1000);
		peer:send(("x"):rep(10));
		rec:wait_bytes(10);
		local function ends() assert.equal("read timeout", rec:wait("ondisconnect")[1]); end
		h.deviation("before 13.0.6 nothing ends a connection that is silent after the pause", {
			epoll = function () h.run_for(0.5); rec:expect("onconnect onincoming"); end;
			epoll13_6 = ends;
			go = ends;
		});
	end);

	it("sends its output before it closes", function ()
		local object, peer = shim_pair();
		peer.reading = false;
		local rec = h.recorder();
		local conn = wrap(object, rec);
		rec:wait("onconnect");
		-- More than the kernel buffers, in pieces that 13 does not cut.
		local piece, pieces = ("X"):rep(1024 * 1024), 16;
		for _ = 1, pieces do
			conn:write(piece);
			h.run_for(0.005);
		end
		conn:close();
		h.run_for(0.02);
		assert.equal(0, rec:count("ondisconnect"));
		peer.reading = true;
		rec:wait("ondisconnect");
		h.run_until(function () return peer.ended; end, "the end");
		assert.equal(#piece * pieces, peer.bytes);
		assert.is_nil(conn:socket());
	end);

	it("gives a part and the error, and says why it ends", function ()
		local object, peer = shim_pair();
		local rec = h.recorder();
		wrap(object, rec);
		rec:wait("onconnect");
		local receive = object.receive;
		function object:receive(pattern)
			local data, err, partial = receive(self, pattern);
			if partial == "last" then
				return nil, "broken", partial;
			end
			return data, err, partial;
		end
		peer:send("last");
		assert.equal("broken", rec:wait("ondisconnect")[1]);
		assert.equal("last", rec:data());
	end);

	it("ends a silent one", function ()
		local object = shim_pair();
		local rec = h.recorder();
		local conn = wrap(object, rec);
		rec:wait("onconnect");
		conn:setreadtimeout(0.02);
		assert.equal("read timeout", rec:wait("ondisconnect")[1]);
		rec:expect("onconnect onreadtimeout ondisconnect");
	end);

	it("ends one that takes nothing", function ()
		h.settings({ send_timeout = 0.05 });
		local object, peer = shim_pair();
		peer.reading = false;
		local rec = h.recorder();
		local conn = wrap(object, rec);
		rec:wait("onconnect");
		conn:write(("x"):rep(8 * 1024 * 1024));
		assert.equal("write timeout", rec:wait("ondisconnect")[1]);
	end);

	it("ends when a method raises an error", function ()
		if h.epoll then return; end -- the error leaves loop(), again and again
		for _, name in ipairs { "receive", "send" } do
			local object, peer = shim_pair();
			local rec = h.recorder();
			local conn = wrap(object, rec);
			rec:wait("onconnect");
			object[name] = function () error("no"); end
			peer:send("x");
			conn:write("x");
			assert.equal("error in socket object", rec:wait("ondisconnect")[1]);
			assert.equal(1, h.logged("error", "^Error calling " .. name .. " of the socket object: .*no"));
		end
	end);

	it("ends by starttls, with nothing sent in the clear", function ()
		local object, peer = shim_pair();
		local rec = h.recorder();
		local conn = wrap(object, rec);
		rec:wait("onconnect");
		conn:starttls(T.client());
		conn:write("secret");
		local reason = rec:wait("ondisconnect")[1];
		if h.go then -- LuaSec's error, or with 13 none
			assert.equal("TLS needs a LuaSocket socket", reason);
		end
		h.run_until(function () return peer.ended; end, "the end");
		assert.equal("", peer:data());
		h.logged("error", "^Failed to initialize TLS");
	end);

	it("may be destroyed by its own methods", function ()
		for _, name in ipairs { "receive", "send", "dirty", "getpeername" } do
			local object, peer = shim_pair();
			local rec = h.recorder();
			local conn = wrap(object, rec);
			rec:wait("onconnect");
			local method = object[name];
			local called = false;
			object[name] = function (...)
				called = true;
				conn:destroy();
				return method(...);
			end
			peer:send("x");
			conn:write("x");
			conn:updatenames();
			h.run_until(function () return called; end, name);
			h.run_for(0.005);
			assert.is_nil(conn:socket());
		end
	end);

	it("needs getfd and receive", function ()
		assert.is_false((pcall(backend.wrapclient, {}, "127.0.0.1", 1, {})));
		local sock, accepted = socket_pair();
		if h.go then
			local conn, err = backend.wrapclient({ getfd = function () return sock:getfd(); end }, nil, nil, {});
			assert.is_nil(conn);
			assert.is_string(err);
			assert.equal(1, h.logged("error", "^wrapclient: "));
		end
		sock:close();
		accepted:close();
	end);
end);

describe("wrapclient of an object that is no socket", function ()
	before_each(h.start);
	after_each(h.finish);

	it("reads by its receive", function ()
		local object, writer = fifo();
		local rec = h.recorder();
		local conn = wrap(object, rec);
		h.run_for(0.01);
		assert.equal("", rec:names());
		writer:write("one\n");
		rec:wait_bytes(3);
		rec:expect("onconnect onincoming");
		assert.equal("one", rec:data());
		-- mod_inotify_reload reads elsewhere, and answers with nothing
		local receive, read = object.receive, nil;
		function object.receive()
			read = receive();
			return "";
		end
		writer:write("two\n");
		h.run_until(function () return read; end, "the second call");
		assert.equal("two", read);
		conn:close();
		assert.equal(1, object.closed);
		writer:close();
	end);

	it("has no timeout by default", function ()
		h.settings({ connect_timeout = 0.03, read_timeout = 0.03, send_timeout = 0.03 });
		local object, writer = fifo();
		local rec = h.recorder();
		local conn = wrap(object, rec);
		h.run_for(0.1);
		h.deviation("server_epoll ends it as one that never connected, because it never becomes writable", {
			epoll = function () assert.equal("connection timeout", rec:wait("ondisconnect")[1]); end;
			go = function ()
				writer:write("one\n");
				rec:wait_bytes(3);
				h.run_for(0.1);
				rec:expect("onconnect onincoming");
			end;
		});
		conn:close();
		writer:close();
	end);
end);

describe("wrapserver of an object that is no LuaSocket socket", function ()
	before_each(h.start);
	after_each(h.finish);

	it("is refused", function ()
		local sock = assert(socket.bind("127.0.0.1", 0));
		sock:settimeout(0);
		if h.go then -- epoll calls its accept
			local server, err = backend.wrapserver(shim(sock), "127.0.0.1", h.port_of(sock), {});
			assert.is_nil(server);
			assert.equal("only a LuaSocket socket can be served", err);
			assert.equal(1, h.logged("error", "^wrapserver: only a LuaSocket socket can be served"));
		end
		sock:close();
	end);
end);
