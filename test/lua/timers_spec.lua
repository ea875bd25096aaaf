local h = require "harness";
local backend = h.backend;
local timer = backend.timer;

describe("timer", function ()
	before_each(h.start);
	after_each(h.finish);

	it("is also add_task, and calls with wall-clock time and its id", function ()
		assert.equal(backend.add_task, timer.add_task);
		local got;
		local id = timer.add_task(0.01, function (...)
			got = { n = select("#", ...), ... };
		end);
		assert.truthy(id);
		assert.is_nil(got);
		h.run_until(function () return got; end, "the timer");
		assert.is_number(got[1]);
		assert.is_true(math.abs(got[1] - os.time()) < 10);
		assert.equal(id, got[2]);
		assert.is_nil(got[3]);
	end);

	it("passes its parameter, false too", function ()
		local seen = {};
		local param = {};
		local function callback(_, _, value) table.insert(seen, { value }); end
		timer.add_task(0, callback, param);
		timer.add_task(0.002, callback, false);
		timer.add_task(0.004, callback, nil);
		h.run_until(function () return #seen == 3; end, "three timers");
		assert.equal(param, seen[1][1]);
		assert.equal(false, seen[2][1]);
		assert.is_nil(seen[3][1]);
	end);

	it("does not fire early", function ()
		local started = h.now();
		local fired;
		timer.add_task(0.1, function () fired = h.now(); end);
		h.run_until(function () return fired; end, "the timer");
		assert.is_true(fired - started >= 0.099);
	end);

	it("has an id that is a table key of its own", function ()
		local ids = {};
		for _ = 1, 100 do
			local id = timer.add_task(60, print);
			assert.is_nil(ids[id]);
			ids[id] = true;
		end
		for id in pairs(ids) do
			timer.stop(id);
		end
	end);

	it("fires in the order of due times, and of insertion when equal", function ()
		local order = {};
		local function note(_, _, name) table.insert(order, name); end
		timer.add_task(0.03, note, "c");
		timer.add_task(0.01, note, "a");
		timer.add_task(0.02, note, "b");
		h.run_until(function () return #order == 3; end, "three timers");
		assert.equal("abc", table.concat(order));
	end);

	it("with no delay fires asynchronously, zero, negative and fractional", function ()
		for _, delay in ipairs({ 0, -1, 0.0001, -1e9 }) do
			local fired = false;
			timer.add_task(delay, function () fired = true; end);
			assert.is_false(fired);
			h.run_until(function () return fired; end, ("a timer of %g s"):format(delay));
		end
	end);

	it("added within a timer does not fire in the same tick #row42", function ()
		-- Data that arrived before is seen between the two.
		local order = {};
		local rec = h.recorder({ onincoming = function () table.insert(order, "data"); end });
		local _, peer = h.accepted(rec);
		timer.add_task(0.01, function ()
			table.insert(order, "outer");
			peer.sock:send("x");
			timer.add_task(0, function () table.insert(order, "inner"); end);
			table.insert(order, "outer ends");
		end);
		h.run_until(function () return #order >= 4; end, "both timers and the data");
		if os.getenv("IO_THREAD") then -- it may read the data later than Lua comes to the timer
			assert.same({ "outer", "outer ends" }, { order[1], order[2] });
		else
			assert.equal("outer, outer ends, data, inner", table.concat(order, ", "));
		end
	end);

	it("that returns 0 lets I/O in between", function ()
		local running = true;
		local turns = 0;
		timer.add_task(0, function ()
			turns = turns + 1;
			return running and 0 or nil;
		end);
		local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
		local _, peer = h.accepted(rec);
		peer:send("x");
		h.run_until(function () return peer.bytes == 1 and turns > 3; end, "the echo");
		running = false;
		local before = turns;
		h.run_for(0.02);
		assert.is_true(turns <= before + 1);
	end);

	it("repeats with the same id while it returns a number #row43", function ()
		local ids = {};
		local id = timer.add_task(0.001, function (_, me)
			table.insert(ids, me);
			if #ids < 4 then return 0.001; end
		end);
		h.run_until(function () return #ids == 4; end, "four calls");
		h.run_for(0.02);
		assert.same({ id, id, id, id }, ids);
	end);

	it("repeats on nothing but a number #row43", function ()
		local calls = 0;
		for _, ret in ipairs({ true, false, "0.001", "x", {}, print }) do
			timer.add_task(0, function ()
				calls = calls + 1;
				return ret;
			end);
		end
		h.run_for(0.03);
		assert.equal(6, calls);
	end);

	it("repeats with its parameter", function ()
		local seen = {};
		timer.add_task(0, function (_, _, param)
			table.insert(seen, param);
			return #seen < 3 and 0 or nil;
		end, "p");
		h.run_until(function () return #seen == 3; end, "three calls");
		assert.same({ "p", "p", "p" }, seen);
	end);

	it("is stopped by stop, which returns nothing", function ()
		local fired = false;
		local id = timer.add_task(0.005, function () fired = true; end);
		assert.equal(0, select("#", timer.stop(id)));
		timer.stop(id);
		h.run_for(0.03);
		assert.is_false(fired);
	end);

	it("that stops itself does not repeat #row44", function ()
		local calls = 0;
		timer.add_task(0, function (_, id)
			calls = calls + 1;
			timer.stop(id);
			return calls < 5 and 0.001 or nil;
		end);
		local expected = h.deviation("13 before 13.0.5 forgets the stop when the timer is not in its heap", {
			epoll12 = 1, epoll13 = 5, epoll13_5 = 1, go = 1,
		});
		h.run_until(function () return calls >= expected; end, "the repetitions");
		h.run_for(0.05);
		assert.equal(expected, calls);
	end);

	it("stopped by another in the same tick does not repeat", function ()
		local repeated = 0;
		local repeating;
		repeating = timer.add_task(0, function ()
			repeated = repeated + 1;
			return repeated < 3 and 0.001 or nil;
		end);
		timer.add_task(0, function () timer.stop(repeating); end);
		-- Let both be due before the loop runs.
		local due = h.now() + 0.005;
		repeat until h.now() > due;
		local expected = h.deviation("the reference decides to repeat before the other has stopped it", {
			epoll = 3, go = 1,
		});
		h.run_until(function () return repeated >= expected; end, "the repetitions");
		h.run_for(0.05);
		assert.equal(expected, repeated);
	end);

	it("stopped by another before its turn in the same tick does not fire", function ()
		local fired = false;
		local second;
		timer.add_task(0, function () timer.stop(second); end);
		second = timer.add_task(0.001, function () fired = true; end);
		local due = h.now() + 0.005;
		repeat until h.now() > due;
		h.run_for(0.03);
		assert.is_false(fired);
	end);

	it("is moved by reschedule, which returns nothing", function ()
		local fired;
		local id = timer.add_task(60, function () fired = h.now(); end);
		assert.equal(0, select("#", timer.reschedule(id, 0.01)));
		h.run_until(function () return fired; end, "the timer");
		fired = nil;
		local started = h.now();
		id = timer.add_task(0.01, function () fired = h.now(); end);
		timer.reschedule(id, 0.1);
		h.run_until(function () return fired; end, "the timer");
		assert.is_true(fired - started >= 0.099);
	end);

	it("ignores ids that it does not know #row45", function ()
		local id = timer.add_task(0, function () end);
		h.run_for(0.01);
		timer.stop(id);
		timer.reschedule(id, 0);
		for _, unknown in ipairs({ 987654321.5, -1, "x", {}, true, print }) do
			timer.stop(unknown);
			timer.reschedule(unknown, 1);
		end
		local fired = false;
		timer.add_task(0, function () fired = true; end);
		h.run_until(function () return fired; end, "a timer afterwards");
	end);

	it("ignores a nil id #row45", function ()
		local function raises() assert.has.errors(function () timer.stop(nil); end); end
		h.deviation("0.12 and 13.0.5 raise an error about a nil index", {
			epoll12 = raises;
			epoll13_5 = raises;
			epoll13 = function () timer.stop(nil); end;
			go = function () timer.stop(nil); end;
		});
	end);

	it("accepts an infinite delay #row45", function ()
		local fired = false;
		local id = timer.add_task(math.huge, function () fired = true; end);
		assert.truthy(id);
		h.run_for(0.02);
		assert.is_false(fired);
		timer.reschedule(id, 0);
		h.run_until(function () return fired; end, "the rescheduled timer");
		id = timer.add_task(0, print);
		timer.reschedule(id, math.huge);
		h.run_for(0.02);
		timer.stop(id);
	end);

	it("that raises is logged and dropped, and the others go on #row46", function ()
		local others = 0;
		timer.add_task(0, function () error("broken on purpose"); end);
		timer.add_task(0, function ()
			others = others + 1;
			return others < 3 and 0.001 or nil;
		end);
		local rec = h.recorder();
		local _, peer = h.accepted(rec);
		peer:send("x");
		rec:wait_bytes(1);
		h.run_until(function () return others == 3; end, "the other timer");
		local line = h.log_line("error", "broken on purpose");
		assert.truthy(line.message:find("^Error in timer: "));
		assert.truthy(line.message:find("stack traceback"));
		assert.equal(1, h.logged("error", "broken on purpose"));
	end);

	it("may raise a value that is no string", function ()
		local survived = false;
		timer.add_task(0, function () error({}); end);
		timer.add_task(0, function () error(nil); end);
		timer.add_task(0.005, function () survived = true; end);
		h.run_until(function () return survived; end, "the next timer");
		assert.equal(2, h.logged("error", "^Error in timer: "));
	end);

	it("may yield no coroutine of the loop's", function ()
		-- Callbacks run on the main thread, where a yield is an error.
		local is_main;
		local ran = false;
		timer.add_task(0, function ()
			is_main = select(2, coroutine.running());
			ran = true;
		end);
		local outer = select(2, coroutine.running());
		h.run_until(function () return ran; end, "the timer");
		assert.equal(outer, is_main);
	end);

	it("may be added in a coroutine that is dead when it fires", function ()
		local fired = 0;
		for _ = 1, 10 do
			coroutine.wrap(function ()
				timer.add_task(0.005, function () fired = fired + 1; end);
			end)();
		end
		collectgarbage();
		h.run_until(function () return fired == 10; end, "ten timers");
	end);

	it("keeps its callback alive and lets it go afterwards", function ()
		local weak = setmetatable({}, { __mode = "k" });
		local fired = false;
		do
			local captured = {};
			weak[captured] = true;
			timer.add_task(0.005, function () fired = captured ~= nil; end);
			local stopped = {};
			weak[stopped] = true;
			timer.stop(timer.add_task(60, function () return stopped; end));
			local param = {};
			weak[param] = true;
			timer.add_task(0, function () end, param);
		end
		collectgarbage();
		h.run_until(function () return fired; end, "the timer");
		h.run_for(0.01);
		collectgarbage();
		collectgarbage();
		assert.is_nil(next(weak));
	end);

	it("serves thousands", function ()
		local fired = 0;
		local ids = {};
		for i = 1, 5000 do
			ids[i] = timer.add_task((i * 7919 % 50) / 1000, function () fired = fired + 1; end);
		end
		for i = 1, 5000, 5 do
			timer.stop(ids[i]);
		end
		h.run_until(function () return fired == 4000; end, "4000 timers");
		h.run_for(0.06);
		assert.equal(4000, fired);
	end);

	it("converts to absolute time", function ()
		local monotonic = h.util("time").monotonic();
		local absolute = timer.to_absolute_time(monotonic + 10);
		assert.is_true(math.abs(absolute - (os.time() + 10)) < 5);
	end);

	it("is what Prosody's util.timer is made of", function ()
		for _, name in ipairs({ "add_task", "stop", "reschedule", "to_absolute_time" }) do
			assert.is_function(timer[name]);
		end
	end);

	it("is also called addtimer", function ()
		h.deviation("the reference has that name for itself only", {
			epoll = function () assert.is_nil(backend.addtimer); end;
			go = function ()
				local fired = false;
				assert.truthy(backend.addtimer(0, function () fired = true; end));
				h.run_until(function () return fired; end, "the timer");
			end;
		});
	end);
end);
