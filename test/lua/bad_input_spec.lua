-- What no caller should do. Only server_go is held to it: the reference takes
-- much of it silently, and fails later in the loop with whatever error the
-- misuse leads to there.
local h = require "harness";
local socket = require "socket";
local backend = h.backend;

if not h.go then return end

local inf = math.huge;
local nan = 0 / 0;
local wrong_tables = { {}, { 1 }, { "x" }, { 0 }, { -1 }, { 1.5 }, { inf }, { nan }, { 2 ^ 53 }, { 16777217 }, { {} }, setmetatable({}, {}) };

local function describe_value(value)
	return type(value) == "string" and ("%q"):format(value):sub(1, 60) or tostring(value);
end

-- Refused: an error that names the argument, or nil (or false) and a message.
local function refused(what, f, ...)
	local ok, ret, err = pcall(f, ...);
	if not ok then
		assert(type(ret) == "string", what .. ": raised a " .. type(ret));
		assert(ret:find("bad argument #%d") or ret:find("bad self"), what .. ": raised " .. ret);
	else
		assert(not ret, what .. ": returned " .. tostring(ret));
		assert(type(err) == "string" and err ~= "", what .. ": gave no message but " .. tostring(err));
	end
end

-- Harmless: neither raises nor has any effect that matters.
local function harmless(what, f, ...)
	local ok, err = pcall(f, ...);
	assert(ok, what .. ": raised " .. tostring(err));
end

-- Anything but a crash or an error that is no string
local function survived(what, f, ...)
	local ok, err = pcall(f, ...);
	assert(ok or type(err) == "string", what .. ": raised a " .. type(err));
end

-- The loop serves an echo, with a timer beside it.
local function still_alive()
	local fired = false;
	backend.add_task(0, function () fired = true; end);
	local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
	local conn, peer = h.accepted(rec);
	peer:send("still there?");
	h.run_until(function () return fired and peer.bytes == 12; end, "an echo and a timer");
	conn:close();
	peer:close();
end

local methods = {
	"write", "send", "close", "destroy", "ip", "port", "clientport", "serverport", "server", "ssl", "socket",
	"starttls", "setlistener", "set_mode", "pause", "resume", "pause_writes", "resume_writes", "pausefor",
	"setlimit", "setoption", "getfd", "set_send", "set", "setflags", "setreadtimeout", "setwritetimeout",
	"updatenames", "set_sslctx", "sslctx", "defaultoptions", "debug", "noise", "error", "on", "add", "del",
	"onreadable", "onwritable", "onincoming", "ondrain",
	"ssl_info", "ssl_peercertificate", "ssl_peerverification", "ssl_peerfinished", "ssl_exportkeyingmaterial",
	"block_reads",
};

local all_values = {
	true, false, 0, -1, 1.5, inf, -inf, nan, 1e300, "", "x", "\0", "a\0b", ("x"):rep(100000), {}, { {} }, print,
	coroutine.create(print), io.stdout,
};

