local h = require "harness";
local backend = h.backend;

describe("set_config", function ()
	before_each(h.start);
	after_each(h.finish);

	it("takes effect on later connections, and its absence reverts #row63", function ()
		backend.set_config({ read_timeout = 0.05 });
		local rec = h.recorder();
		h.accepted(rec);
		rec:wait("ondisconnect");
		backend.set_config({});
		rec = h.recorder();
		h.accepted(rec);
		h.run_for(0.12);
		rec:expect("onconnect");
		backend.set_config({ read_timeout = 1, read_size = 3 });
		rec = h.recorder();
		local _, peer = h.accepted(rec);
		peer:send("abcdef");
		rec:wait("ondisconnect");
		assert.same({ "abc", "def" }, rec.chunks);
	end);

	it("leaves running timeouts their deadline #row63", function ()
		backend.set_config({ read_timeout = 0.1 });
		local rec = h.recorder();
		h.accepted(rec);
		backend.set_config({ read_timeout = 60 });
		assert.equal("read timeout", rec:wait("ondisconnect")[1]);
	end);

	it("keeps the very table that it was given, and it may change", function ()
		local settings = { read_timeout = 60 };
		backend.set_config(settings);
		settings.read_timeout = 0.05;
		local rec = h.recorder();
		h.accepted(rec);
		h.run_for(0.15);
		h.deviation("server_go reads it when set_config is called, which Prosody does at each reload", {
			epoll = function () rec:expect("onconnect onreadtimeout ondisconnect"); end;
			go = function () rec:expect("onconnect"); end;
		});
	end);

	it("accepts settings of other backends and unknown ones", function ()
		backend.set_config({
			max_connections = 100000; max_receive_buffer_size = 1; event_clear_interval = 1.5; debug = true;
			max_ssl_handshake_roundtrips = 1; select_timeout = 1; highest_allowed_fd = 3; no_such_setting = {};
			keep_buffers = false; send_buffer_chunks = 16; max_send_chunk = 1000000; min_wait = 0.002; max_wait = 10;
			read_retry_delay = 0.001; tcp_backlog = 5;
		});
		local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
		local _, peer = h.accepted(rec);
		peer:send(("x"):rep(100000));
		h.run_until(function () return peer.bytes == 100000; end, "the echo");
		assert.equal(0, rec:count("ondisconnect"));
	end);

	it("accepts a table with a metatable", function ()
		backend.set_config(setmetatable({ read_size = 3 }, {}));
		local rec = h.recorder();
		local _, peer = h.accepted(rec);
		peer:send("abcdef");
		rec:wait_bytes(6);
		assert.same({ "abc", "def" }, rec.chunks);
	end);

	it("with verbose logs more", function ()
		backend.set_config({ verbose = true });
		local conn = h.accepted(h.recorder());
		conn:pause();
		conn:resume();
		backend.set_config({});
	end);
end);

describe("a reload", function ()
	before_each(h.start);
	after_each(h.finish);

	it("reaches open connections with what is not bound to their opening", function ()
		local rec = h.recorder({ onincoming = function () error("a failing callback"); end });
		local conn, peer = h.accepted(rec);
		backend.set_config({ read_size = 3, fatal_errors = true, verbose = true, send_timeout = 0.05 });
		peer:send("abc");
		h.run_until(function () return conn:getfd() == -1; end, "the fatal error");
		assert.equal("abc", rec:data());
		assert.equal(1, h.logged("error", "Closing due to error calling onincoming"));
		assert.equal(0, rec:count("ondisconnect"));

		rec = h.recorder();
		conn, peer = h.accepted(rec);
		backend.set_config({ send_timeout = 0.05 });
		peer.reading = false;
		conn:write(("x"):rep(20000000));
		assert.equal("write timeout", rec:wait("ondisconnect")[1]);
	end);

	it("leaves open connections the options that they were opened with", function ()
		local function nagle(conn)
			local sock = require "socket".tcp();
			sock:setfd(conn:getfd());
			local nodelay = sock:getoption("tcp-nodelay");
			sock:setfd(-1);
			return not nodelay;
		end
		backend.set_config({ nagle = false });
		local before = h.accepted(h.recorder());
		backend.set_config({ nagle = true });
		assert.is_false(nagle(before));
		assert.is_true(nagle(h.accepted(h.recorder())));
	end);
end);

-- The tables of docs/settings.md: setting → the default in 0.12.3, in 13.0.1
local function documented()
	local file = assert(io.open(h.root .. "/docs/settings.md"));
	local settings = {};
	for line in file:lines() do
		local name, in12, in13 = line:match("^| `([%w_]+)` | ([^|]+) | ([^|]+) |");
		if name then
			settings[name] = { [12] = in12:match("`(.*)`"), [13] = in13:match("`(.*)`") };
		end
	end
	file:close();
	return settings;
end

-- The table default_config of net/server_epoll.lua: setting → the value as it is written
local function defaults_of_the_reference(lib)
	local file = assert(io.open(lib .. "/net/server_epoll.lua"));
	local source = file:read("*a");
	file:close();
	local settings = {};
	for line in source:match("local default_config = { __index = {(.-)\n}};"):gmatch("[^\n]+") do
		local name, value = line:match("^\t([%w_]+) = (.-);");
		if name then
			settings[name] = value;
		end
	end
	return settings;
end

describe("docs/settings.md", function ()
	local function value(text)
		return assert(load("return " .. text, "=setting", "t", {}))();
	end

	local function compare(version, lib)
		local docs, reference = documented(), defaults_of_the_reference(lib);
		assert.is_string(reference.read_timeout, "no defaults found in " .. lib);
		for name, default in pairs(reference) do
			assert.is_table(docs[name], name .. " is not documented");
			assert.is_string(docs[name][version], name .. " has no default");
			assert.equal(value(default), value(docs[name][version]), name);
		end
		for name, defaults in pairs(docs) do
			assert.is_true(reference[name] ~= nil or defaults[version] == nil, name .. " is not known to the reference");
		end
	end

	local function exists(path)
		local file = io.open(path);
		return file and file:close();
	end

	for _, lib in ipairs({ h.prosody_lib, "/usr/lib/prosody", h.root .. "/build/prosody/13.0.1/usr/lib/prosody" }) do
		if exists(lib .. "/net/server_epoll.lua") then
			it("has the settings and the defaults of " .. lib, function ()
				compare(exists(lib .. "/loader.lua") and 13 or 12, lib);
			end);
		end
	end
end);
