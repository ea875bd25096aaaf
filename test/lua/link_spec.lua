local h = require "harness";
local backend = h.backend;

describe("link", function ()
	before_each(h.start);
	after_each(h.finish);

	local function linked(rec_a, rec_b)
		local a, peer_a = h.accepted(rec_a);
		local b, peer_b = h.accepted(rec_b);
		backend.link(a, b, 4096);
		backend.link(b, a, 4096);
		return a, peer_a, b, peer_b;
	end

	it("passes bytes both ways, past the listeners #row65", function ()
		local rec_a, rec_b = h.recorder(), h.recorder();
		local _, peer_a, _, peer_b = linked(rec_a, rec_b);
		peer_a:send("from a");
		h.run_until(function () return peer_b.bytes == 6; end, "data at b");
		peer_b:send("from b");
		h.run_until(function () return peer_a.bytes == 6; end, "data at a");
		assert.equal("from a", peer_b:data());
		assert.equal("from b", peer_a:data());
		rec_a:expect("onconnect");
		rec_b:expect("onconnect");
	end);

	it("passes 2 MiB unchanged in both directions at once", function ()
		local size = 2 * 1024 * 1024;
		local _, peer_a, _, peer_b = linked(h.recorder(), h.recorder());
		local parts = {};
		for i = 1, size / 16 do
			parts[i] = ("%015d,"):format(i);
		end
		local from_a = table.concat(parts);
		local from_b = from_a:reverse();
		peer_a:send(from_a);
		peer_b:send(from_b);
		local arriving = h.deviation("the last of it stays in LuaSocket's buffer, where resume() does not look", {
			epoll = size - 8192, go = size,
		});
		h.run_until(function ()
			return peer_a.bytes >= arriving and peer_b.bytes >= arriving;
		end, "all bytes", 20);
		assert.is_true(peer_b:data() == from_a:sub(1, peer_b.bytes));
		assert.is_true(peer_a:data() == from_b:sub(1, peer_a.bytes));
	end);

	it("still tells both listeners of the end #row65", function ()
		local rec_a, rec_b = h.recorder(), h.recorder();
		local a, peer_a, b, peer_b = linked(rec_a, rec_b);
		rec_a.listeners.ondisconnect = function (conn)
			assert(conn == a);
			b:close();
		end
		peer_a:close();
		rec_b:wait("ondisconnect");
		h.run_until(function () return peer_b.ended; end, "the end at b");
		rec_b:expect("onconnect ondisconnect");
	end);

	it("holds back a sender whose receiver does not read #row65", function ()
		local _, peer_a, _, peer_b = linked(h.recorder(), h.recorder());
		peer_b.reading = false;
		peer_a:send(("x"):rep(48 * 1024 * 1024));
		local before;
		h.run_until(function ()
			local still = #peer_a.unsent;
			local stopped = before == still and still > 0;
			before = still;
			return stopped;
		end, "the sender to be held back", 20);
		h.run_for(0.05);
		assert.is_true(#peer_a.unsent > 1024 * 1024);
		peer_a:close();
	end);

	it("starts reading a paused source, as mod_proxy65 does", function ()
		local rec_a, rec_b = h.recorder(), h.recorder();
		local a, peer_a = h.accepted(rec_a);
		local b, peer_b = h.accepted(rec_b);
		a:pause();
		b:pause();
		peer_a:send("early from a");
		peer_b:send("early from b");
		h.run_for(0.01);
		backend.link(a, b, 4096);
		backend.link(b, a, 4096);
		h.run_until(function () return peer_a.bytes == 12 and peer_b.bytes == 12; end, "both");
		assert.equal("early from a", peer_b:data());
	end);
end);
