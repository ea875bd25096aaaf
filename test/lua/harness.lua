-- What the specs share: the backend under test, a way to run its loop until
-- something has happened, recorders of listener callbacks, and peers that are
-- plain LuaSocket objects driven from the same loop.
--
-- Works without busted too: the scripts that specs run as processes of their
-- own load it as well.

local socket = require "socket";
local lfs = require "lfs";

local harness = {};

-- The backend under test --

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".";
local root = here .. "/../..";
harness.root = root;
local prosody_lib = os.getenv("PROSODY_LIB") or "/usr/lib/prosody";

harness.backend_name = os.getenv("BACKEND") or "epoll";
harness.prosody_lib = prosody_lib;
harness.go = harness.backend_name == "go";
harness.epoll = harness.backend_name == "epoll";

package.path = prosody_lib .. "/?.lua;" .. package.path;
package.cpath = (os.getenv("BUILD") or root .. "/build") .. "/?.so;" .. prosody_lib .. "/?.so;" .. package.cpath;

-- Prosody 13 brings a loader, and asks for its modules as prosody.*
local prefix = "";
harness.prosody = 12;
if lfs.attributes(prosody_lib .. "/loader.lua") then
	require "loader";
	prefix = "prosody.";
	harness.prosody = 13;
end

local function prosody_file(name)
	local file = assert(io.open(prosody_lib .. "/" .. name));
	local text = file:read("*a");
	file:close();
	return text;
end

-- Which values of a deviation apply, the most exact first: epoll13_7 is for 13.0.7 and what came
-- after it. Debian's 13.0.1 has the timers of 13.0.5, which keep every stopped one in mind.
local function references()
	if harness.prosody == 12 then return { "epoll12", "epoll" }; end
	local keys = { "epoll13", "epoll" };
	local release = prosody_file("prosody.version"):match("^13%.0%.(%d+)");
	local timers = prosody_file("net/server_epoll.lua"):find("\n\tclosedtimers[id] = true;", 1, true) and 5 or 0;
	for patch = 1, math.max(tonumber(release) or 99, timers) do -- 99: a nightly build has no number
		table.insert(keys, 1, "epoll13_" .. math.tointeger(patch));
	end
	return keys;
end
harness.references = references();

function harness.util(name)
	return require(prefix .. "util." .. name);
end

local log_lines = {};

harness.util("logger").add_simple_sink(function (name, level, message)
	table.insert(log_lines, { name = name; level = level; message = message });
end);

harness.module_name = prefix .. "net.server_" .. harness.backend_name;
local backend = require(harness.module_name);
harness.backend = backend;

-- IO_THREAD=true: the specs run with the I/O thread, which otherwise only load brings.
if os.getenv("IO_THREAD") then
	local set_config = backend.set_config;
	function backend.set_config(settings)
		if type(settings) ~= "table" then
			return set_config(settings);
		end
		local copy = { io_thread = os.getenv("IO_THREAD") == "true" };
		for key, value in next, settings do
			copy[key] = value;
		end
		return set_config(copy);
	end
	backend.set_config({});
end

harness.now = socket.gettime;

-- The value (or the result of the function) that this backend is held to.
-- Keys: epoll12, epoll13, epoll13_5 from 13.0.5 on, or epoll for all, and go.
function harness.deviation(why, values)
	assert(type(why) == "string", "a deviation needs its reason");
	local value;
	for _, key in ipairs(harness.go and { "go" } or harness.references) do
		value = values[key];
		if value ~= nil then break; end
	end
	if type(value) == "function" then
		return value();
	end
	return value;
end

-- Settings and logs --

function harness.settings(settings)
	backend.set_config(settings);
end

-- How many lines of that level match; they no longer count as unexpected.
function harness.logged(level, pattern)
	local count = 0;
	for _, line in ipairs(log_lines) do
		if line.level == level and line.message:find(pattern) then
			line.expected = true;
			count = count + 1;
		end
	end
	return count;
end

function harness.log_line(level, pattern)
	for _, line in ipairs(log_lines) do
		if line.level == level and line.message:find(pattern) then
			line.expected = true;
			return line;
		end
	end
end

-- File descriptors --

