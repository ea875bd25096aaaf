local h = require "harness";
local T = require "tls_harness";

-- Distinct lines, so that nothing lost or swapped goes unnoticed
local function numbered(size)
	local lines = {};
	for i = 1, size // 16 do
		lines[i] = ("%015d\n"):format(i);
	end
	return table.concat(lines);
end

local big = numbered(8 * 1024 * 1024);

local function wait_peer(peer, count)
	h.run_until(function () return peer.bytes >= count; end, ("%d bytes at the peer"):format(count), 30);
end

describe("data over TLS", function ()
	before_each(h.start);
	after_each(h.finish);

	for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
		it("comes whole and in order, both ways at once, with " .. protocol, function ()
			local rec = h.recorder();
			local conn, peer = T.accepted(rec, T.server(), { protocol = protocol }, { read_size = 4096 });
			h.deviation("13 sends at most max_send_chunk of a first write, and forgets the rest", {
				epoll13 = function ()
					for at = 1, #big, 1024 * 1024 do
						conn:write(big:sub(at, at + 1024 * 1024 - 1));
					end
				end;
				epoll12 = function () conn:write(big); end;
				go = function () conn:write(big); end;
			});
			peer:send(big);
			wait_peer(peer, #big);
			rec:wait_bytes(#big, 30);
			assert.is_true(peer:data() == big);
			assert.is_true(rec:data() == big);
			for _, chunk in ipairs(rec.chunks) do
				assert.truthy(#chunk <= 4096);
			end
			assert.equal(0, rec:count("ondisconnect"));
		end);

		it("is neither lost nor delivered over a pause, with " .. protocol, function ()
			local size = 8 * 1024 * 1024;
			local paused = false;
			local wrong = 0;
			local rec;
			rec = h.recorder({
				onincoming = function (conn)
					if paused then wrong = wrong + 1; end
					if rec.bytes > (rec.pauses or 0) * 1000000 then
						rec.pauses = (rec.pauses or 0) + 1;
						paused = true;
						conn:pause();
						h.backend.add_task(0.003, function ()
							paused = false;
							conn:resume();
						end);
					end
				end;
			});
			local _, peer = T.accepted(rec, T.server(), { protocol = protocol });
			peer:send(big);
			rec:wait_bytes(size, 30);
			assert.equal(0, wrong);
			assert.is_true(rec:data() == big);
			assert.truthy(rec.pauses >= 8);
		end);
	end

	it("is held back by pause_writes, until resume_writes or close #row25", function ()
		local rec = h.recorder();
		local conn, peer = T.accepted(rec, T.server());
		h.run_for(0.02);
		conn:pause_writes();
		assert.truthy((conn:write("held")));
		h.run_for(0.03);
		assert.equal("", peer:data());
		conn:resume_writes();
		wait_peer(peer, 4);
		conn:pause_writes();
		conn:write(" and closed");
		conn:close();
		h.run_until(function () return peer.ended; end, "the end at the peer");
		assert.equal("held and closed", peer:data());
		assert.equal("closed", peer.ended);
	end);

	it("is limited by setlimit #row67", function ()
		local rec = h.recorder();
		local conn, peer = T.accepted(rec, T.server());
		conn:setlimit(100000);
		local began = h.now();
		peer:send(("l"):rep(50000));
		rec:wait_bytes(50000);
		local took = h.now() - began;
		assert.truthy(took > 0.2 and took < 10, took);
		conn:setlimit(0);
		began = h.now();
		peer:send(("u"):rep(1000000));
		rec:wait_bytes(1050000);
		assert.truthy(h.now() - began < 8); -- under the limit it takes 10
	end);

	it("times out when the peer does not read #row26", function ()
		h.settings({ send_timeout = 0.3 });
		local rec = h.recorder();
		local conn, peer = T.accepted(rec, T.server());
		peer.reading = false;
		conn:write(big);
		assert.equal("write timeout", rec:wait("ondisconnect")[1]);
	end);

	it("fires ondrain when all of it has gone", function ()
		local rec = h.recorder(nil, { "ondrain" });
		local conn, peer = T.accepted(rec, T.server());
		rec:wait("ondrain");
		conn:write(("d"):rep(500000));
		rec:wait("ondrain", 2);
		wait_peer(peer, 500000);
		conn:write("");
		rec:wait("ondrain", 3);
		h.run_for(0.02);
		assert.equal(3, rec:count("ondrain"));
	end);

	for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
		it("tells at once that the peer is gone while paused, with " .. protocol, function ()
			local rec = h.recorder({ onincoming = function (conn) conn:pause(); end });
			local _, peer = T.accepted(rec, T.server(), { protocol = protocol });
			peer:send("request");
			rec:wait("onincoming");
			h.run_for(0.02);
			peer:close();
			rec:wait("ondisconnect");
			assert.equal("request", rec:data());
			assert.equal(1, rec:count("ondisconnect"));
		end);
	end

	it("passes through link #row65", function ()
		local left, right = h.recorder(), h.recorder();
		local a, pa = T.accepted(left, T.server());
		local b, pb = T.accepted(right, T.server());
		h.backend.link(a, b, 4096);
		h.backend.link(b, a, 4096);
		local part = big:sub(1, h.deviation("the reference does not go on with what OpenSSL has already decrypted", {
			epoll = 2000, go = 1024 * 1024,
		}));
		pa:send(part);
		pb:send(part);
		wait_peer(pa, #part);
		wait_peer(pb, #part);
		assert.is_true(pa:data() == part and pb:data() == part);
		pa:close();
		left:wait("ondisconnect");
	end);

	it("may be read by lines", function ()
		local lines = {};
		local rec = h.recorder({ onincoming = function (_, line) table.insert(lines, line); end });
		local _, peer = T.accepted(rec, T.server(), nil, { read_size = "*l" });
		peer:send("one\r\ntwo\nthree\n");
		h.run_until(function () return #lines == 3; end, "three lines");
		assert.same({ "one", "two", "three" }, lines);
	end);

	it("goes to the listeners of the moment #row36", function ()
		local later = h.recorder();
		local rec = h.recorder({ onconnect = function (conn) conn:setlistener(later.listeners, "data"); end });
		local _, peer = T.accepted(rec, T.server());
		peer:send("hello");
		later:wait_bytes(5);
		rec:expect("onstarttls onstatus onconnect ondetach");
		assert.equal("data", later:call("onattach")[1]);
	end);

	it("written to a dead connection harms nobody #row28", function ()
		local rec = h.recorder();
		local conn, peer = T.accepted(rec, T.server());
		local write = conn.write;
		peer:close();
		rec:wait("ondisconnect");
		assert.has_no_error(function ()
			write(conn, "late");
			conn:pause();
			conn:resume();
			conn:pause_writes();
			conn:resume_writes();
			conn:close();
		end);
		assert.is_nil(conn:socket());
	end);
end);

describe("what is not TLS", function ()
	before_each(h.start);
	after_each(h.finish);

	for _, case in ipairs {
		{ "GET / HTTP/1.1\r\n\r\n", "http request" };
		{ "<?xml version='1.0'?><stream:stream>", "wrong version number" };
	} do
		it("is told as " .. case[2], function ()
			local rec = h.recorder();
			local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
			local peer = h.connect_peer(port);
			peer:send(case[1]);
			assert.equal(case[2], rec:wait("ondisconnect")[1]);
			rec:expect("onstarttls ondisconnect");
			h.run_until(function () return peer.ended; end, "the end at the peer");
		end);
	end

	it("from many leaves the port at work, and nothing behind", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
		for i = 1, 30 do
			local peer = h.connect_peer(port);
			peer:send(({ "GET /\r\n", "\22\3\1", ("\0"):rep(100) })[i % 3 + 1]);
			peer:finish_sending();
		end
		rec:wait("ondisconnect", 30);
		T.wait_up(T.connect_peer(port));
	end);
end);

describe("connections with TLS that are over", function ()
	before_each(h.start);
	after_each(h.finish);

	it("are collected, with what they held", function ()
		local weak = setmetatable({}, { __mode = "k" });
		do
			local rec = h.recorder({ onstarttls = function (conn) weak[conn] = true; end });
			local ctx = T.server();
			local _, port = h.listen(rec.listeners, { tls_ctx = ctx, tls_direct = true });
			for _ = 1, 20 do
				T.connect_peer(port);
			end
			rec:wait("onconnect", 20);
			for conn in pairs(weak) do
				conn:close();
			end
			rec:wait("ondisconnect", 20);
		end
		h.finish(); -- what the harness remembers
		h.start();
		h.run_for(0.05);
		collectgarbage();
		collectgarbage();
		local left = 0;
		for _ in pairs(weak) do left = left + 1; end
		assert.equal(0, left);
	end);
end);
