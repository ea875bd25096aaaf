local h = require "harness";
local backend = h.backend;

local function fail() error("on purpose"); end

describe("error in a callback", function ()
	before_each(h.start);
	after_each(h.finish);

	it("is logged, and the connection goes on #row34", function ()
		local rec = h.recorder({ onconnect = fail });
		local conn, peer = h.accepted(rec);
		peer:send("x");
		rec:wait_bytes(1);
		rec:expect("onconnect onincoming");
		local line = h.log_line("error", "on purpose");
		assert.equal(conn.id, line.name);
		assert.truthy(line.message:find("^Error calling onconnect: "));
		assert.truthy(line.message:find("stack traceback"));
		assert.equal(1, h.logged("error", "on purpose"));
	end);

	it("is logged for every callback", function ()
		local rec = h.recorder({
			onincoming = fail, ondrain = fail, onpredrain = fail,
			ondetach = fail, onattach = fail, ondisconnect = fail,
		}, { "ondrain", "onpredrain" });
		local conn, peer = h.accepted(rec);
		peer:send("x");
		rec:wait_bytes(1);
		conn:write("y");
		rec:wait("ondrain");
		conn:setlistener(rec.listeners);
		conn:close();
		rec:expect("onconnect onincoming onpredrain ondrain ondetach onattach ondisconnect");
		for _, what in ipairs({ "incoming", "predrain", "drain", "detach", "attach", "disconnect" }) do
			assert.equal(1, h.logged("error", "^Error calling on" .. what .. ": "), what);
		end
		h.run_until(function () return peer.ended; end, "the end at the peer");
	end);

	it("is given to onerror, whose result is logged #row35", function ()
		local given;
		local rec = h.recorder({ onincoming = function () error("on purpose", 0); end });
		rec.listeners.onerror = function (...)
			given = { n = select("#", ...), ... };
			return "as told by onerror";
		end
		local _, peer = h.accepted(rec);
		peer:send("x");
		rec:wait("onincoming");
		assert.equal(1, h.logged("error", "^Error calling onincoming: as told by onerror$"));
		assert.equal(1, given.n);
		assert.equal("on purpose", given[1]);
		rec:expect("onconnect onincoming");
	end);

	it("may be any value", function ()
		local errors = { {}, 42, true, false, print };
		local rec = h.recorder({
			onincoming = function (_, data) error(errors[tonumber(data)]); end;
		});
		local _, peer = h.accepted(rec, { read_size = 1 });
		peer:send("123456");
		rec:wait_bytes(6);
		assert.equal(6, h.logged("error", "^Error calling onincoming: "));
		rec:expect("onconnect onincoming");
	end);

	it("in onerror itself is survived", function ()
		local rec = h.recorder({ onincoming = fail });
		rec.listeners.onerror = fail;
		local _, peer = h.accepted(rec);
		peer:send("x");
		rec:wait("onincoming");
		peer:send("y");
		rec:wait("onincoming", 2);
		assert.equal(2, h.logged("error", "^Error calling onincoming: "));
	end);

	it("of running out of stack is survived", function ()
		local rec = h.recorder({
			onincoming = function ()
				local function recurse(n) return 1 + recurse(n + 1); end
				return recurse(1);
			end;
		});
		local _, peer = h.accepted(rec);
		peer:send("x");
		rec:wait("onincoming");
		peer:send("y");
		rec:wait("onincoming", 2);
		assert.equal(2, h.logged("error", "stack overflow"));
	end);

	it("destroys the connection with fatal_errors, without a disconnect", function ()
		h.settings({ fatal_errors = true });
		local rec = h.recorder({ onincoming = fail });
		local conn, peer = h.accepted(rec);
		peer:send("x");
		h.run_until(function () return peer.ended; end, "the end at the peer");
		rec:expect("onconnect onincoming");
		assert.equal(-1, conn:getfd());
		assert.equal(1, h.logged("error", "^Closing due to error calling onincoming: .*on purpose"));
	end);

	it("leaves loop() with protect_listeners = false, and loop() may go on", function ()
		h.settings({ protect_listeners = false });
		local rec = h.recorder({
			onincoming = function (_, data)
				if data == "bad" then error("on purpose", 0); end
			end;
		});
		local _, peer = h.accepted(rec);
		peer:send("bad");
		local ok, err = pcall(rec.wait, rec, "ondisconnect");
		assert.is_false(ok);
		assert.equal("on purpose", err);
		peer:send("good");
		rec:wait_bytes(7);
		peer:close();
		rec:wait("ondisconnect");
	end);

	it("loses nothing for others where a timer has called loop() and caught it", function ()
		if h.epoll and h.prosody == 13 then
			return pending("its loop(true) raises an error of its own if a timer is pending");
		end
		h.settings({ protect_listeners = false });
		local got, failed = "", false;
		local function accept(name)
			local _, peer = h.accepted(h.recorder({ onincoming = function (_, data)
				if not failed then
					failed = true;
					error("on purpose");
				end
				got = got .. name .. data;
			end }));
			return peer;
		end
		local peer_a, peer_b = accept("a"), accept("b");
		local ok;
		backend.add_task(0, function ()
			peer_a:send("1");
			peer_b:send("1");
			require "socket".sleep(0.05);
			ok = pcall(backend.loop, true);
		end);
		h.run_until(function () return got ~= ""; end, "the other's data", 2);
		assert.is_false(ok);
	end);

	it("leaves setlistener and close with protect_listeners = false", function ()
		h.settings({ protect_listeners = false });
		local rec = h.recorder({ ondisconnect = fail, ondetach = fail });
		local conn = h.accepted(rec);
		assert.has.errors(function () conn:setlistener({}); end);
		conn.listeners = rec.listeners;
		assert.has.errors(function () conn:close(); end);
		h.settings({});
		conn:destroy();
	end);

	it("is missing listeners", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn.listeners = nil;
		peer:send("x");
		h.run_until(function ()
			return h.logged("error", "^Interface is missing listener callbacks") > 0;
		end, "the log line");
		conn.listeners = rec.listeners;
	end);

	it("of a watchfd leaves loop(), which may be called again #row59", function ()
		local socket = require "socket";
		local sender = assert(socket.udp4());
		local receiver = assert(socket.udp4());
		receiver:setsockname("127.0.0.1", 0);
		receiver:settimeout(0);
		local failure = { "a table" };
		local calls = 0;
		local watch = backend.watchfd(receiver:getfd(), function ()
			calls = calls + 1;
			receiver:receive();
			error(failure, 0);
		end);
		local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
		local _, peer = h.accepted(rec);
		for i = 1, 3 do
			sender:sendto("x", "127.0.0.1", h.port_of(receiver));
			local ok, err = pcall(h.run_for, 1);
			assert.is_false(ok);
			assert.equal(failure, err);
			assert.equal(i, calls);
			peer:send("x");
			h.run_until(function () return peer.bytes == i; end, "the echo");
		end
		watch:close();
		sender:close();
		receiver:close();
	end);

	it("does not lose the events of the same batch", function ()
		h.settings({ protect_listeners = false });
		local got = 0;
		local rec = h.recorder({
			onincoming = function ()
				got = got + 1;
				error("on purpose", 0);
			end;
		});
		local peers = {};
		local _, port = h.listen(rec.listeners);
		for i = 1, 20 do
			peers[i] = h.connect_peer(port);
		end
		rec:wait("onconnect", 20);
		for _, peer in ipairs(peers) do
			peer:send("x");
		end
		local raised = 0;
		for _ = 1, 20 do
			if not pcall(h.run_until, function () return got == 20; end) then
				raised = raised + 1;
			end
		end
		assert.equal(20, got);
		assert.equal(20, raised);
	end);
end);
