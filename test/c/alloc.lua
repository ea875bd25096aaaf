-- What happens in the process of alloc_host.c, see there.
local scenario, n, fails = ...;

local function expect(what, value, ...)
	if not value then
		error(what .. ": " .. tostring((...)), 2);
	end
	return value, ...;
end

local function descriptors()
	local count = 0;
	local list = io.popen("ls -l /proc/" .. io.open("/proc/self/stat"):read("n") .. "/fd 2>/dev/null");
	for line in list:lines() do
		count = count + (line:find("anon_inode", 1, true) and 1 or 0);
	end
	list:close();
	return count;
end

local socket = require "socket";
local ssl = require "ssl";
local nothing = function () end;
pcall(require, "loader"); -- of Prosody 13, whose modules are prosody.*
require "util.logger".add_simple_sink(nothing);
local server;
local folder = os.getenv("ALLOC_FILES");

-- A port of the kernel's choice, which it gives to nobody else while this socket, which does not listen, has it too
local reserved = expect("socket", socket.tcp4());
expect("setoption", reserved:setoption("reuseaddr", true));
expect("bind", reserved:bind("127.0.0.1", 0));
local port = tonumber((select(2, reserved:getsockname())));

-- Turns of the loop, which Prosody calls again if an error has left it.
local function turns_until(what, condition)
	local deadline = socket.gettime() + 8;
	local ok, last;
	repeat
		repeat until pcall(server.add_task, 0.005, nothing);
		local loop_ok, err = pcall(server.loop, true);
		if not loop_ok then
			last = err;
		end
		ok = condition();
	until ok or socket.gettime() > deadline;
	if not ok then -- else no memory may be taken here
		error(("waited in vain for %s: %s"):format(what, last), 2);
	end
end

local listeners = {
	onconnect = nothing;
	onincoming = function (conn, data) conn:write(data); end;
	ondisconnect = nothing;
};

local function contexts()
	local server_ctx = expect("newcontext", ssl.newcontext({
		mode = "server"; protocol = "tlsv1_2"; certificate = folder .. "/cert.pem"; key = folder .. "/key.pem";
	}));
	return server_ctx, expect("newcontext", ssl.newcontext({ mode = "client"; protocol = "tlsv1_2"; verify = "none" }));
end

local function listen(ctx)
	return server.listen("127.0.0.1", port, listeners, { tls_ctx = ctx; tls_direct = ctx ~= nil });
end

-- What a client sends "ping" with and keeps what came of it. Made beforehand,
-- as connect is to need no memory of its own.
local function new_client()
	local state = { ok = false; conn = false; err = false; data = ""; over = false; reason = false };
	state.listeners = {
		onconnect = function (conn) conn:write("ping"); end;
		onincoming = function (_, data) state.data = state.data .. data; end;
		ondisconnect = function (_, reason) state.over = true; state.reason = reason; end;
	};
	return state;
end

local function connect(state, ctx)
	state.ok, state.conn, state.err = pcall(server.addclient, "127.0.0.1", port, state.listeners, nil, ctx);
	state.over = not (state.ok and state.conn);
	if not state.ok then
		state.conn, state.err = false, state.conn;
	end
end

local function client(ctx)
	local state = new_client();
	connect(state, ctx);
	return state;
end

local function nothing_is_open()
	local stats = server.stats();
	local connections = stats.connections;
	return connections.accepted.open == 0 and connections.outgoing.open == 0 and connections.adopted.open == 0
		and stats.watches.open == 0;
end

-- The port serves, whatever came before; then everything ends.
local function goes_on(listener, server_ctx, client_ctx)
	turns_until("a turn", function () return true; end);
	if not listener then
		listener = expect("the port is lost", listen(server_ctx));
	end
	local state = client(client_ctx);
	turns_until("an echo", function () return state.data == "ping" or state.over; end);
	expect("echo", state.data == "ping", state.reason or state.err);
	state.conn:close();
	turns_until("connections to be gone", nothing_is_open);
	return listener;
end

local function quits()
	expect("setquitting", pcall(server.setquitting, true));
	local started = socket.gettime();
	local result, ok;
	repeat
		ok, result = pcall(server.loop);
	until ok or socket.gettime() - started > 8;
	expect("loop did not quit", result == "quitting", result);
	local stats = server.stats();
	expect("a server is left", stats.servers.open == 0);
	expect("a connection is left", nothing_is_open());
end

local scenarios = {};

function scenarios.load()
	arm(n, fails);
	local loaded = pcall(require, "net.server_go");
	local failed = disarm();
	-- Go's runtime keeps two once it has started.
	expect("a load that failed left descriptors", loaded or descriptors() <= 2, descriptors());
	server = require "net.server_go";
	goes_on();
	quits();
	return failed > 0;
end

