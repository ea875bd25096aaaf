local h = require "harness";

describe("flow control", function ()
	before_each(h.start);
	after_each(h.finish);

	it("delivers nothing while paused, and everything in order afterwards #row24", function ()
		h.settings({ read_timeout = 0.5 });
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn:pause();
		local expected = {};
		for i = 1, 1000 do
			expected[i] = i .. ";";
			peer:send(expected[i]);
		end
		h.run_for(0.7); -- more than read_timeout
		rec:expect("onconnect");
		h.settings({});
		conn:resume();
		expected = table.concat(expected);
		rec:wait_bytes(#expected);
		assert.equal(expected, rec:data());
		rec:expect("onconnect onincoming");
	end);

	it("re-arms the read timeout on resume", function ()
		h.settings({ read_timeout = 0.5 });
		local rec = h.recorder();
		local conn = h.accepted(rec);
		conn:pause();
		h.run_for(0.7);
		rec:expect("onconnect");
		conn:resume();
		assert.equal("read timeout", rec:wait("ondisconnect")[1]);
		rec:expect("onconnect onreadtimeout ondisconnect");
	end);

	it("holds what follows when paused in onincoming", function ()
		local chunks = 0;
		local rec = h.recorder({
			onincoming = function (conn)
				chunks = chunks + 1;
				conn:pause();
			end;
		});
		local conn, peer = h.accepted(rec, { read_size = 100 });
		peer:send(("x"):rep(1000));
		rec:wait("onincoming");
		h.run_for(0.02);
		assert.equal(1, chunks);
		h.deviation("what is in LuaSocket's buffer waits there until more arrives", {
			epoll = function ()
				conn:resume();
				h.run_for(0.02);
				assert.equal(1, chunks);
				peer:send("more");
				rec:wait("onincoming", 2);
			end;
			go = function ()
				for i = 1, 9 do
					conn:resume();
					rec:wait("onincoming", i + 1);
					h.run_for(0.005);
					assert.equal(i + 1, chunks);
					assert.equal(100 * (i + 1), rec.bytes);
				end
				conn:resume();
			end;
		});
		rec:expect("onconnect onincoming");
	end);

	it("resumes within the same callback", function ()
		local rec = h.recorder({
			onincoming = function (conn)
				conn:pause();
				conn:resume();
			end;
		});
		local _, peer = h.accepted(rec, { read_size = 10 });
		peer:send(("x"):rep(100));
		rec:wait_bytes(100);
		rec:expect("onconnect onincoming");
	end);

	it("pauses once, however often it is asked to", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn:pause();
		conn:pause();
		peer:send("x");
		h.run_for(0.02);
		assert.equal(0, rec.bytes);
		conn:resume();
		rec:wait_bytes(1);
	end);

	it("pause in onconnect prevents the first read", function ()
		local rec = h.recorder({ onconnect = function (conn) conn:pause(); end });
		local _, port = h.listen(rec.listeners);
		local peer = h.connect_peer(port);
		peer:send("early");
		rec:wait("onconnect");
		h.run_for(0.02);
		-- The reference reads once whatever onconnect did; whether data is there
		-- by then is a matter of luck, here it is.
		h.deviation("the reference reads after onconnect all the same", {
			epoll = function () assert.equal("early", rec:data()); end;
			go = function () assert.equal("", rec:data()); end;
		});
		rec.conn:resume();
		rec:wait_bytes(5);
		assert.equal("early", rec:data());
	end);

	it("bounds what it takes in while paused", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn:pause();
		peer:send(("x"):rep(32 * 1024 * 1024));
		-- The kernel may take its time to fill what it has of buffers.
		local before;
		repeat
			before = #peer.unsent;
			h.run_for(0.3);
		until #peer.unsent == before;
		assert.is_true(before > 1024 * 1024); -- the flood has stopped
		assert.equal(0, rec.bytes);
		peer:close();
	end);

	for how, leave in pairs {
		["a close"] = function (peer) peer:close(); end;
		["a half-close"] = function (peer) peer:finish_sending(); end;
		["a reset"] = function (peer) peer:reset(); end;
	} do
		-- Otherwise mod_bosh goes on sending to a client that went away while
		-- its request was held.
		it("sees " .. how .. " by the peer while paused, at once", function ()
			local rec = h.recorder({ onincoming = function (conn) conn:pause(); end });
			local _, peer = h.accepted(rec);
			peer:send("request");
			rec:wait("onincoming");
			h.run_for(0.02);
			leave(peer);
			rec:wait("ondisconnect");
			rec:expect("onconnect onincoming ondisconnect");
		end);
	end

	it("does not see a close behind data while paused, then does", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn:pause();
		peer:send("last words");
		peer:close();
		h.run_for(0.02);
		h.deviation("the reference reads when the peer hangs up, paused or not", {
			epoll = function () rec:wait_bytes(#"last words"); end;
			go = function () rec:expect("onconnect"); end;
		});
		conn:resume();
		rec:wait("ondisconnect");
		assert.equal("last words", rec:data());
		rec:expect("onconnect onincoming ondisconnect");
	end);

	it("still writes while reads are paused", function ()
		local conn, peer = h.accepted(h.recorder());
		conn:pause();
		conn:write("hello");
		h.run_until(function () return peer.bytes == 5; end, "the data");
	end);

	it("may close while paused", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn:pause();
		peer:send("unread");
		h.run_for(0.01);
		conn:close();
		h.run_until(function () return peer.ended; end, "the end at the peer");
		rec:expect("onconnect ondisconnect");
	end);

	it("keeps output until resume_writes #row25", function ()
		local rec = h.recorder(nil, { "ondrain" });
		local conn, peer = h.accepted(rec);
		conn:pause_writes();
		assert.truthy(conn:write("held "));
		assert.truthy(conn:write("back"));
		h.run_for(0.03);
		assert.equal(0, peer.bytes);
		conn:resume_writes();
		h.run_until(function () return peer.bytes == 9; end, "the data");
		assert.equal("held back", peer:data());
		rec:expect("onconnect ondrain");
	end);

	it("sends kept output on close #row25", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn:pause_writes();
		conn:write("held back");
		conn:close();
		h.run_until(function () return peer.ended; end, "the end at the peer");
		assert.equal("held back", peer:data());
		rec:expect("onconnect ondisconnect");
	end);

	it("does not count pause_writes", function ()
		local conn, peer = h.accepted(h.recorder());
		conn:pause_writes();
		conn:pause_writes();
		conn:write("x");
		conn:resume_writes();
		h.run_until(function () return peer.bytes == 1; end, "the data");
		conn:resume_writes();
		conn:write("y");
		h.run_until(function () return peer.bytes == 2; end, "more data");
	end);

	it("has no write timeout while writes are paused", function ()
		h.settings({ send_timeout = 0.05 });
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn:pause_writes();
		conn:write("x");
		h.run_for(0.12);
		rec:expect("onconnect");
		conn:resume_writes();
		h.run_until(function () return peer.bytes == 1; end, "the data");
	end);

	it("reads while writes are paused", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn:pause_writes();
		peer:send("x");
		rec:wait_bytes(1);
	end);

	it("pauses for a while with pausefor", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn:pausefor(0.1);
		local started = h.now();
		peer:send("x");
		rec:wait_bytes(1);
		assert.is_true(h.now() - started >= 0.09);
	end);

	it("paces reads with setlimit, and not any more after 0 #row67", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec, { read_size = 2000 });
		conn:setlimit(20000);
		local started = h.now();
		peer:send(("x"):rep(10000));
		rec:wait_bytes(10000);
		-- the pause that follows the last chunk is not waited for
		assert.is_true(h.now() - started >= 0.35, h.now() - started);
		conn:setlimit(0);
		peer:send(("x"):rep(400000)); -- would take 20 s
		rec:wait_bytes(410000);
	end);

	it("pauses and resumes an outgoing one before it is connected", function ()
		local rec = h.recorder({ onconnect = function (conn) conn:pause(); end });
		local conn, peer = h.outgoing(rec);
		peer:send("x");
		h.run_for(0.02);
		rec:expect("onconnect");
		conn:resume();
		rec:wait_bytes(1);
	end);
end);
