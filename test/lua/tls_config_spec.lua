-- A plain configuration in the place of a context: LuaSec makes a context of it
-- for each connection.

local h = require "harness";
local T = require "tls_harness";
local ssl = require "ssl";

describe("a plain configuration", function ()
	before_each(h.start);
	after_each(h.finish);

	it("counts as it is when TLS starts", function ()
		if h.epoll and h.prosody == 13 then
			return pending("it takes contexts only");
		end
		local config = { mode = "client", protocol = "sslv23", verify = "none" };
		local function opened()
			local rec = h.recorder();
			T.outgoing(rec, config, { cert = "untrusted" });
			h.run_until(function () return rec:count("onconnect") + rec:count("ondisconnect") > 0; end, "the handshake");
			return rec:count("onconnect") == 1;
		end
		assert.is_true(opened());
		config.verify = "peer";
		assert.is_false(opened());
	end);
end);

describe("a configuration with a metatable", function ()
	before_each(h.start);
	after_each(h.finish);

	it("counts with what it inherits", function ()
		if h.prosody == 13 then
			return pending("there util.sslconfig makes a table without");
		end
		local function opened(config)
			local rec = h.recorder();
			T.outgoing(rec, config, { cert = "untrusted" });
			h.run_until(function () return rec:count("onconnect") + rec:count("ondisconnect") > 0; end, "the handshake");
			return rec:count("onconnect") == 1;
		end
		local trust = { mode = "client", protocol = "sslv23", verify = "peer", cafile = T.file "ca.pem" };
		for _, config in ipairs {
			setmetatable({ mode = "client", protocol = "sslv23" }, { __index = trust }),
			setmetatable({}, { __index = function (_, field) return trust[field]; end }),
		} do
			assert.is_false(opened(config));
			assert.is_false(opened(assert(ssl.newcontext(config))));
		end
	end);
end);

describe("what a port asks of its clients", function ()
	before_each(h.start);
	after_each(h.finish);

	it("holds for each name", function ()
		local rec = h.recorder();
		local strict = T.server({ cert = "rsa", ca = true, verify = { "peer", "fail_if_no_peer_cert" } });
		local lax = T.server({ cert = "rsa", verify = "none" });
		local _, port = h.listen(rec.listeners, { tls_ctx = strict, tls_direct = true, sni_hosts = { ["b.example"] = lax._inner or lax } });
		os.execute(("{ sleep 1 | openssl s_client -connect 127.0.0.1:%d -servername b.example; } >/dev/null 2>&1 &"):format(port));
		assert.equal("peer did not return a certificate", rec:wait("ondisconnect")[1]);
		assert.equal(0, rec:count("onconnect"));
	end);

	it("holds for each name in how long a chain may be", function ()
		local function opened(depth, of_name)
			local rec = h.recorder();
			local config = { cert = "ec", ca = true, verify = "peer", depth = depth };
			local port_context = T.server(config);
			config.depth = of_name;
			local named = T.server(config);
			local _, port = h.listen(rec.listeners, { tls_ctx = port_context, tls_direct = true, sni_hosts = { ["a.example"] = named._inner or named } });
			T.connect_peer(port, { cert = "clientlong", sni = "a.example", protocol = "tlsv1_2" });
			h.run_until(function () return rec:count("onconnect") + rec:count("ondisconnect") > 0; end, "the handshake");
			return rec:count("onconnect") == 1;
		end
		assert.is_true(opened(9, 9));
		assert.is_false(opened(0, 9));
		assert.is_true(opened(9, 0)); -- as with OpenSSL: SSL_set_SSL_CTX leaves the depth as it is
	end);
end);

describe("depth", function ()
	before_each(h.start);
	after_each(h.finish);

	local function opened(depth, cert)
		local rec = h.recorder();
		T.outgoing(rec, T.client { ca = true, verify = "peer", depth = depth }, { cert = cert });
		h.run_until(function () return rec:count("onconnect") + rec:count("ondisconnect") > 0; end, "the handshake");
		return rec:count("onconnect") == 1;
	end

	it("is how many issuers there may be below the root", function ()
		for _, none in ipairs { 0, "0" } do
			assert.is_false(opened(none, "long"));
			assert.is_true(opened(none, "ec"));
		end
		for _, enough in ipairs { 1, "1", -1 } do
			assert.is_true(opened(enough, "long"));
		end
		assert.is_false(opened(-2, "ec"));
	end);
end);

describe("a list of certificates", function ()
	before_each(h.start);
	after_each(h.finish);

	it("counts instead of the one beside it", function ()
		local rec = h.recorder();
		local _, peer = T.accepted(rec, T.server { cert = "b", certificates = { { certificate = T.file "rsa.pem", key = T.file "rsa.key" } } });
		T.wait_up(peer);
		assert.equal(T.read "rsa.crt", peer.tls:getpeercertificate():pem());
	end);
end);
