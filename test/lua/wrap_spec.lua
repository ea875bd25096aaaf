local h = require "harness";
local socket = require "socket";
local unix = require "socket.unix";
local backend = h.backend;

local function temporary_path()
	local path = os.tmpname();
	os.remove(path);
	return path;
end

local function unix_server(path)
	local sock = assert(unix.stream());
	assert(sock:bind(path));
	assert(sock:listen());
	sock:settimeout(0);
	return sock;
end

local function unix_peer(path)
	local sock = assert(unix.stream());
	assert(sock:connect(path));
	return h.wrap_peer(sock);
end

describe("wrapserver", function ()
	before_each(h.start);
	after_each(h.finish);

	it("accepts on a unix socket", function ()
		local path = temporary_path();
		local sock = unix_server(path);
		local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
		local server = backend.wrapserver(sock, path, 0, rec.listeners);
		local peer = unix_peer(path);
		peer:send("hello");
		h.run_until(function () return peer.bytes == 5; end, "the echo");
		local conn = rec.conn;
		assert.equal(0, conn:port());
		h.deviation("0.12 names the socket's path, 13 as well; without a peer name it is the own one", {
			epoll = function () assert.equal(path, conn:ip()); end;
			go = function () assert.equal(path, conn:ip()); end;
		});
		assert.is_nil(conn:clientport());
		assert.equal(server, conn:server());
		assert.is_string(tostring(conn));
		assert.equal(path, server:ip());
		assert.equal(0, server:port());
		assert.equal(sock, server.conn);
		assert.is_string(tostring(server));
		peer:close();
		rec:wait("ondisconnect");
		rec:expect("onconnect onincoming ondisconnect");
		server.listeners = {};
		server:close();
		os.remove(path);
	end);

	it("leaves the path to be bound again after conn:close() and sock:close() #row39", function ()
		local path = temporary_path();
		for _ = 1, 3 do
			local rec = h.recorder();
			local sock = unix_server(path);
			local server = backend.wrapserver(sock, path, 0, {});
			h.track(server);
			rec.listeners.onconnect = nil;
			server.listeners = rec.listeners;
			local peer = unix_peer(path);
			peer:send("x");
			rec:wait_bytes(1);
			server.listeners = {};
			server:close();
			sock:close();
			sock:close();
			server:close();
			os.remove(path);
		end
	end);

	it("accepts on a TCP socket", function ()
		local sock = assert(socket.bind("127.0.0.1", 0));
		sock:settimeout(0);
		local port = h.port_of(sock);
		local rec = h.recorder();
		local server = h.track(backend.wrapserver(sock, "127.0.0.1", port, rec.listeners, { read_size = 2 }));
		local peer = h.connect_peer(port);
		peer:send("abcd");
		rec:wait_bytes(4);
		assert.same({ "ab", "cd" }, rec.chunks);
		assert.equal(port, server:port());
		assert.equal("127.0.0.1", server:ip());
		assert.equal(server, rec.conn:server());
	end);
end);

describe("wrapclient", function ()
	before_each(h.start);
	after_each(h.finish);

	it("takes a connected unix stream without address and port #row40", function ()
		local path = temporary_path();
		local listener = unix_server(path);
		local sock = assert(unix.stream());
		assert(sock:connect(path));
		local peer = h.wrap_peer(assert(listener:accept()));
		local rec = h.recorder();
		local conn = h.track(assert(backend.wrapclient(sock, nil, nil, rec.listeners, "*a")));
		assert.equal("", rec:names());
		rec:wait("onconnect");
		assert.is_string(conn:ip());
		assert.equal(0, conn:port());
		assert.is_string(tostring(conn));
		assert.equal(sock, conn:socket());
		conn:write("to the peer");
		peer:send("to the conn");
		rec:wait_bytes(11);
		h.run_until(function () return peer.bytes == 11; end, "the data");
		peer:close();
		rec:wait("ondisconnect");
		assert.is_nil(conn:socket());
		assert.equal(-1, sock:getfd());
		rec:expect("onconnect onincoming ondisconnect");
		listener:close();
		os.remove(path);
	end);

	it("takes an accepted unix stream, as mod_admin_socket once did", function ()
		local path = temporary_path();
		local listener = unix_server(path);
		local peer = unix_peer(path);
		local sock = assert(listener:accept());
		local rec = h.recorder();
		local conn = h.track(assert(backend.wrapclient(sock, "unix", 0, rec.listeners, "*a")));
		rec:wait("onconnect");
		assert.is_string(conn:ip());
		peer:send("x");
		rec:wait_bytes(1);
		conn:close();
		sock:close();
		h.run_until(function () return peer.ended; end, "the end at the peer");
		listener:close();
		os.remove(path);
	end);

	it("takes a connected TCP socket", function ()
		local listener = assert(socket.bind("127.0.0.1", 0));
		local sock = assert(socket.connect("127.0.0.1", h.port_of(listener)));
		local peer = h.wrap_peer(assert(listener:accept()));
		listener:close();
		local rec = h.recorder(nil, { "onpredrain", "ondrain" });
		local extra = { servername = "example.com" };
		local port = h.port_of(peer.sock);
		local conn = h.track(assert(backend.wrapclient(sock, "127.0.0.1", port, rec.listeners, 2, nil, extra)));
		rec:wait("ondrain");
		rec:expect("onconnect onpredrain ondrain");
		assert.equal("127.0.0.1", conn:ip());
		assert.equal(extra, conn.extra);
		assert.equal("example.com", conn.servername);
		assert.equal(conn, conn:server());
		peer:send("abcd");
		rec:wait_bytes(4);
		assert.same({ "ab", "cd" }, rec.chunks);
		conn:close();
		assert.equal(-1, sock:getfd());
		h.run_until(function () return peer.ended; end, "the end at the peer");
		sock:close();
	end);

	it("refuses a closed socket", function ()
		local sock = socket.tcp4();
		sock:close();
		local conn, err = backend.wrapclient(sock, "127.0.0.1", 1, {});
		assert.is_nil(conn);
		assert.equal("invalid fd", err);
	end);
end);
