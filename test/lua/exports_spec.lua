local h = require "harness";
local lfs = require "lfs";
local backend = h.backend;

describe("backend", function ()
	before_each(h.start);
	after_each(h.finish);

	it("exports the functions that Prosody calls", function ()
		for _, name in ipairs({
			"set_config", "get_backend", "listen", "addserver", "wrapserver", "addclient", "wrapclient",
			"watchfd", "link", "add_task", "loop", "closeall", "setquitting", "addevent",
		}) do
			assert.is_function(backend[name], name);
		end
		for _, name in ipairs({ "add_task", "stop", "reschedule", "to_absolute_time" }) do
			assert.is_function(backend.timer[name], name);
		end
		for name, value in pairs({ EV_READ = "r", EV_WRITE = "w", EV_READWRITE = "rw", EV_LEAVE = -1 }) do
			assert.equal(value, backend.event[name]);
		end
	end);

	it("has names that not every version has", function ()
		assert.equal(h.deviation("the reference has that name for itself only", {
			epoll = "nil", go = "function",
		}), type(backend.addtimer));
		assert.equal(h.deviation("0.12 relies on epoll_wait being interrupted; with Go's threads it may not be", {
			epoll12 = "nil", epoll13 = "function", go = "function",
		}), type(backend.hook_signal));
	end);

	it("does not export what means something else to Prosody", function ()
		-- event_base makes Prosody take it for net.server_event
		for _, name in ipairs({ "event_base", "base", "cfg", "cq" }) do
			assert.is_nil(backend[name], name);
		end
	end);

	it("says its name", function ()
		assert.equal(h.backend_name, backend.get_backend());
	end);

	it("is a table that net.server may change", function ()
		local get_backend = backend.get_backend;
		backend.get_backend = function () return "changed"; end
		assert.equal("changed", backend.get_backend());
		backend.get_backend = get_backend;
		backend.something_new = true;
		assert.is_true(backend.something_new);
		backend.something_new = nil;
	end);

	it("touches no globals", function ()
		-- Prosody makes writing one an error, and reading one a warning.
		local output, status = h.run_script(([[
			local touched = {};
			for _, name in ipairs({ "util.logger", "util.time", "util.id", "util.indexedbheap", "util.xpcall",
				"util.net", "util.poll", "util.table", "util.format", "socket", "ssl" }) do
				pcall(require, %q .. name);
				pcall(require, name);
			end
			setmetatable(_G, {
				__index = function (_, name) table.insert(touched, "read " .. name); end;
				__newindex = function (_, name) table.insert(touched, "wrote " .. name); end;
			});
			package.loaded[%q] = nil;
			local again = require(%q);
			again.add_task(0, function () again.setquitting(true); end);
			again.loop();
			print(table.concat(touched, ", "));
		]]):format(h.prosody == 13 and "prosody." or "", h.module_name, h.module_name));
		assert.equal("\n", output);
		assert.equal(0, status);
	end);

	it("has methods that third parties know", function ()
		local conn = h.accepted(h.recorder());
		for _, name in ipairs({
			"write", "send", "close", "destroy", "ip", "port", "clientport", "serverport", "server", "ssl", "socket",
			"starttls", "setlistener", "set_mode", "pause", "resume", "pause_writes", "resume_writes", "pausefor",
			"setlimit", "setoption", "getfd", "set_send", "set", "setflags", "setreadtimeout", "setwritetimeout",
			"updatenames", "set_sslctx", "defaultoptions", "debug", "noise", "error", "on", "add", "del",
			"onreadable", "onwritable", "onincoming", "ondrain",
		}) do
			assert.is_function(conn[name], name);
		end
		assert.is_nil(conn.getlocalcertificate);
	end);

	it("answers Prosody 13's questions about TLS for a connection without", function ()
		local conn = h.accepted(h.recorder());
		local methods = h.deviation("0.12 does not ask the connection", { epoll12 = false, epoll13 = true, go = true });
		if not methods then
			assert.is_nil(conn.ssl_info);
			return;
		end
		for _, name in ipairs({ "ssl_info", "ssl_peercertificate" }) do
			local ret, err = conn[name](conn);
			assert.is_nil(ret, name);
			assert.is_true(err == "not-implemented" or err == "not-connected", name);
		end
		assert.is_nil((conn:ssl_peerfinished()));
		local ret, errors = conn:ssl_peerverification();
		assert.is_nil(ret);
		assert.same({ { "Chain verification not supported" } }, errors);
		assert.is_nil((conn:ssl_exportkeyingmaterial("EXPORTER-Channel-Binding", 32, "")));
		assert.is_nil(conn:sslctx());
	end);

	it("calls a listener through on", function ()
		local rec = h.recorder({ onstatus = function () return "its result"; end });
		local conn = h.accepted(rec);
		assert.equal("its result", conn:on("status", "some status", 42));
		local call = rec:call("onstatus");
		assert.equal(conn, call.conn);
		assert.equal("some status", call[1]);
		assert.equal(42, call[2]);
		assert.is_nil(conn:on("nothing-that-exists"));
		rec:expect("onconnect onstatus");
	end);
end);