describe("bad input", function ()
	before_each(h.start);
	after_each(function ()
		still_alive();
		h.logged("error", "^wrap%a+: "); -- what is no socket is refused with a line in the log
		h.finish();
	end);

	it("of listen and addserver", function ()
		for _, name in ipairs({ "listen", "addserver" }) do
			local f = backend[name];
			local port = h.free_port();
			refused(name .. " without arguments", f);
			refused(name .. " of an address only", f, "127.0.0.1");
			for _, addr in ipairs({ true, {}, print, "", " ", "300.1.1.1", "127.0.0.1\0", "\0", "127.0.0.1 ", "::1::", "not an address",
				("x"):rep(300), ("x"):rep(100000), "/tmp/x", "127.0.0.1:80" }) do
				refused(name .. " address " .. describe_value(addr), f, addr, port, {});
			end
			for _, bad_port in ipairs({ -1, 65536, 1e9, 1.5, 1e300, inf, -inf, nan, "x", "", "80x", true, {}, print, 2 ^ 32 + port }) do
				refused(name .. " port " .. describe_value(bad_port), f, "127.0.0.1", bad_port, {});
			end
			for _, listeners in ipairs({ true, 1, "x", print }) do
				refused(name .. " listeners " .. describe_value(listeners), f, "127.0.0.1", port, listeners);
			end
		end
		for _, config in ipairs({ true, 1, "x", print }) do
			refused("listen config " .. describe_value(config), backend.listen, "127.0.0.1", h.free_port(), {}, config);
		end
		for _, size in ipairs({ 0, -1, nan, "x", "*x", "", true, {}, print }) do
			refused("listen read_size " .. describe_value(size), backend.listen, "127.0.0.1", h.free_port(), {}, { read_size = size });
			refused("addserver read_size " .. describe_value(size), backend.addserver, "127.0.0.1", h.free_port(), {}, size);
		end
	end);

	it("of addclient", function ()
		local f = backend.addclient;
		local _, port = h.listen({});
		refused("no arguments", f);
		refused("an address only", f, "127.0.0.1");
		for _, addr in ipairs({ true, {}, print, "", "localhost", "300.1.1.1", "127.0.0.1\0", "127.0.0.1\0.example", "::1::", ("x"):rep(100000),
			"127.0.0.1 ", "0x7f.1", "1" }) do
			refused("address " .. describe_value(addr), f, addr, port, {}, "*a");
		end
		for _, bad_port in ipairs({ -1, 65536, 1e9, 1.5, 1e300, inf, -inf, nan, "x", "", true, {}, print, 2 ^ 32 + port, 0 }) do
			survived("port " .. describe_value(bad_port), f, "127.0.0.1", bad_port, {}, "*a");
			if bad_port ~= 0 then
				refused("port " .. describe_value(bad_port), f, "127.0.0.1", bad_port, {}, "*a");
			end
		end
		for _, listeners in ipairs({ true, 1, "x", print }) do
			refused("listeners " .. describe_value(listeners), f, "127.0.0.1", port, listeners, "*a");
		end
		for _, size in ipairs({ 0, -1, nan, "x", "*x", "", true, {}, print }) do
			refused("read_size " .. describe_value(size), f, "127.0.0.1", port, {}, size);
		end
		for _, typ in ipairs({ true, {}, print, 4, "tcp5", "TCP4", "tcp4\0", ("x"):rep(100000), "_VERSION", "select" }) do
			refused("typ " .. describe_value(typ), f, "127.0.0.1", port, {}, "*a", nil, typ);
		end
		refused("an IPv6 address with tcp4", f, "::1", port, {}, "*a", nil, "tcp4");
		refused("an IPv4 address with tcp6", f, "127.0.0.1", port, {}, "*a", nil, "tcp6");
		for _, extra in ipairs({ true, 1, "x", print }) do
			refused("extra " .. describe_value(extra), f, "127.0.0.1", port, {}, "*a", nil, nil, extra);
		end
		h.run_for(0.02);
	end);

	it("of wrapclient and wrapserver", function ()
		local closed = socket.tcp4();
		closed:close();
		local udp = socket.udp4();
		local unbound = socket.tcp4();
		for _, name in ipairs({ "wrapclient", "wrapserver" }) do
			local f = backend[name];
			refused(name .. " without arguments", f);
			refused(name .. " of a closed socket", f, closed, "x", 1, {});
			for _, sock in ipairs({ true, 1, "x", print, {}, { getfd = 1 }, { getfd = function () return "x"; end }, io.stdout,
				{ getfd = function () return -1; end }, { getfd = function () return nan; end }, { getfd = function () return 1e300; end },
				{ getfd = function () return 9999; end }, { getfd = function () return 1.5; end } }) do
				if type(sock) ~= "table" or type(sock.getfd) ~= "number" then
					refused(name .. " of " .. describe_value(sock), f, sock, "x", 1, {});
				else
					survived(name .. " of a strange object", f, sock, "x", 1, {});
				end
			end
			for _, listeners in ipairs({ true, 1, "x", print }) do
				refused(name .. " listeners " .. describe_value(listeners), f, udp, "x", 1, listeners);
			end
		end
		refused("wrapserver of a datagram socket", backend.wrapserver, udp, "x", 1, {});
		survived("wrapserver of a socket that does not listen", backend.wrapserver, unbound, "x", 1, {});
		for _, size in ipairs({ 0, -1, nan, "x", true, {} }) do
			refused("wrapclient read_size " .. describe_value(size), backend.wrapclient, udp, "x", 1, {}, size);
		end
		for _, extra in ipairs({ true, 1, "x" }) do
			refused("wrapclient extra " .. describe_value(extra), backend.wrapclient, udp, "x", 1, {}, nil, nil, extra);
		end
		-- A getfd that raises: the error is the caller's own.
		local ok, err = pcall(backend.wrapclient, { getfd = function () error("own", 0); end }, "x", 1, {});
		assert.is_false(ok);
		assert.equal("own", err);
		backend.closeall();
		h.run_for(0.005);
		udp:close();
		unbound:close();
	end);

	it("of watchfd and addevent", function ()
		refused("watchfd without arguments", backend.watchfd);
		for _, fd in ipairs({ true, "x", print, {}, { getfd = 1 }, { getfd = function () end } }) do
			survived("watchfd of " .. describe_value(fd), backend.watchfd, fd, function () end);
		end
		refused("watchfd of a boolean", backend.watchfd, true, function () end);
		refused("watchfd of a string", backend.watchfd, "x", function () end);
		for _, fd in ipairs({ -1, 1e9, 1.5, inf, nan, 2 ^ 31, 9999 }) do
			-- A handle for a bad fd, as in the reference
			local handle = backend.watchfd(fd, function () end);
			assert.truthy(handle, describe_value(fd));
			harmless("close", handle.close, handle);
		end
		for _, callback in ipairs({ true, 1, "x", {} }) do
			refused("watchfd callback " .. describe_value(callback), backend.watchfd, 0, callback);
			refused("watchfd second callback " .. describe_value(callback), backend.watchfd, 0, nil, callback);
			refused("addevent callback " .. describe_value(callback), backend.addevent, 0, "r", callback);
		end
		refused("addevent without arguments", backend.addevent);
		refused("addevent without a callback", backend.addevent, 0, "r");
		for _, mode in ipairs({ true, 1, "x", "", "rwx", "r\0", {} }) do
			refused("addevent mode " .. describe_value(mode), backend.addevent, 0, mode, function () end);
		end
		for _, fd in ipairs({ -1, 1e9, 1.5, inf, nan, "x", true }) do
			refused("addevent of " .. describe_value(fd), backend.addevent, fd, "r", function () end);
		end
		-- A directory cannot be polled.
		local regular = io.open("/etc/passwd");
		survived("watchfd of a file", backend.watchfd, regular, function () end);
		regular:close();
		backend.closeall();
	end);

	it("of timers", function ()
		local timer = backend.timer;
		refused("add_task without arguments", timer.add_task);
		refused("add_task without a function", timer.add_task, 1);
		for _, delay in ipairs({ "x", "", true, {}, print, nan }) do
			refused("add_task delay " .. describe_value(delay), timer.add_task, delay, function () end);
		end
		for _, f in ipairs({ true, 1, "x", {} }) do
			refused("add_task function " .. describe_value(f), timer.add_task, 1, f);
		end
		for _, delay in ipairs({ -1, -1e300, -inf, 1e300, inf, 5e-324, 1e18 }) do
			local id = timer.add_task(delay, function () end);
			assert.truthy(id);
			harmless("reschedule", timer.reschedule, id, -inf);
			harmless("reschedule", timer.reschedule, id, 1e300);
			harmless("stop", timer.stop, id);
		end
		local id = timer.add_task(60, function () end);
		for _, delay in ipairs({ "x", true, {}, nan }) do
			refused("reschedule delay " .. describe_value(delay), timer.reschedule, id, delay);
		end
		refused("reschedule without a delay", timer.reschedule, id);
		timer.stop(id);
		harmless("stop of nothing", timer.stop);
		for _, value in ipairs(all_values) do
			harmless("stop of " .. describe_value(value), timer.stop, value);
			harmless("reschedule of " .. describe_value(value), timer.reschedule, value, 1);
			survived("to_absolute_time of " .. describe_value(value), timer.to_absolute_time, value);
		end
		refused("to_absolute_time of nothing", timer.to_absolute_time);
		-- Numbers near a real id hit no other timer.
		local fired = 0;
		local ids = {};
		for i = 1, 20 do
			ids[i] = timer.add_task(0.02, function () fired = fired + 1; end);
		end
		for i = 1, 20 do
			for _, delta in ipairs({ 0.5, 2 ^ 24, -2 ^ 24, 2 ^ 40, 1e15 }) do
				harmless("stop", timer.stop, ids[i] + delta);
			end
		end
		h.run_until(function () return fired == 20; end, "twenty timers");
		-- A callable object is as good as a function; one that lost its metatable is not.
		local called = false;
		local callable = setmetatable({}, { __call = function () called = true; end });
		timer.add_task(0, callable);
		h.run_until(function () return called; end, "the callable");
		called = false;
		timer.add_task(0, callable);
		setmetatable(callable, nil);
		h.run_for(0.01);
		h.logged("error", "Error in timer");
		-- A number that cannot be a delay
		local turns = 0;
		timer.add_task(0, function ()
			turns = turns + 1;
			return nan;
		end);
		timer.add_task(0, function () return inf; end);
		timer.add_task(0, function () turns = turns + 1; return turns < 5 and -inf or nil; end);
		h.run_for(0.02);
		h.logged("error", "timer");
	end);

	it("of hook_signal", function ()
		refused("no arguments", backend.hook_signal);
		refused("no handler", backend.hook_signal, 10, true);
		for _, number in ipairs({ 0, -1, 65, 1e9, 1.5, inf, nan, "x", true, {}, 9, 19, 2 ^ 32 + 10 }) do
			refused("number " .. describe_value(number), backend.hook_signal, number, function () end);
		end
		for _, handler in ipairs({ true, 1, "x", {} }) do
			refused("handler " .. describe_value(handler), backend.hook_signal, 10, handler);
		end
	end);

	it("of set_config", function ()
		refused("no argument", backend.set_config);
		for _, value in ipairs({ true, 1, "x", print }) do
			refused("a " .. type(value), backend.set_config, value);
		end
		for _, value in ipairs(all_values) do
			local settings = {};
			for _, name in ipairs({
				"read_timeout", "send_timeout", "connect_timeout", "ssl_handshake_timeout", "tcp_backlog", "accept_retry_interval",
				"read_retry_delay", "read_size", "max_wait", "min_wait", "verbose", "opportunistic_writes", "tcp_keepalive", "nagle",
				"keep_buffers", "max_send_buffer_size", "send_buffer_chunks", "max_send_chunk", "tcp_fastopen", "tcp_defer_accept",
			}) do
				settings[name] = value;
			end
			survived("all settings " .. describe_value(value), backend.set_config, settings);
			backend.set_config({});
			-- One at a time, with a connection made under it
			for name in pairs(settings) do
				survived(name .. " " .. describe_value(value), backend.set_config, { [name] = value });
				if name ~= "verbose" then
					local _, port = h.listen({});
					local conn = backend.addclient("127.0.0.1", port, {}, nil);
					if conn then
						conn:write("x");
						conn:destroy();
					end
				end
				backend.set_config({});
			end
		end
		local raising = setmetatable({}, { __index = function () error("own"); end });
		survived("a table whose __index raises", backend.set_config, raising);
		survived("keys that are no strings", backend.set_config, { 1, 2, [true] = 3, [{}] = 4 });
		backend.closeall();
		backend.set_config({});
		h.logged("error", "");
	end);

	it("of link", function ()
		local conn = h.accepted(h.recorder());
		refused("no arguments", backend.link);
		refused("one connection", backend.link, conn);
		for _, value in ipairs(all_values) do
			refused("from " .. describe_value(value), backend.link, value, conn, 4096);
			refused("to " .. describe_value(value), backend.link, conn, value, 4096);
		end
		local server = h.listen({});
		survived("servers", backend.link, server, server, 4096);
		local dead = h.accepted(h.recorder());
		dead:close();
		survived("from a dead one", backend.link, dead, conn, 4096);
		survived("to a dead one", backend.link, conn, dead, 4096);
		for _, size in ipairs({ 0, -1, nan, "x", true, {} }) do
			refused("size " .. describe_value(size), backend.link, conn, conn, size);
		end
		survived("to itself", backend.link, conn, conn, 4096);
		h.run_for(0.01);
		conn:destroy();
	end);

	it("of loop, setquitting and closeall", function ()
		-- Within a callback loop() would never come back.
		local inner_ok, inner_err, done;
		backend.add_task(0, function ()
			inner_ok, inner_err = pcall(backend.loop, true);
			done = true;
		end);
		h.run_until(function () return done; end, "the timer");
		assert(inner_ok or type(inner_err) == "string");
		for _, value in ipairs({ 0, "x", {} }) do
			harmless("setquitting", backend.setquitting, value);
			harmless("setquitting", backend.setquitting, nil);
		end
		harmless("setquitting without arguments", backend.setquitting);
		harmless("closeall with arguments", backend.closeall, 1, 2, 3);
		harmless("get_backend with arguments", backend.get_backend, 1);
	end);

	it("of methods: no self, or something that is none", function ()
		local conn = h.accepted(h.recorder());
		for _, name in ipairs(methods) do
			local method = conn[name];
			if type(method) == "function" and name ~= "noise" then -- which does nothing unless verbose
				refused(name .. " without self", method);
				for _, self in ipairs({ true, 1, "x", print, coroutine.create(print), io.stdout, {}, { "x" }, { {} }, { 0 }, { -1 }, { nan }, { inf },
					{ 1e300 }, { 0.5 } }) do
					refused(name .. " of " .. describe_value(self), method, self, "x", "y");
				end
			end
		end
		assert.is_true(conn:getfd() >= 0);
	end);

	it("of methods: forged handles", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		local mt = getmetatable(conn);
		for _, name in ipairs(methods) do
			local method = conn[name];
			if type(method) == "function" then
				for _, forged in ipairs(wrong_tables) do
					survived(name .. " of a forged one", method, forged, "x", "y");
					survived(name .. " of a forged one", method, forged);
				end
				for _ = 1, 100 do
					local number = math.random(0, 2 ^ 53);
					if number ~= conn[1] then
						survived(name .. " of a random handle", method, { number }, "x", "y");
						if type(mt) == "table" then
							survived(name .. " of a random handle", method, setmetatable({ number }, mt), 1, 2);
						end
					end
				end
			end
		end
		for _, forged in ipairs({ {}, { "x" }, { nan }, { 12345 } }) do
			survived("tostring", tostring, type(mt) == "table" and setmetatable(forged, mt) or forged);
		end
		peer:send("unharmed");
		rec:wait_bytes(8);
		assert.equal("onconnect onincoming", rec:names());
	end);

	it("of methods: a handle that was changed or taken away", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		local handle = conn[1];
		for _, value in ipairs({ "x", 0, -1, 1.5, nan, inf, 2 ^ 53, false, {} }) do
			conn[1] = value;
			for _, name in ipairs(methods) do
				if type(conn[name]) == "function" and name ~= "destroy" and name ~= "close" then
					survived(name, conn[name], conn, 1, 2);
				end
			end
			survived("tostring", tostring, conn);
		end
		conn[1] = nil;
		survived("getfd", conn.getfd, conn);
		-- Data for it still arrives, whatever Lua calls it.
		peer:send("x");
		h.run_for(0.01);
		conn[1] = handle;
		conn:close();
		h.run_for(0.01);
		h.logged("error", "");
	end);

	it("of methods: wrong arguments of every type", function ()
		for _, value in ipairs(all_values) do
			local conn = h.accepted(h.recorder());
			local server = conn:server();
			local watch = backend.watchfd(9999, function () end);
			for _, object in ipairs({ conn, server, watch, conn:socket(), server:socket() }) do
				for _, name in ipairs(methods) do
					local method = object[name];
					if type(method) == "function" and name ~= "destroy" and name ~= "close" then
						survived(name .. " " .. describe_value(value), method, object, value);
						survived(name .. " " .. describe_value(value), method, object, value, value);
						survived(name .. " " .. describe_value(value), method, object, nil, value);
					end
				end
			end
			h.run_for(0);
			conn.listeners, server.listeners = {}, {};
			conn:destroy();
			server:close();
			watch:close();
		end
		h.logged("error", "");
	end);

	it("of write: what is no string", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		for _, value in ipairs({ true, false, {}, print, coroutine.create(print), io.stdout }) do
			refused("write " .. tostring(value), conn.write, conn, value);
			refused("send " .. tostring(value), conn.send, conn, value);
		end
		refused("write nothing", conn.write, conn);
		refused("write nil", conn.write, conn, nil);
		assert.equal(2, conn:write(42)); -- Lua takes numbers for strings
		assert.equal(3, conn:write("a\0b"));
		h.run_until(function () return peer.bytes == 5; end, "the data");
		assert.equal("42a\0b", peer:data());
		rec:expect("onconnect");
	end);

	it("of setlistener, set_mode, setlimit, pausefor, setoption, timeouts", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		for _, value in ipairs({ true, 1, "x", print }) do
			refused("setlistener " .. describe_value(value), conn.setlistener, conn, value);
		end
		refused("setlistener of nothing", conn.setlistener, conn);
		for _, value in ipairs({ 0, -1, nan, "x", "*x", true, {}, print }) do
			refused("set_mode " .. describe_value(value), conn.set_mode, conn, value);
		end
		for _, value in ipairs({ "x", true, {}, print, nan }) do
			refused("setlimit " .. describe_value(value), conn.setlimit, conn, value);
		end
		refused("setlimit of nothing", conn.setlimit, conn);
		harmless("setlimit", conn.setlimit, conn, -1);
		harmless("setlimit", conn.setlimit, conn, inf);
		for _, value in ipairs({ "x", {}, print, nan }) do
			refused("pausefor " .. describe_value(value), conn.pausefor, conn, value);
			refused("setreadtimeout " .. describe_value(value), conn.setreadtimeout, conn, value);
			refused("setwritetimeout " .. describe_value(value), conn.setwritetimeout, conn, value);
		end
		for _, value in ipairs({ inf, 1e300 }) do
			harmless("setreadtimeout", conn.setreadtimeout, conn, value);
			harmless("setwritetimeout", conn.setwritetimeout, conn, value);
		end
		harmless("setwritetimeout", conn.setwritetimeout, conn, false);
		refused("setoption of nothing", conn.setoption, conn);
		for _, name in ipairs({ true, {}, print }) do
			refused("setoption name", conn.setoption, conn, name, true);
		end
		for _, name in ipairs({ "keepalive", "tcp-nodelay", "tcp-keepidle", "recv-buffer-size", "linger" }) do
			for _, value in ipairs({ "x", print, nan, inf, 1e300 }) do
				refused(name .. " " .. describe_value(value), conn.setoption, conn, name, value);
			end
			refused(name .. " of nothing", conn.setoption, conn, name);
		end
		for _, value in ipairs({ { on = 1, timeout = "x" }, { on = true, timeout = {} }, { on = true, timeout = nan }, { on = true, timeout = -5 },
			{ on = true, timeout = 1e300 } }) do
			survived("linger", conn.setoption, conn, "linger", value);
		end
		peer:send("unharmed");
		rec:wait_bytes(8);
		rec:expect("onconnect onincoming");
		conn:setoption("linger", { on = false, timeout = 0 });
	end);

	it("of methods after the end", function ()
		local rec = h.recorder();
		local conn = h.accepted(rec);
		local sock = conn:socket();
		local saved = {};
		for _, name in ipairs(methods) do
			saved[name] = conn[name];
		end
		conn:close();
		local names = rec:names();
		-- Let its slot be taken by others.
		local others = {};
		for i = 1, 20 do
			others[i] = h.recorder();
			h.accepted(others[i]);
		end
		for _ = 1, 2 do
			for name, method in pairs(saved) do
				for _, value in ipairs(all_values) do
					survived(name .. " of a dead one", method, conn, value, value);
				end
				survived(name .. " of a dead one", method, conn);
			end
			for _, name in ipairs({ "send", "receive", "close", "getfd", "setoption", "getpeername", "getsockname", "settimeout", "dirty" }) do
				survived("socket " .. name, sock[name] or function () end, sock, "x", 1);
			end
			h.run_for(0.01);
		end
		assert.equal(names, rec:names());
		for i = 1, 20 do
			assert.equal("onconnect", others[i]:names());
		end
		h.logged("error", "");
	end);

	it("of callbacks that close everything they can reach", function ()
		local conns = {};
		local function close_all()
			for conn in pairs(conns) do
				conn:close();
				conn:destroy();
			end
			backend.closeall();
		end
		for _, name in ipairs({ "onconnect", "onincoming", "ondisconnect", "ondrain", "onpredrain", "onreadtimeout", "onattach", "ondetach" }) do
			h.settings({ read_timeout = 0.02 });
			local rec = h.recorder({
				[name] = close_all;
			}, { "ondrain", "onpredrain" });
			local server, port = h.listen(rec.listeners);
			server.listeners = setmetatable({}, { __index = rec.listeners });
			local peers = {};
			for i = 1, 5 do
				peers[i] = h.connect_peer(port);
				peers[i]:send("x");
			end
			h.run_for(0.01);
			for _, call in ipairs(rec.calls) do
				conns[call.conn] = true;
				if call.name == "onconnect" and call.conn:getfd() >= 0 then
					call.conn:write("y");
					call.conn:setlistener(rec.listeners);
				end
			end
			pcall(h.run_for, 0.03);
			for _, peer in ipairs(peers) do
				peer:close();
			end
			pcall(h.run_for, 0.01);
			h.settings({});
		end
	end);

	it("of forged connections in callbacks and as upvalues of link", function ()
		local a, peer_a = h.accepted(h.recorder());
		local b = h.accepted(h.recorder());
		backend.link(a, b, 4096);
		b:destroy();
		peer_a:send("to nobody");
		h.run_for(0.02);
		a.onincoming = 42;
		peer_a:send("x");
		h.run_for(0.01);
		a.onincoming = nil;
		a.listeners = 42;
		peer_a:send("x");
		h.run_for(0.01);
		a.listeners = { onincoming = 42, ondisconnect = "x", onerror = {} };
		peer_a:send("x");
		h.run_for(0.01);
		a.close, a.pause, a.log, a.id, a.conn, a.peername, a.peerport, a.sockname = 1, 2, 3, 4, 5, {}, {}, 6;
		survived("tostring", tostring, a);
		peer_a:send("x");
		h.run_for(0.01);
		a.close = nil;
		survived("close", a.close, a);
		h.run_for(0.01);
		h.logged("error", "");
	end);
end);
