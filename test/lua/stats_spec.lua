-- What an operator is told, by stats() and by Prosody's own statistics.
local h = require "harness";
local backend = h.backend;

-- A turn of at least that many seconds
local function be_busy(seconds)
	local ending = h.now() + seconds;
	-- An empty body: time is to pass, and the thread not to sleep.
	while h.now() < ending do end -- luacheck: ignore 542
end

describe("stats()", function ()
	before_each(h.start);
	after_each(h.finish);

	it("exists here only", function ()
		assert.equal(h.deviation("the reference keeps none", { epoll = "nil", go = "function" }), type(backend.stats));
	end);

	if not h.go then return; end

	-- The numbers that have changed since `before`, with dots in their names
	local function changes(before, now, prefix, found)
		found = found or {};
		for name, value in pairs(now) do
			local full = (prefix or "") .. name;
			if type(value) == "table" then
				changes(before[name] or {}, value, full .. ".", found);
			elseif type(value) == "number" and value ~= (before[name] or 0) then
				found[full] = value - (before[name] or 0);
			end
		end
		return found;
	end

	it("counts connections by kind", function ()
		local before = backend.stats();
		local accepted = h.accepted(h.recorder());
		local outgoing = h.outgoing(h.recorder());
		local seen = changes(before, backend.stats());
		for _, kind in ipairs({ "accepted", "outgoing" }) do
			assert.equal(1, seen["connections." .. kind .. ".open"], kind);
			assert.equal(1, seen["connections." .. kind .. ".total"], kind);
		end
		assert.equal(1, seen["servers.open"]);
		accepted:close();
		outgoing:close();
		h.run_until(function ()
			seen = changes(before, backend.stats());
			return not seen["connections.accepted.open"] and not seen["connections.outgoing.open"];
		end, "both to be closed");
		for _, kind in ipairs({ "accepted", "outgoing" }) do
			assert.is_nil(seen["connections." .. kind .. ".open"], kind);
			assert.equal(1, seen["connections." .. kind .. ".total"], kind);
		end
		assert.is_nil(seen["connections.adopted.total"]);
		assert.is_nil(seen["connections.datagram.total"]);
	end);

	it("counts bytes and what waits to be sent", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		local before = backend.stats();
		peer:send(("x"):rep(1000));
		rec:wait_bytes(1000);
		peer.reading = false;
		conn:write(("y"):rep(10000000));
		local commands = backend.stats().queues.commands;
		assert.is_true(commands >= 10000000, "commands: " .. commands);
		h.run_until(function () return backend.stats().queues.unsent > 0; end, "the kernel to have taken what it can");
		local seen = changes(before, backend.stats());
		assert.equal(1000, seen.received);
		assert.equal(10000000, seen.sent + seen["queues.unsent"]);
		assert.is_true(backend.stats().queues.commands < 1000);
		peer.reading = true;
		h.run_until(function () return peer.bytes == 10000000; end, "all to arrive");
		seen = changes(before, backend.stats());
		assert.equal(10000000, seen.sent);
		assert.is_nil(seen["queues.unsent"]);
	end);

	it("says how much input waits, and how many events", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn:pause();
		local server, port = h.listen({});
		local timer_ran;
		backend.add_task(0, function ()
			peer:send("12345");
			for _ = 1, 10 do
				h.connect_peer(port);
			end
			timer_ran = true;
		end);
		h.run_until(function () return timer_ran; end, "the timer");
		h.run_for(0.01);
		local most = 0;
		server.listeners = { onconnect = function () most = math.max(most, backend.stats().queues.events); end };
		local knocking = backend.add_task(0, function ()
			for _ = 1, 10 do
				h.connect_peer(port);
			end
			return 0.05;
		end);
		h.run_until(function () return most > 0; end, "an event to wait while others are delivered");
		backend.timer.stop(knocking);
		assert.equal(0, #rec.chunks);
	end);

	it("says which Go the module was built with, and of stalls", function ()
		local now = backend.stats();
		assert.matches("^go%d+%.%d+", now.go);
		assert.equal(0, now.stalls);
	end);

	it("measures turns and how late timers are", function ()
		h.run_for(0.01);
		backend.stats();
		local before = backend.stats();
		backend.add_task(0, function ()
			backend.add_task(0.02, function () end); -- never in the same batch as this one
			be_busy(0.06);
		end);
		h.run_for(0.1);
		local now = backend.stats();
		assert.is_true(now.turns.longest >= 0.06, "longest turn: " .. now.turns.longest);
		assert.is_true(now.timer_lag.longest >= 0.035, "longest lag: " .. now.timer_lag.longest);
		assert.is_true(now.turns.seconds - before.turns.seconds >= 0.06);
		assert.is_true(now.turns.count > before.turns.count);
		assert.equal(0, backend.stats().timer_lag.longest);
		assert.equal(0, backend.stats().turns.longest);
	end);

	it("has histograms of them", function ()
		local function count_at_most(timing, le)
			for _, bucket in ipairs(timing.buckets) do
				if bucket.le == le then return bucket.count; end
			end
			error("no bucket " .. le);
		end
		local before = backend.stats();
		backend.add_task(0, function () be_busy(0.02); end);
		h.run_for(0.05);
		for _, name in ipairs({ "turns", "timer_lag" }) do
			local timing, last, le = backend.stats()[name], 0, 0;
			for _, bucket in ipairs(timing.buckets) do
				assert.is_true(bucket.count >= last and bucket.le > le, name);
				last, le = bucket.count, bucket.le;
			end
			assert.equal(math.huge, le);
			assert.equal(timing.count, last);
		end
		local now = backend.stats();
		local longer = (now.turns.count - before.turns.count)
			- (count_at_most(now.turns, 0.01) - count_at_most(before.turns, 0.01));
		assert.is_true(longer >= 1, "no turn longer than 10 ms");
	end);

	it("counts timers and watches", function ()
		local before = backend.stats();
		local timer = backend.add_task(1000, function () end);
		local socket = require "socket".udp4();
		local watch = backend.watchfd(socket:getfd(), function () end);
		local seen = changes(before, backend.stats());
		assert.equal(1, seen.timers);
		assert.equal(1, seen["watches.open"]);
		assert.equal(1, seen["watches.total"]);
		backend.timer.stop(timer);
		watch:close();
		socket:close();
		seen = changes(before, backend.stats());
		assert.is_nil(seen.timers);
		assert.is_nil(seen["watches.open"]);
	end);

	it("counts TLS handshakes, and failures by reason", function ()
		local T = require "tls_harness";
		local before = backend.stats();
		local ctx = T.server();
		T.accepted(h.recorder(), ctx, {});
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, { tls_ctx = ctx, tls_direct = true });
		local peer = h.connect_peer(port);
		peer:send("GET / HTTP/1.0\r\n\r\n");
		local reason = rec:wait("ondisconnect")[1];
		local seen = changes(before, backend.stats());
		assert.equal(1, seen["handshakes.server"]);
		assert.is_nil(seen["handshakes.client"]);
		assert.equal(1, seen["handshakes.failed." .. reason]);
		assert.is_nil(seen["handshakes.running"]);
	end);

	it("counts goroutines and threads, which no connection keeps", function ()
		local T = require "tls_harness";
		local ctx = T.server();
		local before = backend.stats();
		assert.is_true(before.goroutines > 0 and before.threads > 0);
		for _ = 1, 5 do T.accepted(h.recorder(), ctx, {}); end
		h.run_until(function () return backend.stats().goroutines <= before.goroutines; end, "the end of the handshakes");
		assert.equal(5, changes(before, backend.stats())["connections.accepted.open"]);
	end);

	it("says who does the I/O", function ()
		local stats = backend.stats();
		assert.is_true(stats.stepping == "inline" or stats.stepping == "thread", stats.stepping);
		local switches = 0;
		for _, count in pairs(stats.switch_reasons) do switches = switches + count; end
		assert.equal(stats.switches, switches);
		assert.is_true(switches == 0 and stats.stepping_reason == nil or stats.switch_reasons[stats.stepping_reason] > 0);
		assert.is_true(stats.thread_seconds > 0 or stats.stepping == "inline");
	end);
end);

