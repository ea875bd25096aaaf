-- Signals whose handlers other modules have installed, while connections come,
-- speak TLS and go: each is handled, and the process lives. It needs
-- test/c/storm.c as a module; GOMEMLIMIT=1B has Go collect garbage all the time.
--
--     signal_storm.lua [SIGNALS]
local count = math.tointeger(tonumber(arg[1] or 20000));

local storm = require "storm";
local SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, SIGRTMIN = 10, 12, 14, 17, 34;
storm.install(SIGUSR2, 64); -- before the backend is loaded

local h = require "harness";
local T = require "tls_harness";
local backend = h.backend;

storm.install(SIGALRM, 8);
storm.install(SIGCHLD, 8); -- Go unblocks this one and the next on its threads
storm.install(SIGRTMIN, 8);
storm.install(SIGUSR1, 64);

local function report(what, started, signals)
	local handled, hooks, misplaced, worst = storm.seen();
	local line = ("%-34s %6d of %d handled, %d misplaced, longest delay %.1f ms, %.1f s"):format(
		what, math.max(handled, hooks), signals, misplaced, worst * 1000, h.now() - started);
	print(line);
	assert(handled >= signals and misplaced == 0, line);
	return worst;
end

-- The load: clients of this process, each of which comes again
local connects, echoes = 0, 0;
local message = ("x"):rep(1000);

local function start_load()
	local server = T.server({ cert = "ec" });
	local client = T.client({});
	local connect;
	local _, port = h.listen({
		onconnect = function () end;
		onincoming = function (conn, data) conn:write(data); end;
		ondisconnect = function () end;
	}, { tls_ctx = server; tls_direct = true });
	local left = {};
	local listeners = {
		onconnect = function (conn) conn:write(message); end;
		onincoming = function (conn)
			echoes = echoes + 1;
			left[conn] = (left[conn] or 5) - 1;
			if left[conn] > 0 then conn:write(message); else conn:close(); end
		end;
		ondisconnect = function (conn)
			left[conn] = nil;
			connects = connects + 1;
			connect();
		end;
	};
	function connect()
		assert(backend.addclient("127.0.0.1", port, listeners, "*a", client));
	end
	for _ = 1, 8 do connect(); end
end

local function storm_of(what, number, signals)
	local started = h.now();
	assert(storm.send(number, signals));
	local ok;
	h.run_until(function ()
		ok = storm.finished();
		return ok ~= nil;
	end, "the last signal", 300);
	report(what, started, signals);
	assert(ok, what);
end

-- A wait ends, and Lua is told, as soon as a signal comes. 1 ms between two lets it begin.
local function waits_end()
	local started, signals = h.now(), 300;
	local ok;
	backend.add_task(20, function () error("the waits were not ended"); end);
	storm.hook(true);
	assert(storm.send(SIGALRM, signals, 1000));
	repeat
		backend.loop(true);
		ok = storm.finished();
	until ok ~= nil;
	storm.hook(false);
	report("Lua hooks in an idle loop(true)", started, signals);
	assert(ok);
end

-- The same within loop(), which has no Lua code to run between two waits, but
-- once a second.
local function waits_in_loop_end()
	local started, signals = h.now(), 300;
	local ok;
	storm.hook(true);
	assert(storm.send(SIGALRM, signals, 1000));
	backend.add_task(1, function ()
		ok = storm.finished();
		if ok == nil then return 1; end
		backend.setquitting(true);
	end);
	assert(backend.loop() == "quitting");
	backend.setquitting(false);
	storm.hook(false);
	local worst = report("Lua hooks in an idle loop()", started, signals);
	assert(ok and worst < 0.9);
end

if not (h.epoll and h.prosody == 13) then -- whose loop(true) raises an error if a timer is pending
	waits_end();
end
waits_in_loop_end();
start_load();
storm_of("8 KiB, installed late", SIGALRM, count);
storm_of("64 KiB, installed early", SIGUSR2, count // 4);
storm_of("64 KiB, installed late", SIGUSR1, count // 4);
storm_of("SIGCHLD", SIGCHLD, count // 2);
storm_of("the first realtime signal", SIGRTMIN, count // 2);
print(("meanwhile %d TLS connections, %d echoes"):format(connects, echoes));
assert(connects > 10);
