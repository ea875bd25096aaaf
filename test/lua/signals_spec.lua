-- Signals concern a whole process, so each spec has one of its own. Without
-- hook_signal Prosody has util.signal do it.
local h = require "harness";

local with_hook = [[
	local SIGHUP, SIGINT, SIGUSR1, SIGTERM = 1, 2, 10, 15;
	local pid = h.util "pposix".getpid();
	local signal = h.util "signal"; -- not os.execute, which ignores SIGINT meanwhile
	local function kill(number) assert(signal.kill(pid, number)); end
]];

local function run(code)
	if not h.backend.hook_signal then
		return;
	end
	local output, status = h.run_script(with_hook .. code, { seconds = 30 });
	return output, status;
end

-- 0.12 has no hook_signal; there is nothing to hold it to.
local function expect(expected, code, expected_status)
	local output, status = run(code);
	h.deviation("0.12 has no hook_signal", {
		epoll12 = function () assert.is_nil(output); end;
		epoll13 = function () assert.equal(expected, output); end;
		go = function ()
			assert.equal(expected, output);
			assert.equal(expected_status or 0, status);
		end;
	});
end

describe("hook_signal", function ()
	it("runs the handler on the loop, repeatedly #row57", function ()
		expect("hup\nhup\nterm\nquitting\n", [[
			local hups = 0;
			assert(backend.hook_signal(SIGHUP, function ()
				hups = hups + 1;
				print "hup";
				kill(hups == 1 and SIGHUP or SIGTERM);
			end));
			assert(backend.hook_signal(SIGTERM, function ()
				print "term";
				io.stdout:flush();
				backend.setquitting(true);
				if backend.get_backend() == "epoll" then os.exit(not print("quitting")); end
			end));
			backend.add_task(0, function () kill(SIGHUP); end);
			print(backend.loop());
		]], 0);
	end);

	it("wakes a loop that waits, from outside", function ()
		if not h.backend.hook_signal then return end -- 0.12 has none
		local pipe = h.start_script(with_hook .. [[
			backend.hook_signal(SIGTERM, function () print "term"; os.exit(0, true); end);
			print(pid);
			backend.loop();
		]], { seconds = 30 });
		local pid = tonumber((pipe:read("l")));
		require "socket".sleep(0.05);
		os.execute(("kill -TERM %d"):format(pid));
		local output, status = h.end_script(pipe);
		assert.equal("term\n", output);
		assert.equal(0, status);
	end);

	it("delivers what came before loop()", function ()
		expect("usr1\n", [[
			backend.hook_signal(SIGUSR1, function () print "usr1"; os.exit(0, true); end);
			kill(SIGUSR1);
			backend.loop();
		]]);
	end);

	it("lets the handler exit from a coroutine, and works when hooked in one", function ()
		expect("int\n", [[
			coroutine.wrap(function ()
				backend.hook_signal(SIGINT, function ()
					coroutine.wrap(function () print "int"; os.exit(0, true); end)();
				end);
			end)();
			collectgarbage();
			backend.add_task(0, function () kill(SIGINT); end);
			backend.loop();
		]]);
	end);

	it("logs an error in a handler and goes on", function ()
		expect("handled\n1\n", [[
			local calls = 0;
			backend.hook_signal(SIGUSR1, function ()
				calls = calls + 1;
				if calls == 1 then error("on purpose"); end
				print "handled";
				print(h.logged("error", "Error calling onsignal: .*on purpose"));
				os.exit(0, true);
			end);
			backend.add_task(0, function () kill(SIGUSR1); return calls < 2 and 0.05 or nil; end);
			backend.loop();
		]]);
	end);

	it("does not interrupt I/O", function ()
		expect("all\n", [[
			local signals = 0;
			backend.hook_signal(SIGUSR1, function () signals = signals + 1; end);
			local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
			local _, peer = h.accepted(rec);
			backend.add_task(0, function () kill(SIGUSR1); return signals < 5 and 0.005 or nil; end);
			peer:send(("x"):rep(1000000));
			h.run_until(function () return peer.bytes == 1000000 and signals >= 5; end, "the echo and the signals");
			print "all";
		]]);
	end);

	it("replaces an earlier handler", function ()
		local code = [[
			backend.hook_signal(SIGUSR1, function () print "first"; end);
			backend.hook_signal(SIGUSR1, function () print "second"; os.exit(0, true); end);
			backend.add_task(0, function () kill(SIGUSR1); end);
			backend.loop();
		]];
		h.deviation("13 keeps the first as well: each has a signalfd", {
			epoll = function () end;
			go = function () assert.equal("second\n", (run(code))); end;
		});
	end);

	it("leaves other signals as they are", function ()
		local output, status = h.run_script(with_hook .. [[
			if backend.hook_signal then backend.hook_signal(SIGHUP, function () end); end
			print "alive";
			io.stdout:flush();
			os.execute("kill -TERM " .. pid);
			backend.loop();
		]], { seconds = 30 });
		assert.equal("alive", output:match("^%a+"));
		assert.are_not.equal(0, status);
		assert.are_not.equal(124, status);
	end);

	it("leaves SIGPIPE ignored, as LuaSocket has made it", function ()
		local output, status = h.run_script([[
			local function ignored(number)
				for line in io.lines("/proc/self/status") do
					local mask = line:match("^SigIgn:%s*(%x+)");
					if mask then
						return tonumber(mask, 16) & 1 << (number - 1) ~= 0;
					end
				end
			end
			print(ignored(13));
			local rec = h.recorder();
			local conn, peer = h.accepted(rec);
			peer:reset();
			conn:write("to nobody");
			h.run_for(0.02);
			pcall(conn.write, conn, "to nobody");
			h.run_for(0.02);
			print "alive";
		]], { seconds = 30 });
		assert.equal("true\nalive\n", output);
		assert.equal(0, status);
	end);

	it("may be refused for a number that is none", function ()
		h.deviation("the reference raises or complains as it happens", {
			epoll = function () end;
			go = function ()
				for _, number in ipairs({ 0, -1, 65, 1e9, 9, 19 }) do
					local ok, ret, err = pcall(h.backend.hook_signal, number, function () end);
					assert.is_true(not ok and type(ret) == "string" or ret == nil and type(err) == "string", tostring(number));
				end
			end;
		});
	end);
end);

