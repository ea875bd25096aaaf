-- Runs on Lua 5.1 to 5.4 and LuaJIT with nothing but the module:
--
--   lua5.1 test/lua/versions.lua build/lua5.1/?.so [exit|quit]
--
-- Echoes 10 MiB between a client and a server of this process, compares them,
-- and ends by os.exit in a callback ("exit") or by setquitting ("quit").

local cpath, ending = ...;
ending = ending or "exit";
if cpath then
	package.cpath = cpath .. ";" .. package.cpath;
end
local backend = require "net.server_go";

local size = 10 * 1024 * 1024;
local port = tonumber(os.getenv("PORT"));

-- Distinct lines, so that nothing lost or swapped goes unnoticed
local lines = {};
for i = 1, size / 16 do
	lines[i] = ("%015d\n"):format(i);
end
local data = table.concat(lines);
lines = nil; -- luacheck: ignore 311

local function finish(status)
	if ending == "quit" and status == 0 then
		backend.setquitting(true);
	elseif _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
		os.exit(status);
	else
		os.exit(status, true);
	end
end

local function check(ok, message)
	if not ok then
		io.stderr:write(message, "\n");
		os.exit(1);
	end
	return ok;
end

local server, err;
for try = port or 21000, port or 21999 do
	port = try;
	server, err = backend.listen("127.0.0.1", port, {
		onincoming = function (conn, chunk) conn:write(chunk); end;
	});
	if server then break end
end
check(server, "listen: " .. tostring(err));

local received, bytes = {}, 0;
local client;
client = check(backend.addclient("127.0.0.1", port, {
	onconnect = function (conn)
		check(conn == client, "onconnect of another connection");
		check(conn:write(data) == size, "write");
	end;
	onincoming = function (conn, chunk)
		received[#received + 1] = chunk;
		bytes = bytes + #chunk;
		if bytes >= size then
			check(table.concat(received) == data, "the echo differs");
			print(("%s: %d bytes echoed in %d chunks"):format(rawget(_G, "jit") and "LuaJIT" or _VERSION, bytes, #received));
			conn:close();
			coroutine.wrap(function () finish(0); end)();
		end
	end;
	ondisconnect = function (_, reason)
		check(bytes >= size, "disconnected: " .. tostring(reason));
	end;
}, "*a"));

backend.timer.add_task(60, function () check(false, "no end after a minute"); end);

-- Repeats, so that timers are seen to run beside it all
local ticks = 0;
backend.add_task(0, function ()
	ticks = ticks + 1;
	if ticks % 10 == 0 then
		collectgarbage();
	end
	return 0.001;
end);

-- Errors of finalizers must not pass through Go: LuaJIT would abort at once.
local set_config, settings = backend.set_config, { read_timeout = 840 };
local function leave_garbage()
	local function fail() error(debug.traceback("finalizer")); end
	for _ = 1, 5 do
		if newproxy then -- luacheck: ignore 113
			getmetatable(newproxy(true)).__gc = fail; -- luacheck: ignore 113
		else
			setmetatable({}, { __gc = fail });
		end
	end
end
local raised_inside = 0;
local function collect_in_set_config()
	collectgarbage("restart");
	set_config(settings);
end
local stepmul = collectgarbage("setstepmul", 100000);
if not _VERSION:find("5.4", 1, true) then -- there they are warnings
	for _ = 1, 200 do
		repeat until pcall(collectgarbage)
		collectgarbage("stop");
		leave_garbage();
		local ok, where = pcall(collect_in_set_config);
		collectgarbage("stop");
		if not ok and where:find("'set_config'", 1, true) then
			raised_inside = raised_inside + 1;
		end
	end
	repeat until pcall(collectgarbage)
	collectgarbage("restart");
end
collectgarbage("setstepmul", stepmul);
check(raised_inside == 0, "finalizers ran within set_config");

local ret = backend.loop();
check(ending == "quit" and ret == "quitting", "loop returned " .. tostring(ret));
check(ticks > 0, "no timer ran");
print("loop returned " .. ret);