function scenarios.echo()
	server = require "net.server_go";
	local server_ctx, client_ctx = contexts();
	local state, config = new_client(), { tls_ctx = server_ctx; tls_direct = true };
	-- A connection may end without ondisconnect: there may be no memory to call that either.
	local function is_over()
		return state.data == "ping" or state.over or state.conn and state.conn:getfd() < 0;
	end
	collectgarbage();
	arm(n, fails);
	local ok, listener = pcall(server.listen, "127.0.0.1", port, listeners, config);
	if ok and listener then
		connect(state, client_ctx);
		turns_until("an echo or an end", is_over);
		if state.conn then
			pcall(state.conn.close, state.conn);
		end
	end
	local failed = disarm();
	if state.conn then
		state.conn:close();
	end
	turns_until("connections to be gone", nothing_is_open);
	goes_on(ok and listener, server_ctx, client_ctx);
	quits();
	return failed > 0;
end

function scenarios.quit()
	server = require "net.server_go";
	local server_ctx, client_ctx = contexts();
	listen(server_ctx);
	local state = client(client_ctx);
	turns_until("an echo", function () return state.data == "ping" or state.over; end);
	collectgarbage();
	arm(n, fails);
	pcall(server.setquitting, true);
	local started = socket.gettime();
	repeat
		local ok = pcall(server.loop);
		pcall(server.setquitting, true);
	until ok or socket.gettime() - started > 8;
	local failed = disarm();
	quits();
	return failed > 0;
end

-- Functions that make or change something.
function scenarios.calls()
	server = require "net.server_go";
	local listener = listen();
	local pair = expect("socket", socket.bind("127.0.0.1", 0));
	local _, pair_port = pair:getsockname();
	local peer = expect("socket", socket.connect("127.0.0.1", pair_port));
	local mine = pair:accept();
	mine:settimeout(0);
	local state = client();
	turns_until("an echo", function () return state.data == "ping"; end);
	local ran, made = 0, { state.conn, false, false, false };
	local function task(_, _, param) ran = ran + (param == "x" and 1 or 100); end
	local function keep(i, f, ...)
		made[i] = f(...) or false; -- which takes no memory
	end
	local method_calls = {
		{ "set_mode", 10 }, { "pause" }, { "resume" }, { "setlimit", 1e6 }, { "pausefor", 0.001 }, { "setreadtimeout", 5 },
		{ "setlistener", listeners }, { "updatenames" }, { "setoption", "tcp-nodelay", true }, { "write", "more" },
		{ "ip" }, { "socket" }, { "debug", "%s", "text" }, { "block_reads" },
	};
	collectgarbage();
	arm(n, fails);
	pcall(server.add_task, 0.001, task, "x");
	pcall(keep, 2, server.wrapclient, mine, "127.0.0.1", 1, listeners);
	pcall(keep, 3, server.watchfd, pair, nothing, nothing);
	pcall(keep, 4, server.addevent, peer, "r", nothing);
	pcall(server.hook_signal, 10, nothing);
	pcall(server.hook_signal, 10, nil);
	pcall(server.stats);
	for _, call in ipairs(method_calls) do
		pcall(state.conn[call[1]], state.conn, call[2], call[3]);
	end
	pcall(tostring, state.conn);
	pcall(state.conn.close, state.conn);
	local failed = disarm();
	turns_until("a turn", function () return true; end);
	expect("a timer ran without its parameter", ran < 100);
	for _, object in ipairs(made) do
		if object then
			object:close();
		end
	end
	goes_on(listener);
	quits();
	return failed > 0;
end

-- What a relay's object has given is delivered, or the connection ends.
function scenarios.relay()
	server = require "net.server_go";
	local bound = expect("socket", socket.bind("127.0.0.1", 0));
	local _, bound_port = bound:getsockname();
	local peer = expect("socket", socket.connect("127.0.0.1", bound_port));
	local mine = bound:accept();
	mine:settimeout(0);
	local object = {
		getfd = function () return mine:getfd(); end;
		receive = function (_, size) return mine:receive(size); end;
		send = function (_, data) return mine:send(data); end;
		close = function () return mine:close(); end;
	};
	local got, sent = 0, 0;
	local conn = expect("wrapclient", server.wrapclient(object, "127.0.0.1", bound_port, {
		onconnect = nothing;
		onincoming = function (_, data) got = got + #data; end; -- takes no memory
		ondisconnect = nothing;
	}));
	turns_until("a turn", function () return true; end);
	server.add_task(0.005, function () return 0.005; end); -- lest a turn waits for ever
	local function talk()
		for _ = 1, 5 do
			sent = sent + (peer:send("12345") or 0);
			pcall(server.loop, true);
		end
	end
	collectgarbage();
	arm(n, fails);
	pcall(talk);
	local failed = disarm();
	turns_until("what was sent, or the end", function () return got == sent or conn:getfd() < 0; end);
	conn:close();
	goes_on();
	quits();
	return failed > 0;
end

return scenarios[scenario]();