local function open_fds()
	local fds = {};
	for name in lfs.dir("/proc/self/fd") do
		local target = lfs.symlinkattributes("/proc/self/fd/" .. name, "target");
		-- The listing itself needs one.
		if target and not target:match("^/proc/%d+/fd$") then
			fds[name] = target;
		end
	end
	return fds;
end

function harness.count_fds()
	local count = 0;
	for _ in pairs(open_fds()) do
		count = count + 1;
	end
	return count;
end

-- Peers: LuaSocket objects, pumped while the loop runs --

local peers = {};
local peer_methods = {};
local peer_mt = { __index = peer_methods };

local function new_peer(sock)
	sock:settimeout(0);
	local peer = setmetatable({
		sock = sock;
		chunks = {};
		bytes = 0;
		unsent = "";
		reading = true;
	}, peer_mt);
	peers[peer] = true;
	return peer;
end
harness.wrap_peer = new_peer;

function peer_methods:send(data)
	self.unsent = self.unsent .. data;
	self:pump();
end

-- Everything received up to now
function peer_methods:data()
	if #self.chunks > 1 then
		self.chunks = { table.concat(self.chunks) };
	end
	return self.chunks[1] or "";
end

function peer_methods:pump()
	if not self.sock then return end
	if self.unsent ~= "" then
		local sent, _, partial = self.sock:send(self.unsent);
		self.unsent = self.unsent:sub((sent or partial or 0) + 1);
		if self.unsent == "" and self.half_close then
			self.sock:shutdown("send");
			self.half_close = nil;
		end
	end
	if not self.reading or self.ended then return end
	for _ = 1, 64 do
		local data, err, partial = self.sock:receive(65536);
		data = data or partial;
		if data and data ~= "" then
			table.insert(self.chunks, data);
			self.bytes = self.bytes + #data;
		end
		if err == "timeout" then return end
		if err then
			self.ended = err;
			return;
		end
	end
end

-- FIN once everything is sent
function peer_methods:finish_sending()
	if self.unsent == "" then
		self.sock:shutdown("send");
	else
		self.half_close = true;
	end
end

function peer_methods:close()
	peers[self] = nil;
	if self.sock then
		self.sock:close();
		self.sock = nil;
	end
end

-- RST
function peer_methods:reset()
	self.sock:setoption("linger", { on = true, timeout = 0 });
	self:close();
end

-- The loop --

local stop = {}; -- raised to get out of loop()
local waker = assert(socket.udp4());
assert(waker:setsockname("127.0.0.1", 0));
assert(waker:setpeername("127.0.0.1", (select(2, waker:getsockname()))));
waker:settimeout(0);

-- Run the loop until the condition holds. `what` completes the sentence
-- "waited in vain for ...". An error that leaves loop() is passed on. The
-- timeout is for slow machines: it costs time only when a spec fails.
function harness.run_until(condition, what, timeout)
	timeout = timeout or 15;
	collectgarbage();
	local deadline = socket.gettime() + timeout;
	local met, condition_error;
	local watch;
	local function leave_loop()
		-- Again in each tick: a callback in between may close all that there is.
		if watch then
			watch:close();
		end
		watch = backend.watchfd(waker:getfd(), function ()
			waker:receive();
			error(stop, 0);
		end);
		waker:send("stop");
		return 0.001;
	end
	local ticker = backend.add_task(0, function ()
		if watch then
			return leave_loop();
		end
		for peer in pairs(peers) do
			peer:pump();
		end
		local ok, ret = pcall(condition);
		met = ok and ret;
		if not ok then
			condition_error = ret;
		end
		if met or not ok or socket.gettime() > deadline then
			return leave_loop(); -- only now, for a spec may close all that there is
		end
		return 0.001;
	end);
	local ok, err = pcall(backend.loop);
	backend.timer.stop(ticker);
	if watch then
		watch:close();
	end
	-- An empty body: reading is all that there is to do.
	while waker:receive() do end -- luacheck: ignore 542
	collectgarbage();
	if ok then
		error(("loop() returned %s while waiting for %s"):format(tostring(err), tostring(what)), 2);
	elseif err ~= stop then
		error(err, 0);
	elseif condition_error then
		error(condition_error, 0);
	elseif not met then
		error(("waited %g s in vain for %s"):format(timeout, tostring(what or "a condition")), 2);
	end
	return met;