-- docs/api.md: the names in the tables of a section
local function documented(title)
	local file = assert(io.open(h.root .. "/docs/api.md"));
	local section = (file:read("*a") .. "\n## "):match("\n## " .. title .. "\n(.-)\n## ");
	file:close();
	local names = {};
	for cell in section:gmatch("\n| (`[^|]+) |") do
		for name in cell:gmatch("`([%w_]+)") do
			names[name] = true;
		end
	end
	return names;
end

local function names_of(t)
	local names = {};
	for name in pairs(t) do
		names[name] = true;
	end
	return names;
end

describe("docs/api.md", function ()
	before_each(h.start);
	after_each(h.finish);

	-- The page has every name of both reference backends; and this one has
	-- what the page has, and no more.
	local function compare(title, exported, without)
		local docs = documented(title);
		for name in pairs(without) do
			docs[name], exported[name] = nil, nil;
		end
		h.deviation("13 has more than 0.12, and we have a few names more", {
			epoll = function ()
				for name in pairs(exported) do
					assert.is_true(docs[name], name .. " is not documented");
				end
			end;
			go = function () assert.same(docs, exported); end;
		});
	end

	it("has the functions", function ()
		compare("Functions", names_of(backend), { event = true, timer = true });
	end);

	it("has the timer functions", function ()
		compare("Timers", names_of(backend.timer), {});
	end);

	it("has the methods of connections and servers", function ()
		local server = h.listen({});
		local of_the_reference_only = { -- steps of its own, that nobody else calls
			init = true, inittls = true, onacceptable = true, onconnect = true, tlshandshake = true, log = true,
		};
		compare("Connections and servers", names_of(getmetatable(server).__index), of_the_reference_only);
	end);

	it("has the fields", function ()
		local objects = {
			h.listen({}, { sni_hosts = {}, read_size = 100 }),
			h.accepted(h.recorder()),
			(h.outgoing(h.recorder(), 4096, { servername = "name" })),
		};
		local docs, seen = documented("Fields"), {};
		for _, object in ipairs(objects) do
			for name in pairs(object) do
				seen[name] = true;
			end
		end
		-- With TLS only
		seen.tls_ctx, seen.tls_direct = true, true;
		for name in pairs(docs) do
			assert.is_true(seen[name], name .. " does not exist");
		end
	end);

	it("has the callbacks", function ()
		local docs, called = documented("Callbacks"), {};
		for name in lfs.dir(h.root) do
			if name:match("%.c$") then
				local file = assert(io.open(h.root .. "/" .. name));
				for callback in file:read("*a"):gmatch('"(on%l%l+)"') do
					called[callback] = true;
				end
				file:close();
			end
		end
		called.onreadable, called.onwritable = nil, nil; -- of watches
		assert.same(docs, called);
	end);
end);