-- What /proc says of a thread's signals, as { SigBlk = mask, SigIgn = mask, SigCgt = mask }
local masks = [[
	local function masks(file)
		local found = {};
		for line in io.lines(file or "/proc/thread-self/status") do
			local name, mask = line:match("^(Sig%a%a%a):%s*(%x+)$");
			if name then found[name] = tonumber(mask, 16); end
		end
		return found;
	end
	local function bit(number) return 1 << (number - 1); end
]];

describe("the host's signals", function ()
	it("stay as they were, but for those that Go and libc need", function ()
		local output, status = h.run_script(masks .. [[
			local before = masks();
			local h = require "harness";
			h.run_for(0.02);
			local after = masks();
			-- SIGBUS, SIGFPE, SIGSEGV: Go's, which passes on those that are not its own. SIGURG
			-- interrupts goroutines. 33 is libc's: setuid for all threads. SIGPIPE is ignored by LuaSocket.
			local needed = bit(7) | bit(8) | bit(11) | bit(23) | bit(33) | bit(13);
			print(after.SigBlk == before.SigBlk, (after.SigIgn ~ before.SigIgn) & ~needed == 0,
				(after.SigCgt ~ before.SigCgt) & ~needed == 0);
		]], { plain = true; seconds = 30; env = "--block-signal=CHLD,PROF,TERM --ignore-signal=USR2,CHLD,WINCH" });
		assert.equal("true\ttrue\ttrue\n", output);
		assert.equal(0, status);
	end);

	it("come on its own thread: those of Go block them", function ()
		local output, status = h.run_script(masks .. [[
			local lfs = require "lfs";
			local own = lfs.symlinkattributes("/proc/thread-self", "target"):match("%d+$");
			local mine = bit(1) | bit(2) | bit(10) | bit(14) | bit(15) | bit(35)
				| bit(16) | bit(17) | bit(27) | bit(34); -- these Go itself would unblock
			for thread in lfs.dir("/proc/self/task") do
				if thread:match("%d") and thread ~= own then
					local blocked = masks("/proc/self/task/" .. thread .. "/status").SigBlk;
					if blocked & mine ~= mine then print(("%s: %x"):format(thread, blocked)); end
				end
			end
		]], { seconds = 30 });
		assert.equal("", output);
		assert.equal(0, status);
	end);

	it("are blocked on no other thread after a hook either", function ()
		local output, status = h.run_script(masks .. [[
			local before = masks();
			for _, number in ipairs({ 1, 2, 15, 17 }) do
				if backend.hook_signal then assert(backend.hook_signal(number, function () end)); end
			end
			h.run_for(0.02);
			local after, open = masks(), {};
			for thread in require "lfs".dir("/proc/self/task") do
				local file = thread:match("%d") and io.open("/proc/self/task/" .. thread .. "/status");
				if file then
					file:close();
					local blocked = masks("/proc/self/task/" .. thread .. "/status").SigBlk;
					if blocked & bit(17) == 0 then table.insert(open, thread); end
				end
			end
			print(#open <= 1, before.SigBlk == after.SigBlk);
		]], { seconds = 30 });
		h.deviation("13 blocks what it hooks", {
			epoll12 = function () assert.equal("true\ttrue\n", output); end;
			epoll13 = function () assert.equal("true\tfalse\n", output); end;
			go = function () assert.equal("true\ttrue\n", output); end;
		});
		assert.equal(0, status);
	end);

	it("end a wait, and their hooks of Lua run at once", function ()
		local output, status = h.run_script([[
			local signal = h.util "signal";
			local pid = h.util "pposix".getpid();
			local late = h.now() + 5;
			local count = 0;
			signal.signal("SIGUSR1", function ()
				count = count + 1;
				if count == 3 then os.exit(0, not print(h.now() < late and "three" or "late")); end
			end);
			os.execute(("(for i in 1 2 3; do sleep 0.1; kill -USR1 %d; done) &"):format(pid));
			backend.add_task(10, function () end);
			backend.loop();
		]], { seconds = 30 });
		assert.equal("three\n", output);
		assert.equal(0, status);
	end);

	it("may quit a loop that waits for nothing else, by a hook of Lua's", function ()
		local output, status = h.run_script([[
			local pid = h.util "pposix".getpid();
			h.util "signal".signal("SIGTERM", function () backend.setquitting(true); end);
			os.execute(("(sleep 0.1; kill -TERM %d) &"):format(pid));
			print(backend.loop());
		]], { seconds = 10 });
		assert.equal("quitting\n", output);
		assert.equal(0, status);
	end);

	it("let os.execute and io.popen answer right, 1,000 times", function ()
		local output, status = h.run_script([[
			local calls, wrong = 0, 0;
			local function call(code)
				local _, how, answer = os.execute("exit " .. code);
				local pipe = io.popen(("echo %d; exit %d"):format(calls, code));
				local said = pipe:read("n");
				local _, how2, answer2 = pipe:close();
				calls = calls + 2;
				return how == "exit" and answer == code and said == calls - 2 and how2 == "exit" and answer2 == code;
			end
			backend.add_task(0, function ()
				for _ = 1, 50 do
					if not call(calls % 256) then wrong = wrong + 1; end
				end
				return calls < 1000 and 0 or nil;
			end);
			h.run_until(function () return calls == 1000; end, "the last call", 100);
			print(calls, wrong);
		]], { seconds = 110 });
		assert.equal("1000\t0\n", output);
		assert.equal(0, status);
	end);

	it("reach a child as before", function ()
		local output, status = h.run_script([[
			local function child()
				local pipe = io.popen("grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status");
				local text = pipe:read("a");
				pipe:close();
				return text;
			end
			require "socket"; -- ignores SIGPIPE
			local before = child();
			local h = require "harness";
			h.run_for(0.02);
			local after = child();
			print(before == after or before .. after);
		]], { plain = true; seconds = 30; env = "--ignore-signal=USR2" });
		assert.equal("true\n", output);
		assert.equal(0, status);
	end);
end);

describe("a child process", function ()
	it("inherits none of the backend's descriptors", function ()
		local output, status = h.run_script([[
			local lfs = require "lfs";
			local function inherited()
				local fds = {};
				for fd in lfs.dir("/proc/self/fd") do
					local info = io.open("/proc/self/fdinfo/" .. fd);
					local flags = info and tonumber((info:read("a") or ""):match("flags:%s*(%d+)") or "", 8);
					if info then info:close(); end
					if flags and flags & 0x80000 == 0 then fds[fd] = true; end -- O_CLOEXEC
				end
				return fds;
			end
			local before = inherited();
			local _, port = h.listen({});
			h.run_for(0.02);
			assert(backend.addclient("127.0.0.1", port, {}));
			h.run_for(0.02);
			local count = 0;
			for fd in pairs(inherited()) do
				if not before[fd] then count = count + 1; end
			end
			print(count);
		]], { seconds = 30 });
		assert.equal(0, status, output);
		h.deviation("LuaSocket's sockets are inherited", {
			epoll = function () assert.equal("3\n", output); end;
			go = function () assert.equal("0\n", output); end;
		});
	end);
end);
