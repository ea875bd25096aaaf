-- Go's threads do not survive a fork. What calls into Go in the child would
-- wait for them for ever; it has to say so instead.
local h = require "harness";

describe("a forked child", function ()
	it("is told that it cannot use the backend, and the parent goes on", function ()
		local output, status = h.run_script([[
			local server = assert(backend.listen("127.0.0.1", 0, {}));
			local name = os.tmpname();
			local _, child = h.util "pposix".daemonize();
			if not child then
				local answers = {};
				for i, call in ipairs {
					function () return backend.add_task(0, print); end;
					function () return backend.listen("127.0.0.1", 0, {}); end;
					function () return server:close(); end;
					function () return backend.get_backend() == "epoll" or backend.loop(); end;
				} do
					local ok, err = pcall(call);
					answers[i] = (ok and "worked" or tostring(err):match("forked process") or tostring(err)) .. "\n";
				end
				local file = io.open(name .. ".part", "w");
				file:write(table.concat(answers));
				file:close();
				os.rename(name .. ".part", name);
				os.exit(0);
			end
			backend.add_task(0.01, function ()
				local answers = io.open(name):read("*a");
				if answers == "" then return 0.01; end
				os.remove(name);
				io.write(answers, "parent\n");
				io.stdout:flush();
				os.exit(0, true);
			end);
			backend.loop();
		]], { seconds = 60 });
		assert.equal(0, status, output);
		h.deviation("the reference has no threads", {
			epoll = function () assert.equal(("worked\n"):rep(4) .. "parent\n", output); end;
			go = function () assert.equal(("forked process\n"):rep(4) .. "parent\n", output); end;
		});
	end);

	it("ends by os.exit(0, true), which closes the Lua state", function ()
		local output, status = h.run_script([[
			local pposix = h.util "pposix";
			local server = assert(backend.listen("127.0.0.1", 0, {}));
			local name = os.tmpname();
			local _, child = pposix.daemonize();
			if not child then
				local file = io.open(name, "w");
				file:write(pposix.getpid());
				file:close();
				os.exit(0, true);
			end
			local lfs = require "lfs";
			h.run_until(function ()
				local pid = io.open(name):read("n");
				return pid and not lfs.attributes("/proc/" .. pid);
			end, "the end of the child");
			os.remove(name);
			server:close();
			print "parent";
		]], { seconds = 60 });
		assert.equal("parent\n", output);
		assert.equal(0, status);
	end);
end);