end

-- Let time pass, to see what does not happen.
function harness.run_for(seconds)
	local ending = socket.gettime() + seconds;
	harness.run_until(function ()
		return socket.gettime() >= ending;
	end, "time to pass", seconds + 30);
end

-- Recorders of callbacks --

local recorded_by_default = {
	"onconnect", "onincoming", "ondisconnect", "onreadtimeout", "onstatus", "onstarttls", "onattach", "ondetach",
};

local recorder_methods = {};
local recorder_mt = { __index = recorder_methods };
local conns = {}; -- of this spec, to be closed at its end

-- handlers: what the callbacks do besides being recorded; more: names to
-- record that are not recorded by default (ondrain and onpredrain).
function harness.recorder(handlers, more)
	local rec = setmetatable({ calls = {}; listeners = {}; chunks = {}; bytes = 0 }, recorder_mt);
	local function record(name)
		local handler = handlers and handlers[name];
		rec.listeners[name] = function (conn, ...)
			table.insert(rec.calls, { name = name, conn = conn, n = select("#", ...), ... });
			if type(conn) == "table" then
				conns[conn] = true;
			end
			if name == "onconnect" then
				rec.conn = conn;
			elseif name == "onincoming" then
				table.insert(rec.chunks, (...));
				rec.bytes = rec.bytes + #(...);
			end
			if handler then
				return handler(conn, ...);
			end
		end
	end
	for _, name in ipairs(recorded_by_default) do
		record(name);
	end
	for _, name in ipairs(more or {}) do
		record(name);
	end
	return rec;
end

-- Everything that onincoming was given
function recorder_methods:data()
	return table.concat(self.chunks);
end

function recorder_methods:count(name)
	local count = 0;
	for _, call in ipairs(self.calls) do
		if call.name == name then
			count = count + 1;
		end
	end
	return count;
end

-- The nth call of that name, as { name =, conn =, n =, arguments... }
function recorder_methods:call(name, nth)
	nth = nth or 1;
	for _, call in ipairs(self.calls) do
		if call.name == name then
			nth = nth - 1;
			if nth == 0 then
				return call;
			end
		end
	end
end

