local h = require "harness";
local socket = require "socket";
local backend = h.backend;

describe("timeout", function ()
	before_each(h.start);
	after_each(h.finish);

	it("of reading asks onreadtimeout, and ends the connection unless handled #row23", function ()
		h.settings({ read_timeout = 0.1 });
		local times = {};
		local rec;
		rec = h.recorder({
			onreadtimeout = function ()
				table.insert(times, h.now());
				return #times < 3 or nil;
			end;
		});
		local started = h.now();
		local conn = h.accepted(rec);
		local call = rec:wait("ondisconnect");
		assert.equal("read timeout", call[1]);
		assert.equal(conn, call.conn);
		assert.equal(3, #times);
		for i, time in ipairs(times) do
			assert.is_true(time - started >= 0.098 * i);
		end
		rec:expect("onconnect onreadtimeout onreadtimeout onreadtimeout ondisconnect");
	end);

	it("of reading ends the connection when there is no onreadtimeout", function ()
		h.settings({ read_timeout = 0.05 });
		local rec = h.recorder();
		rec.listeners.onreadtimeout = nil;
		h.accepted(rec);
		assert.equal("read timeout", rec:wait("ondisconnect")[1]);
		assert.equal(1, h.logged("debug", "Read timeout not handled, disconnecting"));
	end);

	it("of reading takes what write returns for handled", function ()
		h.settings({ read_timeout = 0.05 });
		local rec = h.recorder({ onreadtimeout = function (conn) return conn:send(" "); end });
		local _, peer = h.accepted(rec);
		rec:wait("onreadtimeout", 3);
		h.run_until(function () return peer.bytes >= 3; end, "three pings");
		assert.equal(0, rec:count("ondisconnect"));
	end);

	it("of reading counts an error in onreadtimeout as not handled", function ()
		h.settings({ read_timeout = 0.05 });
		local rec = h.recorder({ onreadtimeout = function () error("on purpose"); end });
		h.accepted(rec);
		assert.equal("read timeout", rec:wait("ondisconnect")[1]);
		assert.equal(1, h.logged("error", "on purpose"));
	end);

	it("of reading starts again with each read", function ()
		h.settings({ read_timeout = 2.4 });
		local rec = h.recorder();
		local _, peer = h.accepted(rec);
		for i = 1, 3 do
			h.run_for(1);
			peer:send("x");
			rec:wait_bytes(i);
		end
		assert.equal(0, rec:count("onreadtimeout"));
		rec:wait("ondisconnect");
		rec:expect("onconnect onincoming onreadtimeout ondisconnect");
	end);

	it("of reading may close the connection in onreadtimeout", function ()
		h.settings({ read_timeout = 0.05 });
		local rec = h.recorder({
			onreadtimeout = function (conn)
				conn:close();
				return true;
			end;
		});
		h.accepted(rec);
		rec:wait("ondisconnect");
		assert.is_nil(rec:call("ondisconnect")[1]);
		rec:expect("onconnect onreadtimeout ondisconnect");
	end);

	it("of reading concerns outgoing connections too, from the first data on", function ()
		h.settings({ read_timeout = 0.2 });
		local rec = h.recorder();
		local _, peer = h.outgoing(rec);
		peer:send("x");
		rec:wait_bytes(1);
		assert.equal("read timeout", rec:wait("ondisconnect")[1]);
	end);

	it("of reading concerns outgoing connections that never got data", function ()
		h.settings({ read_timeout = 0.05 });
		local rec = h.recorder();
		h.outgoing(rec);
		h.deviation("the reference arms the timeout only after a read", {
			epoll = function () h.run_for(0.15); rec:expect("onconnect"); end;
			go = function () rec:expect("onconnect onreadtimeout ondisconnect"); end;
		});
	end);

	it("of reading is set and disarmed by setreadtimeout", function ()
		local rec = h.recorder();
		local conn = h.accepted(rec);
		conn:setreadtimeout(0.05);
		rec:wait("ondisconnect");
		rec:expect("onconnect onreadtimeout ondisconnect");
		h.settings({ read_timeout = 0.5 });
		rec = h.recorder();
		conn = h.accepted(rec);
		conn:setreadtimeout(false);
		h.run_for(0.7);
		rec:expect("onconnect");
		conn:setreadtimeout();
		assert.equal("read timeout", rec:wait("ondisconnect")[1]);
	end);

	it("of reading begins anew after pausefor", function ()
		h.settings({ read_timeout = 0.3 });
		local rec = h.recorder();
		local conn = h.accepted(rec);
		conn:setreadtimeout(false);
		conn:pausefor(0.01);
		local function ends() assert.equal("read timeout", rec:wait("ondisconnect")[1]); end
		h.deviation("before 13.0.6 nothing ends a connection that is silent after the pause", {
			epoll = function () h.run_for(0.5); rec:expect("onconnect"); end;
			epoll13_6 = ends;
			go = ends;
		});
	end);

	it("of writing ends a connection whose peer does not read #row26", function ()
		h.settings({ send_timeout = 0.1 });
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		peer.reading = false;
		conn:write(("x"):rep(16 * 1024 * 1024));
		assert.equal("write timeout", rec:wait("ondisconnect")[1]);
		rec:expect("onconnect ondisconnect");
	end);

	it("of writing does not end a connection that makes progress", function ()
		h.settings({ send_timeout = 1 });
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		local size = 24 * 1024 * 1024;
		for _ = 1, 24 do -- 13 loses what exceeds 4 MiB in one
			conn:write(("x"):rep(1024 * 1024));
		end
		-- Read a part now and then, for longer than the timeout.
		local started = h.now();
		peer.reading = false;
		while h.now() - started < 1.4 do
			peer.reading = true;
			peer:pump();
			peer.reading = false;
			h.run_for(0.04);
		end
		assert.equal(0, rec:count("ondisconnect"));
		peer.reading = true;
		h.run_until(function () return peer.bytes == size; end, "everything", 10);
	end);

	it("of writing is set and disarmed by setwritetimeout", function ()
		local rec = h.recorder();
		local conn = h.accepted(rec);
		conn:setwritetimeout(0.05);
		conn:setwritetimeout(false);
		h.run_for(0.1);
		rec:expect("onconnect");
		conn:setwritetimeout(0.05);
		assert.equal("write timeout", rec:wait("ondisconnect")[1]);
	end);

	it("of connecting ends an attempt that nobody answers", function ()
		h.settings({ connect_timeout = 0.1 });
		-- A listener with a full backlog leaves the SYN unanswered.
		local listener = assert(socket.tcp4());
		assert(listener:bind("127.0.0.1", 0));
		assert(listener:listen(0));
		local port = h.port_of(listener);
		local fillers = {};
		for i = 1, 4 do
			fillers[i] = socket.tcp4();
			fillers[i]:settimeout(0);
			fillers[i]:connect("127.0.0.1", port);
		end
		local rec = h.recorder();
		local started = h.now();
		assert(backend.addclient("127.0.0.1", port, rec.listeners, "*a"));
		local call = rec:wait("ondisconnect");
		assert.equal("connection timeout", call[1]);
		assert.is_true(h.now() - started >= 0.098);
		rec:expect("ondisconnect");
		listener:close();
		for _, filler in ipairs(fillers) do
			filler:close();
		end
	end);
end);
