local h = require "harness";

describe("many connections", function ()
	it("echo at once, and leave nothing behind", function ()
		-- 4,000 fds and a few
		local output, status = h.run_script([[
			local count = 2000;
			h.start();
			-- The entries of the registry, and the objects that its tables hold
			local function kept()
				local _ = ("x"):rep(1e5); -- Lua's own entry for large buffers
				collectgarbage(); collectgarbage();
				local entries, objects = 0, 0;
				for _, value in pairs(debug.getregistry()) do
					entries = entries + 1;
					for _, object in pairs(type(value) == "table" and value or {}) do
						local mt = type(object) == "table" and getmetatable(object);
						if type(mt) == "table" and type(mt.__index) == "table" and mt.__index.pause_writes then
							objects = objects + 1;
						end
					end
				end
				return entries, objects;
			end
			local entries, objects = kept();
			local closed = 0;
			local rec = { onincoming = function (conn, data) conn:write(data); end };
			function rec.ondisconnect() closed = closed + 1; end
			local server, port = h.listen(rec);
			local peers = {};
			for i = 1, count do
				peers[i] = h.connect_peer(port);
				peers[i]:send(("%06d"):format(i):rep(100));
				if i % 100 == 0 then -- no more than a backlog at once
					h.run_until(function () return peers[i].bytes == 600; end, "echo " .. i, 60);
				end
			end
			local function all(condition)
				return function ()
					for i = 1, count do
						if not condition(peers[i], i) then return false; end
					end
					return true;
				end
			end
			h.run_until(all(function (peer) return peer.bytes == 600; end), "all echoes", 60);
			for round = 2, 4 do
				for i = 1, count do peers[i]:send(("%06d"):format(i):rep(100)); end
				h.run_until(all(function (peer) return peer.bytes == 600 * round; end), "all echoes", 60);
			end
			for i = 1, count do
				assert(peers[i]:data() == ("%06d"):format(i):rep(400), "echo of another");
			end
			for i = 1, count do peers[i]:close(); end
			h.run_until(function () return closed == count; end, "2,000 disconnects", 60);
			h.finish();
			local entries_after, objects_after = kept();
			assert(entries_after == entries, ("%d registry entries, were %d"):format(entries_after, entries));
			assert(objects_after == objects, ("%d objects, were %d"):format(objects_after, objects));
			print "done";
		]], { seconds = 240, shell = "ulimit -n 8192 2>/dev/null || ulimit -n $(ulimit -Hn)" });
		assert.equal("done\n", output);
		assert.equal(0, status);
	end);
end);
