-- What ends a loop ends the process's: these run in processes of their own.
local h = require "harness";

-- Exit status, output; a process that hangs is killed (status 124).
local function run(code, options)
	options = options or {};
	options.seconds = options.seconds or 30;
	local output, status = h.run_script(code, options);
	return status, output;
end

describe("loop", function ()
	it("returns 'quitting' when told before #row60", function ()
		local status, output = run([[
			backend.setquitting(true);
			print(backend.loop());
		]]);
		assert.equal("quitting\n", output);
		assert.equal(0, status);
	end);

	it("returns 'quitting' when told in a callback, after all has been closed", function ()
		local status, output = run([[
			local rec = h.recorder();
			local conn, peer = h.accepted(rec);
			h.outgoing(h.recorder({ ondisconnect = function () print "outgoing"; end }));
			rec.listeners.ondisconnect = function (c, reason) print("accepted", c == conn, reason); end
			backend.add_task(0, function () backend.setquitting(true); end);
			local started = h.now();
			print(backend.loop());
			print(h.now() - started < 4, conn:getfd());
		]]);
		local lines = {};
		for line in output:gmatch("[^\n]+") do lines[line] = true; end
		assert.is_true(lines["accepted\ttrue\tnil"], output);
		assert.is_true(lines["outgoing"], output);
		assert.is_true(lines["quitting"], output);
		assert.is_true(lines["true\t-1"], output);
		assert.equal(0, status);
	end);

	it("sends what is buffered before it returns", function ()
		local status, output = run([[
			local conn, peer = h.accepted(h.recorder());
			local size = 1024 * 1024;
			conn:write(("x"):rep(size));
			backend.setquitting(true);
			backend.add_task(0.001, function () peer:pump(); return 0.001; end);
			print(backend.loop());
			peer.sock:settimeout(0.5);
			peer:pump();
			print(peer.bytes == size, peer.ended);
		]]);
		assert.equal(h.deviation("13 returns at once and drops what is buffered", {
			epoll12 = "quitting\ntrue\tclosed\n", epoll13 = "quitting\nfalse\tnil\n", go = "quitting\ntrue\tclosed\n",
		}), output);
		assert.equal(0, status);
	end);

	it("ends what does not finish at shutdown_deadline", function ()
		local status, output = run([[
			h.settings({ shutdown_deadline = 0.2 });
			local conn, peer = h.accepted(h.recorder());
			conn:write(("x"):rep(16 * 1024 * 1024)); -- nobody reads it
			h.run_for(0.05);
			peer.reading = false;
			backend.setquitting(true);
			print(backend.loop());
		]], { seconds = 30 });
		assert.equal("quitting\n", output);
		assert.equal(0, status);
	end);

	it("goes on when quitting is taken back", function ()
		local status, output = run([[
			local late = false;
			backend.setquitting(true);
			backend.setquitting(false);
			backend.add_task(0.05, function () late = true; backend.setquitting(true); end);
			print(backend.loop(), late);
		]]);
		assert.equal("quitting\ttrue\n", output);
		assert.equal(0, status);
	end);

	it("does not return because there is nothing to do", function ()
		local status, output = run([[
			backend.add_task(0.1, function () print "still there"; end);
			print(backend.loop());
		]], { seconds = 5 });
		assert.equal("still there\n", output);
		assert.equal(124, status); -- killed
	end);

	it("serves while the closing of others takes time", function ()
		local status, output = run([[
			local slow, slow_peer = h.accepted(h.recorder());
			slow_peer.reading = false;
			slow:write(("x"):rep(16 * 1024 * 1024));
			local ticks = 0;
			backend.add_task(0.01, function ()
				ticks = ticks + 1;
				if ticks == 10 then slow_peer:close(); end
				return 0.01;
			end);
			backend.setquitting(true);
			print(backend.loop());
			print(ticks >= 10);
		]]);
		assert.equal(h.deviation("13 returns at once", {
			epoll12 = "quitting\ntrue\n", epoll13 = "quitting\nfalse\n", go = "quitting\ntrue\n",
		}), output);
		assert.equal(0, status);
	end);

	it("runs in a coroutine, and its callbacks with it", function ()
		local status, output = run([[
			local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
			local _, port = h.listen(rec.listeners);
			local co = coroutine.create(function ()
				local peer = h.connect_peer(port);
				peer:send("x");
				h.run_until(function () return peer.bytes == 1; end, "the echo");
				print "echo";
			end);
			print(coroutine.resume(co));
			-- and afterwards on the main thread
			local peer = h.connect_peer(port);
			peer:send("x");
			h.run_until(function () return peer.bytes == 1; end, "the echo");
			print "again";
		]]);
		assert.equal("echo\ntrue\nagain\n", output);
		assert.equal(0, status);
	end);

	it("runs on the main thread after it was required in a dead coroutine", function ()
		local status, output = run([[
			local started = coroutine.wrap(function ()
				local h = require "harness";
				local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
				local _, port = h.listen(rec.listeners);
				return { h = h, port = port };
			end)();
			collectgarbage();
			collectgarbage();
			local h = started.h;
			local peer = h.connect_peer(started.port);
			peer:send("x");
			h.run_until(function () return peer.bytes == 1; end, "the echo");
			print "echo";
		]], { plain = true });
		assert.equal("echo\n", output);
		assert.equal(0, status);
	end);

	it("with once returns after one turn", function ()
		local status, output = run([[
			local fired = false;
			backend.add_task(0, function () fired = true; end);
			local turns = 0;
			repeat
				turns = turns + 1;
				backend.add_task(0.01, function () end); -- something to wait for
				local ret = backend.loop(true);
			until fired or turns == 100;
			print(fired, ret);
		]]);
		h.deviation("13's loop(true) fails as soon as there is a timer", {
			epoll12 = function () assert.equal("true\tnil\n", output); end;
			epoll13 = function () assert.are_not.equal(0, status); end;
			go = function () assert.equal("true\tnil\n", output); end;
		});
	end);
end);

