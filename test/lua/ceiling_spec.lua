-- max_total_buffer_size: a bound for what the buffers of all connections hold
-- together. server_epoll has none: there each connection has its own.

local h = require "harness";
local MB = 2^20;

local function stats() return h.backend.stats(); end

-- Each connection's own bound, 32 MiB on 13, is not to be the first.
local function ceiling(size)
	h.settings({ max_total_buffer_size = size; max_send_buffer_size = 400 * MB });
end

-- A connection whose peer does not read
local function deaf(config)
	local rec = h.recorder();
	local conn, peer = h.accepted(rec, config);
	peer.reading = false;
	return { rec = rec, conn = conn, peer = peer };
end

local function write(c, n)
	for _ = 1, n do -- of one large piece net.server_epoll of 13 loses what is beyond max_send_chunk
		c.conn:write(("x"):rep(MB));
	end
	h.run_for(0.05);
end

local function ended(...)
	local n = 0;
	for _, c in ipairs { ... } do n = n + c.rec:count("ondisconnect"); end
	return n;
end

describe("the ceiling of all buffers", function ()
	before_each(function () h.start(); ceiling(40 * MB); end);
	after_each(h.finish);

	it("closes the connection that holds the most", function ()
		local small, large, last = deaf(), deaf(), deaf();
		write(small, 12);
		write(large, 24);
		assert.equal(0, ended(small, large));
		write(last, 16);
		h.deviation("each connection has a bound of its own, and all together have none", {
			epoll = function ()
				assert.equal(0, ended(large));
			end;
			go = function ()
				assert.equal("no space left in buffer", large.rec:wait("ondisconnect")[1]);
				assert.equal(1, stats().buffers_full);
			end;
		});
		assert.equal(0, ended(small, last));
		small.peer.reading = true; -- the others go on
		h.run_until(function () return small.peer.bytes == 12 * MB; end, "what was written");
	end);

	it("can be raised while it is reached", function ()
		local one, other = deaf(), deaf();
		write(one, 34);
		ceiling(400 * MB);
		write(other, 30);
		assert.equal(0, ended(one, other));
	end);

	if h.epoll then return; end

	it("accepts nobody and does not read who holds much, until there is room", function ()
		local full, quiet = deaf(), h.recorder();
		local _, port = h.listen(quiet.listeners);
		write(full, 36);
		h.run_until(function () return stats().queues.buffered > 30 * MB; end, "what was written to be buffered");
		local errors = stats().accept_errors;
		h.connect_peer(port);
		full.peer:send("not yet");
		h.run_for(0.1);
		assert.equal(0, quiet:count("onconnect"));
		assert.is_true(stats().accept_errors > errors);
		assert.equal("", full.rec:data());
		full.peer.reading = true;
		h.run_until(function () return quiet:count("onconnect") == 1 and full.rec:data() == "not yet"; end, "room");
		assert.equal(0, ended(full));
		assert.equal(36 * MB, full.peer.bytes);
	end);

	it("counts nothing once all is gone", function ()
		local one, other, before = deaf(), deaf(), stats().buffers_full;
		write(one, 10);
		write(other, 10);
		one.peer:close();
		one.rec:wait("ondisconnect");
		other.peer.reading = true;
		h.run_until(function () return other.peer.bytes == 10 * MB and stats().queues.unsent == 0; end, "what was written");
		assert.equal(0, stats().queues.buffered);
		assert.equal(before, stats().buffers_full);
	end);
end);
