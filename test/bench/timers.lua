-- Adds timers on one backend, cancels half of them, runs the rest, prints the seconds of CPU time:  lua timers.lua BACKEND COUNT
local backend, count = arg[1], tonumber(arg[2]);

local server = require("net.server_" .. backend);

-- What util.timer uses of each.
local add_task = server.timer and server.timer.add_task or server.add_task;
local stop = server.timer and server.timer.stop or function (event) event:close(); end;

local spread = 1; -- seconds
local ran = 0;
local function run()
	ran = ran + 1;
	if ran == count / 2 then
		server.setquitting("once");
	end
end

math.randomseed(1); -- the same delays for each backend
local before = os.clock();
local timers = {};
for i = 1, count do
	timers[i] = add_task(math.random() * spread, run);
end
for i = 1, count, 2 do
	stop(timers[i]);
end
server.loop();
assert(ran == count / 2);
print(os.clock() - before);
