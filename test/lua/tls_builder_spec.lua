-- The way of Prosody 13: contexts made by tls_builder, names set on them. When
-- the specs run on 0.12, this file runs itself on 13, in PROSODY13_LIB.

local h = require "harness";

if h.prosody ~= 13 then
	describe("Prosody 13's builder", function ()
		local lib = os.getenv("PROSODY13_LIB");
		if not lib then
			pending("is not tried: PROSODY13_LIB, the folder of Prosody 13's libraries, is not set");
			return;
		end
		it("works, as a run on 13 says", function ()
			local command = "PROSODY_LIB='%s' BACKEND=%s busted --lua=/usr/bin/lua5.4 -o TAP test/lua/tls_builder_spec.lua 2>&1";
			local pipe = assert(io.popen(command:format(lib, h.backend_name)));
			local output = pipe:read("*a");
			local ok = pipe:close();
			assert(ok and output:find("\n?ok 1 "), output);
		end);
	end);
	return;
end

local T = require "tls_harness";
local backend = h.backend;

local function common_name(port, name)
	local peer = T.connect_peer(port, { sni = name });
	h.run_until(function ()
		peer:pump();
		return T.up(peer) or peer.sock.failed;
	end, "the handshake");
	local cert = not peer.sock.failed and peer.tls:getpeercertificate();
	local failed = peer.sock.failed;
	h.run_for(0.01);
	peer:close();
	return cert and cert:subject()[1].value, failed;
end

-- As portmanager has it
local function listen(ctx)
	local rec = h.recorder();
	local server, port = h.listen(rec.listeners, { tls_ctx = ctx, tls_direct = true, sni_hosts = {} });
	return server, port, rec;
end

describe("Prosody 13's builder", function ()
	before_each(h.start);
	after_each(h.finish);

	local function builder(config)
		return backend.tls_builder(T.folder):apply({ mode = "server", protocol = "tlsv1_2+" }):apply(config or {});
	end

	it("finds files below its folder", function ()
		local ctx, err = builder({ certificate = "rsa.pem", key = "rsa.key" }):build();
		assert.is_table(ctx);
		assert.is_nil(err);
		local _, port = listen(ctx);
		assert.equal("a.example", common_name(port));
	end);

	it("returns nil and a reason for what cannot be", function ()
		local ctx, err = builder({ certificate = T.file("missing.pem"), key = T.file("missing.key") }):build();
		assert.is_nil(ctx);
		assert.truthy(err:find("^error loading"));
	end);

	it("refuses what it cannot read, rather than verify less", function ()
		for expected, config in pairs {
			["invalid verify option (5)"] = { verify = 5 },
			["invalid verify option (boolean)"] = { verify = true },
			["invalid verify option (1)"] = { verify = { 1, "peer" } },
			["invalid verify option (table)"] = { verify = { {}, "peer" } },
			["invalid verify option (2)"] = { verifyext = { [2] = true, crl_check = true } },
			["invalid option (3)"] = { options = { [3] = true } },
			["invalid depth"] = { depth = "x" },
		} do
			local ok, ctx, err = pcall(function () return builder(config):build(); end);
			if ok then
				assert.is_nil(ctx);
				assert.equal(expected, err);
			else
				h.deviation("LuaSec raises an error for a value of the wrong type", { epoll = true, go = function () error(ctx); end });
			end
		end
		assert.is_table((builder { verify = false, verifyext = {}, depth = "3" }:build()));
	end);

	it("builds without a certificate, and says no error #row56", function ()
		local result = table.pack(builder():build());
		assert.is_table(result[1]);
		assert.is_nil(result[2]);
	end);

	it("adds and removes names, and keeps the port's options", function ()
		local ctx = assert(builder({ certificate = T.file("rsa.pem"), key = T.file("rsa.key"), protocol = "tlsv1_2" }):build());
		local result = table.pack(ctx:set_sni_host("b.example", T.file("b.pem"), T.file("b.key")));
		assert.is_true(result[1]);
		assert.is_nil(result[2]);
		local server, port, rec = listen(ctx);
		assert.equal("b.example", common_name(port, "b.example"));
		assert.falsy((common_name(port, "c.example")));
		assert(ctx:set_sni_host("c.example", T.file("other.pem"), T.file("other.key")));
		assert.equal("other.example", common_name(port, "c.example"));
		ctx:remove_sni_host("c.example");
		assert.falsy((common_name(port, "c.example")));
		assert.equal(ctx, server:sslctx());
		assert.truthy(rec:count("onconnect") >= 2);
	end);

	it("refuses a name whose files are missing, and the port goes on #row55", function ()
		local ctx = assert(builder({ certificate = T.file("rsa.pem"), key = T.file("rsa.key") }):build());
		local _, port = listen(ctx);
		local ok, err = ctx:set_sni_host("h", "/missing", "/missing");
		assert.is_false(ok);
		assert.truthy(err:find("^error loading"), err);
		assert.equal("a.example", common_name(port));
	end);

	it("makes contexts for clients and starttls, which connections show", function ()
		local rec = h.recorder();
		local ctx = assert(backend.tls_builder(T.folder):apply({ mode = "client", protocol = "tlsv1_2+" }):build());
		local conn = T.outgoing(rec, ctx);
		rec:wait("onconnect");
		assert.equal(ctx, conn:sslctx());
		assert.equal("TLSv1.3", conn:ssl_info().protocol);
	end);

	it("answers ssl_info and the rest on a plain connection with nothing", function ()
		local conn = h.accepted(h.recorder());
		assert.is_nil((conn:ssl_info()));
		assert.falsy((conn:ssl_peercertificate()));
		assert.falsy((conn:ssl_peerverification()));
		assert.falsy((conn:ssl_peerfinished()));
	end);

	it("serves a renewed certificate by set_sni_host #row54", function ()
		local ctx = assert(builder({ certificate = T.file("rsa.pem"), key = T.file("rsa.key") }):build());
		assert(ctx:set_sni_host("b.example", T.file("b.pem"), T.file("b.key")));
		local _, port = listen(ctx);
		assert.equal("b.example", common_name(port, "b.example"));
		assert(ctx:set_sni_host("b.example", T.file("other.pem"), T.file("other.key")));
		assert.equal("other.example", common_name(port, "b.example"));
	end);
end);
