local h = require "harness";

describe("many connections", function ()
	it("echo at once, and leave nothing behind", function ()
		-- 4,000 fds and a few
		local output, status = h.run_script([[
			local count = 2000;
			h.start();
			local closed = 0;
			local rec = { onincoming = function (conn, data) conn:write(data); end };
			function rec.ondisconnect() closed = closed + 1; end
			local server, port = h.listen(rec);
			local peers = {};
			for i = 1, count do
				peers[i] = h.connect_peer(port);
				peers[i]:send(("%06d"):format(i):rep(100));
				if i % 100 == 0 then -- no more than a backlog at once
					h.run_until(function () return peers[i].bytes == 600; end, "echo " .. i, 20);
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
			h.run_until(all(function (peer) return peer.bytes == 600; end), "all echoes", 20);
			for round = 2, 4 do
				for i = 1, count do peers[i]:send(("%06d"):format(i):rep(100)); end
				h.run_until(all(function (peer) return peer.bytes == 600 * round; end), "all echoes", 20);
			end
			for i = 1, count do
				assert(peers[i]:data() == ("%06d"):format(i):rep(400), "echo of another");
			end
			for i = 1, count do peers[i]:close(); end
			h.run_until(function () return closed == count; end, "2,000 disconnects", 20);
			h.finish();
			print "done";
		]], { seconds = 60, shell = "ulimit -n 8192 2>/dev/null || ulimit -n $(ulimit -Hn)" });
		assert.equal("done\n", output);
		assert.equal(0, status);
	end);
end);