if not h.go then return; end

-- A Prosody that is as small as can be: its global, its statistics, not its
-- server. `more` runs when the backend is loaded; its output is the result.
local function with_statistics(more)
	local output, status = h.run_script([[
		local handlers = {};
		prosody = { events = { add_handler = function (event, f) handlers[event] = f; end } };
		local h = require "harness";
		local backend = h.backend;
		local registry = h.util "statistics".new().metric_registry;
		local name = (h.prosody == 13 and "prosody." or "") .. "core.statsmanager";
		local statsmanager = { metric = function (type_, ...) return registry[type_](registry, ...); end };
		package.loaded[name] = statsmanager;
		local function collect()
			handlers["stats-update"]();
			return registry:render();
		end
	]] .. more, { plain = true });
	assert.equal(0, status, output);
	return output;
end

describe("Prosody's statistics", function ()
	local traffic = [[
		local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
		local conn, peer = h.accepted(rec);
		peer:send(("x"):rep(1234));
		h.run_until(function () return peer.bytes == 1234; end, "the echo");
	]];

	it("have ours, with the values of stats()", function ()
		local page = with_statistics(traffic .. "print(collect());");
		for _, line in ipairs({
			'prosody_net_server_go_connections{kind="accepted"} 1',
			'prosody_net_server_go_connections{kind="outgoing"} 0',
			-- one before, by the harness
			'prosody_net_server_go_connections_opened_total{kind="accepted"} 2',
			"prosody_net_server_go_servers 1",
			"prosody_net_server_go_received_bytes_total 1234",
			"prosody_net_server_go_sent_bytes_total 1234",
			'prosody_net_server_go_tls_handshakes_total{role="server"} 0',
			"prosody_net_server_go_io_thread " .. (os.getenv("IO_THREAD") == "true" and 1 or 0),
		}) do
			assert.truthy(page:find("\n" .. line .. "\n", 1, true), line .. " is not on the page:\n" .. page);
		end
	end);

	it("have histograms that add up", function ()
		local page = with_statistics(traffic .. "collect(); h.run_for(0.02); print(collect());");
		for _, name in ipairs({ "turn_seconds", "timer_lag_seconds" }) do
			local prefix = "\nprosody_net_server_go_" .. name;
			local count = tonumber(page:match(prefix .. "_count (%d+)"));
			assert.is_true(count and count > 0, name);
			assert.equal(count, tonumber(page:match(prefix .. '_bucket{le="%+Inf"} (%d+)')));
			local most = tonumber(page:match(prefix .. '_bucket{le="0.01"} (%d+)'));
			local less = tonumber(page:match(prefix .. '_bucket{le="0.0001"} (%d+)'));
			assert.is_true(less <= most and most <= count, name);
			assert.truthy(tonumber(page:match(prefix .. "_sum ([%d.e-]+)")), name);
		end
	end);

	it("are documented, each and no other", function ()
		local file = assert(io.open(h.root .. "/docs/statistics.md"));
		local documented, exported = {}, {};
		-- A counter's name ends in _total, but not in the line with its type.
		for name in file:read("*a"):match("\n## The metrics\n(.-)\n## "):gmatch("\n| `([%w_]+)") do
			documented[(name:gsub("_total$", ""))] = true;
		end
		file:close();
		local page = with_statistics(
			"local s = h.accepted(h.recorder()); s:starttls(nil); " ..
			"h.run_until(function () return next(backend.stats().handshakes.failed); end, 'a failure'); print(collect());");
		for name in page:gmatch("\n# TYPE prosody_net_server_go_([%w_]+)") do
			exported[name] = true;
		end
		assert.is_true(exported.turn_seconds);
		assert.same(documented, exported);
	end);

	it("go on when an update fails, and the log has why", function ()
		local output = with_statistics(traffic .. [[
			local metric = statsmanager.metric;
			statsmanager.metric = function () error("no metric today"); end
			collect();
			print(h.logged("warn", "Updating the statistics failed: .*no metric today"));
			statsmanager.metric = metric;
			print(collect());
		]]);
		assert.truthy(output:find("^1\n"), output);
		assert.truthy(output:find("prosody_net_server_go_sent_bytes_total 1234", 1, true));
	end);

	it("are left alone where Prosody keeps none", function ()
		with_statistics([[
			package.loaded[name] = nil;
			handlers["stats-update"]();
			assert(next(registry:get_metric_families()) == nil);
		]]);
	end);
end);