describe("os.exit(0, true) ends the process at once #row61", function ()
	local setup = [[
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		local client = h.outgoing(h.recorder());
		conn:write("buffered");
		local function quit() print "bye"; io.stdout:flush(); os.exit(0, true); end
	]];

	local ways = {
		["in a timer"] = [[ backend.add_task(0, quit); backend.loop(); ]];
		["in a coroutine within a timer"] = [[
			backend.add_task(0, function () coroutine.wrap(function () coroutine.wrap(quit)(); end)(); end);
			backend.loop();
		]];
		["in onincoming"] = [[ rec.listeners.onincoming = quit; peer.sock:send("x"); backend.loop(); ]];
		["in a coroutine within onincoming"] = [[
			rec.listeners.onincoming = function () coroutine.wrap(quit)(); end
			peer.sock:send("x");
			backend.loop();
		]];
		["in onconnect"] = [[
			local _, port = h.listen({ onconnect = quit });
			h.connect_peer(port);
			backend.loop();
		]];
		["in ondisconnect"] = [[ rec.listeners.ondisconnect = quit; peer:close(); backend.loop(); ]];
		["in ondisconnect within close()"] = [[ client.listeners = { ondisconnect = quit }; client:close(); ]];
		["in ondrain"] = [[ rec.listeners.ondrain = quit; backend.loop(); ]];
		["in a watchfd"] = [[
			local sock = require "socket".udp4();
			backend.watchfd(sock:getfd(), nil, quit);
			backend.loop();
		]];
		["in a loop that runs in a coroutine"] = [[
			backend.add_task(0, quit);
			coroutine.wrap(function () backend.loop(); end)();
		]];
		["while quitting"] = [[
			backend.add_task(0.01, quit);
			conn:write(("x"):rep(16 * 1024 * 1024));
			backend.setquitting(true);
			backend.loop();
			quit();
		]];
		["without a loop"] = [[ quit(); ]];
		["without a loop, in a coroutine"] = [[ coroutine.wrap(quit)(); ]];
	};

	for where, code in pairs(ways) do
		it(where .. " #row61", function ()
			local status, output = run(setup .. code, { seconds = 30 });
			assert.equal("bye\n", output);
			assert.equal(0, status);
		end);
	end

	it("with objects whose __gc still uses connections #row61", function ()
		local status, output = run(setup .. [[
			local sock = conn:socket();
			late = setmetatable({}, { __gc = function ()
				pcall(conn.write, conn, "late");
				pcall(conn.close, conn);
				pcall(conn.getfd, conn);
				pcall(tostring, conn);
				pcall(sock.send, sock, "late");
				pcall(backend.add_task, 0, function () end);
				pcall(backend.listen, "127.0.0.1", 1, {});
				pcall(backend.loop);
				pcall(backend.closeall);
			end });
			backend.setquitting(true);
			backend.setquitting(nil);
			backend.add_task(0, function () backend.setquitting(true); end);
			backend.add_task(0, quit);
			backend.loop();
			quit();
		]], { seconds = 30 });
		assert.equal("bye\n", output);
		assert.equal(0, status);
	end);

	it("and the end of the script does so too", function ()
		assert.equal(0, (run(setup, { seconds = 30 })));
	end);

	it("and with os.exit(3) its status is kept", function ()
		assert.equal(3, (run(setup .. [[ backend.add_task(0, function () os.exit(3); end) backend.loop() ]], { seconds = 30 })));
	end);

	it("and an uncaught error is reported as ever", function ()
		local status, output = run(setup .. [[
			local sock = require "socket".udp4();
			backend.watchfd(sock:getfd(), nil, function () error("uncaught on purpose"); end);
			backend.loop();
		]], { seconds = 30 });
		assert.equal(1, status);
		assert.truthy(output:find("uncaught on purpose", 1, true));
	end);
end);