-- The names in order. How data is cut into chunks is nobody's promise, so
-- onincoming calls in a row count as one.
function recorder_methods:names()
	local names = {};
	for _, call in ipairs(self.calls) do
		if call.name ~= "onincoming" or names[#names] ~= "onincoming" then
			table.insert(names, call.name);
		end
	end
	return table.concat(names, " ");
end

function recorder_methods:wait(name, count)
	count = count or 1;
	harness.run_until(function ()
		return self:count(name) >= count;
	end, ("%d %s, calls so far: %s"):format(count, name, self:names()));
	return self:call(name, count);
end

function recorder_methods:wait_bytes(count, timeout)
	harness.run_until(function ()
		return self.bytes >= count;
	end, ("%d bytes in onincoming, calls so far: %s"):format(count, self:names()), timeout);
end

-- Exactly these calls in this order, and no more of them a moment later
function recorder_methods:expect(names)
	local ok, err = pcall(harness.run_until, function () return #self:names() >= #names; end, names);
	if not ok and not tostring(err):find("in vain", 1, true) then
		error(err, 0);
	end
	harness.run_for(0.02);
	local seen = self:names();
	if seen ~= names then
		error(("callbacks:\n\texpected %s\n\tseen     %s"):format(names, seen), 2);
	end
end

-- Listeners and connections --

local servers = {};
local next_port = 20000 + math.random(0, 5000);

-- LuaSocket's getsockname gives the port as a string.
function harness.port_of(sock)
	return math.tointeger(tonumber((select(2, sock:getsockname()))));
end

-- A port that nobody has, below those that the kernel gives to clients
function harness.free_port(addr)
	for _ = 1, 1000 do
		next_port = next_port + 1;
		local probe = socket.bind(addr or "127.0.0.1", next_port);
		if probe then
			probe:close();
			return next_port;
		end
	end
	error("no free port");
end

function harness.listen(listeners, config, addr)
	local port = harness.free_port();
	local server, err = backend.listen(addr or "127.0.0.1", port, listeners, config);
	if not server then
		error("listen: " .. tostring(err), 2);
	end
	servers[server] = true;
	return server, port;
end

-- Closed when the spec ends, unless it does so itself
function harness.track(conn_or_server)
	servers[conn_or_server] = true;
	return conn_or_server;
end

function harness.connect_peer(port, addr)
	local sock = addr and addr:find(":") and socket.tcp6() or socket.tcp4();
	assert(sock:connect(addr or "127.0.0.1", port));
	return new_peer(sock);
end

-- An accepted connection of the backend and the peer at its other end
function harness.accepted(rec, config)
	local _, port = harness.listen(rec.listeners, config);
	local peer = harness.connect_peer(port);
	local before = rec:count("onconnect");
	rec:wait("onconnect", before + 1);
	return rec.conn, peer;
end

-- An outgoing connection of the backend and the peer at its other end
function harness.outgoing(rec, read_size, extra)
	local listener = assert(socket.bind("127.0.0.1", 0));
	local port = harness.port_of(listener);
	local conn, raw = backend.addclient("127.0.0.1", port, rec.listeners, read_size, nil, nil, extra);
	if not conn then
		error("addclient: " .. tostring(raw), 2);
	end
	conns[conn] = true;
	local accepted = assert(listener:accept());
	listener:close();
	local peer = new_peer(accepted);
	rec:wait("onconnect");
	return conn, peer;
end

-- Each spec: nothing may be left over --

local fds_before;

function harness.start()
	collectgarbage();
	log_lines = {};
	fds_before = open_fds();
end

local function leftover_fds()
	local left = {};
	for fd, target in pairs(open_fds()) do
		if fds_before[fd] ~= target then
			table.insert(left, fd .. " " .. target);
		end
	end
	return left;
end

function harness.finish()
	for conn in pairs(conns) do
		conn:close();
	end
	for server in pairs(servers) do
		server.listeners = {}; -- the reference tells them that the server closes
		server:close();
	end
	for peer in pairs(peers) do
		peer:close();
	end
	conns, servers, peers = {}, {}, {};
	local ok, err = pcall(harness.run_until, function ()
		return #leftover_fds() == 0;
	end, "all fds to be closed");
	if not ok then
		err = tostring(err) .. "; left: " .. table.concat(leftover_fds(), ", ");
		backend.closeall();
		pcall(harness.run_for, 0.05);
	end
	backend.set_config({});
	local unexpected = {};
	for _, line in ipairs(log_lines) do
		if line.level == "error" and not line.expected then
			table.insert(unexpected, line.name .. ": " .. line.message);
		end
	end
	if not ok then
		error(err, 0);
	elseif #unexpected > 0 then
		error("logged as an error:\n" .. table.concat(unexpected, "\n"), 0);
	end
end

-- Scripts in a process of their own --

local script_path = ("package.path = %q .. package.path; io.stdout:setvbuf('line');\n"):format(here .. "/?.lua;");
local script_header = [[
local h = require "harness";
local backend = h.backend;
]];

-- Start Lua code in a new process, which has the harness. Returns the file of
-- its output. Options: `shell`, code to run before, such as a ulimit; `env`,
-- options of env(1); `launcher`, a command that runs the one behind it;
-- `seconds` after which it is killed; `plain`, for a script that loads the
-- harness itself.
function harness.start_script(code, options)
	options = options or {};
	local name = os.tmpname();
	local file = assert(io.open(name, "w"));
	file:write(script_path, options.plain and "" or script_header, code);
	file:close();
	local command = ("%s; timeout -k 1 %d env %s %s lua5.4 %s 2>&1; echo status $?; rm -f %s"):format(
		options.shell or ":", options.seconds or 60, options.env or "", options.launcher or "", name, name);
	return assert(io.popen(command));
end

-- The rest of what a script writes, and its exit status
function harness.end_script(pipe)
	local output = pipe:read("*a");
	pipe:close();
	local text, status = output:match("^(.*)status (%d+)\n$");
	return text, tonumber(status);
end

function harness.run_script(code, options)
	return harness.end_script(harness.start_script(code, options));
end

-- What the backend opens only once it runs is open before anyone counts.
do
	local rec = harness.recorder();
	harness.start();
	local conn = harness.accepted(rec);
	conn:close();
	pcall(harness.finish);
end

return harness;
