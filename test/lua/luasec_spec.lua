-- LuaSec's own contexts and sockets, beside the backend: what a program does with
-- LuaSec itself must work as if the backend was not there.

local h = require "harness";
local T = require "tls_harness";
local socket = require "socket";
local ssl = require "ssl";
local lfs = require "lfs";

-- Whether a client that LuaSec makes of ctx trusts a server of the test's CA
local function trusts(ctx, through_core)
	local listener = assert(socket.bind("127.0.0.1", 0));
	local sock = assert(socket.connect("127.0.0.1", h.port_of(listener)));
	local accepted = assert(listener:accept());
	listener:close();
	local peer = h.wrap_peer(T.transport(accepted, { cert = "ec" }, "server"));
	local tls;
	if through_core then
		tls = assert(require "ssl.core".create(ctx));
		require "ssl.core".setfd(tls, sock:getfd());
	else
		tls = assert(ssl.wrap(sock, ctx));
	end
	tls:settimeout(0);
	local ok, err;
	h.run_until(function ()
		peer:pump();
		ok, err = tls:dohandshake();
		return ok or err ~= "wantread" and err ~= "wantwrite" and err ~= "timeout";
	end, "the handshake");
	return ok == true and (tls:getpeerverification()), err;
end

local function client(config)
	config.mode, config.protocol, config.verify = "client", "any", config.verify or "peer";
	return ssl.newcontext(config);
end

describe("LuaSec's newcontext", function ()
	before_each(h.start);
	after_each(h.finish);

	it("has LuaSec's errors", function ()
		local luasec = T.luasec_newcontext;
		for _, config in ipairs {
			{ mode = "client", protocol = "any", cafile = "/no/such/file" },
			{ mode = "client", protocol = "any", cafile = T.file "ec.key" },
			{ mode = "client", protocol = "any", cafile = "/no/such/file", ciphers = "none of these" },
			{ mode = "client", protocol = "any", cafile = T.file "ca.pem", ciphers = "none of these" },
			{ mode = "server", protocol = "any", cafile = "/no/such/file", key = "/no/such/key" },
			{ mode = "client", protocol = "any", cafile = "" },
			{ mode = "client", protocol = "any", capath = "" },
			{ mode = "client", protocol = "any", cafile = T.file "ca.pem", capath = "" },
		} do
			local _, expected = luasec(config);
			local ctx, err = ssl.newcontext(config);
			assert.is_nil(ctx);
			-- What follows depends on what earlier errors have left in OpenSSL's queue.
			assert.equal(expected:match("^[^(]*"), err:match("^[^(]*"));
		end
	end);

	it("raises what LuaSec's raises", function ()
		for _, config in ipairs {
			{ mode = "client", protocol = "any", cafile = {} },
			{ mode = "client", protocol = "any", cafile = true },
			{ mode = "client", protocol = "any", cafile = false, capath = "/no/such/folder" },
			{ mode = "client", protocol = "any", cafile = T.file "ca.pem", capath = false },
		} do
			local _, expected = pcall(T.luasec_newcontext, config);
			local ok, err = pcall(ssl.newcontext, config);
			assert.is_false(ok);
			assert.equal(expected, err);
		end
	end);

	it("has the error that LuaSec finds first", function ()
		local ctx, err = ssl.newcontext { mode = "client", protocol = "any", cafile = "/no/such/file", depth = "x" };
		assert.is_nil(ctx);
		assert.truthy(err:find("^error loading CA locations"));
	end);

	it("leaves the configuration as it is", function ()
		local config = { mode = "client", protocol = "any", cafile = T.file "ca.pem", capath = "/no/such/folder" };
		assert.truthy(ssl.newcontext(config));
		assert.same({ mode = "client", protocol = "any", cafile = T.file "ca.pem", capath = "/no/such/folder" }, config);
	end);
end);

-- In an interpreter of its own: once somebody has used LuaSec, nothing is put off.
describe("LuaSec's context", function ()
	if os.getenv("LUASEC_ALONE") then
		before_each(h.start);
		after_each(h.finish);

		it("has its CAs when it is used", function ()
			local before, others = assert(client { cafile = T.file "ca.pem" }), assert(client { cafile = T.file "ec.pem" });
			local folder = assert(client { capath = T.file "capath" });
			local late = assert(client { cafile = T.file "late.pem" });
			assert(os.rename(T.file "late.pem", T.file "away.pem"));
			local here = lfs.currentdir();
			lfs.chdir(T.folder);
			local relative = assert(client { cafile = "ca.pem" });
			lfs.chdir("/");
			assert.is_true(trusts(before, os.getenv("LUASEC_ALONE") == "core"));
			assert.is_false((trusts(others)));
			assert.is_true(trusts(folder));
			assert.is_true(trusts(assert(client { cafile = T.file "ca.pem" })));
			assert.is_false((trusts(assert(client {}))));
			assert.is_true(trusts(relative));
			lfs.chdir(here);
			assert.equal(h.epoll, (trusts(late))); -- LuaSec alone has read the file before
			assert(os.rename(T.file "away.pem", T.file "late.pem"));
			assert.is_true(trusts(late));
		end);
		return;
	end

	for _, way in ipairs { "wrap", "core" } do
		it("has its CAs when it is used by ssl." .. way, function ()
			os.execute(("mkdir -p '%s' && cp '%s' '%s/' && openssl rehash '%s'"):format(T.file "capath", T.file "ca.pem", T.file "capath", T.file "capath"));
			os.execute(("cp '%s' '%s'"):format(T.file "ca.pem", T.file "late.pem"));
			local file = debug.getinfo(1, "S").source:match("^@(.*)");
			local said = T.pipe(("LUASEC_ALONE=%s TLS_PKI='%s' busted --lua=/usr/bin/lua5.4 '%s' 2>&1"):format(way, T.folder, file));
			assert.truthy(said:find("5 successes / 0 failures / 0 errors", 1, true), said);
		end);
	end
end);
