-- Lua code that destroys a connection in the midst of a method of it: as a
-- finalizer, that any allocation may run, as a logger, as a metamethod. The
-- method must not go on with what is gone. AddressSanitizer shows most of it.

local h = require "harness";
local T = require "tls_harness";

-- Arguments that make methods allocate or call back
local function arguments(conn)
	local trap = setmetatable({}, { __index = function () conn:destroy(); return 1; end });
	return {
		{};
		{ 0.5, 0.25, 0.125 };
		{ "linger", trap, trap };
		{ {}, {}, {} };
		{ "x", 32, 0.5 };
		{ true, true };
		{ false };
	};
end

local function collect_always(f)
	collectgarbage("stop");
	local pause, step = collectgarbage("setpause", 0), collectgarbage("setstepmul", 10000);
	collectgarbage("restart");
	local ok, err = pcall(f);
	collectgarbage("setpause", pause);
	collectgarbage("setstepmul", step);
	assert(ok, err);
end

-- Garbage whose finalizer destroys the connection
local function leave_trap(conn)
	setmetatable({}, { __gc = function () conn:destroy(); end });
end

local function method_names(conn)
	local names = {};
	for name, f in pairs(getmetatable(conn).__index) do
		if type(f) == "function" then
			table.insert(names, name);
		end
	end
	table.sort(names);
	return names;
end

-- Those run code that is the spec's own, or block: the reference's take no part.
local skipped = { accept = true, onacceptable = true, inittls = true, tlshandshake = true, init = true };

local function with_connections(make, f)
	local first = make();
	local names = method_names(first);
	first:destroy();
	for _, name in ipairs(names) do
		if not skipped[name] then
			for i = 1, 7 do
				local conn = make();
				f(conn, conn[name], arguments(conn)[i]);
				conn:destroy();
			end
		end
	end
	h.logged("error", "."); -- about the arguments
end

local function plain()
	return (h.outgoing(h.recorder()));
end

local function secure()
	local conn = T.accepted(h.recorder(), T.server(), {});
	return conn;
end

-- server_epoll's own state is Lua's: there is nothing that could outlive it.
local describe_go = h.go and describe or function () end

describe_go("a connection that is destroyed within its method", function ()
	before_each(h.start);
	after_each(h.finish);

	it("by a finalizer, is let go", function ()
		with_connections(plain, function (conn, method, args)
			collect_always(function ()
				for _ = 1, 10 do
					leave_trap(conn);
					pcall(method, conn, table.unpack(args));
				end
			end);
		end);
	end);

	it("by its logger, is let go", function ()
		with_connections(plain, function (conn, method, args)
			conn.log = function () conn:destroy(); end;
			pcall(method, conn, table.unpack(args));
		end);
	end);

	it("by its listeners, is let go", function ()
		local function destroy(conn) conn:destroy(); end
		with_connections(plain, function (conn, method, args)
			conn.listeners = setmetatable({}, { __index = function () return destroy; end });
			pcall(method, conn, table.unpack(args));
			conn.listeners = {};
		end);
	end);

	it("by a finalizer, with TLS, is let go", function ()
		local conn = secure();
		local names = method_names(conn:socket());
		conn:destroy();
		for _, name in ipairs(names) do
			conn = secure();
			local sock = conn:socket();
			collect_always(function ()
				for _ = 1, 10 do
					leave_trap(conn);
					pcall(sock[name], sock, "x", 32, 0.5);
				end
			end);
			conn:destroy();
		end
	end);
end);

describe("a listener that fails", function ()
	before_each(h.start);
	after_each(h.finish);

	it("may have its connection destroyed by the logger that is told", function ()
		h.settings({ fatal_errors = true });
		local rec = h.recorder({ onincoming = function (conn)
			conn.log = function (level)
				if level == "error" and conn:socket() then conn:destroy(); end
			end
			error("no");
		end });
		local conn, peer = h.accepted(rec);
		peer:send("x");
		h.run_until(function () return not conn:socket(); end, "the end");
	end);
end);

describe("setoption", function ()
	before_each(h.start);
	after_each(h.finish);

	it("may have its connection destroyed by a metamethod", function ()
		local conn = h.accepted(h.recorder());
		local ok = conn:setoption("linger", setmetatable({}, { __index = function () conn:destroy(); return 1; end }));
		assert.is_true(ok == false or h.epoll);
	end);
end);

describe("ssl.newcontext", function ()
	it("takes any number of arguments", function ()
		local ssl = require "ssl";
		local many = {};
		for i = 1, 2000 do many[i] = i; end
		for n = 200, 2000, 20 do
			coroutine.wrap(function ()
				assert.truthy(ssl.newcontext({ mode = "client", protocol = "any" }, table.unpack(many, 1, n)));
			end)();
		end
	end);
end);
