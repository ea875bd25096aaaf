local h = require "harness";
local T = require "tls_harness";

-- On the connection in 13, on its socket() in 0.12; net.server_go has both.
local function ways(conn)
	local list = { function (name, ...)
		local sock = conn:socket();
		return sock[name](sock, ...);
	end };
	if h.go or h.prosody == 13 then
		table.insert(list, function (name, ...)
			local method = "ssl_" .. name:gsub("^get", "");
			if not conn[method] then -- as getpeerchain
				return list[1](name, ...);
			end
			return conn[method](conn, ...);
		end);
	end
	return ipairs(list);
end

local relaxed = { "lsec_continue", "lsec_ignore_purpose" };

-- Accepted with the server's options (on top of those that ask for a client
-- certificate), by a client with the options given.
local function accepted(server, client)
	local config = { cert = "ec", ca = true, verify = { "peer", "client_once" }, verifyext = relaxed };
	for key, value in pairs(server or {}) do
		config[key] = value;
	end
	local rec = h.recorder();
	local conn, peer = T.accepted(rec, T.server(config), client or {});
	return conn, peer, rec;
end

local function outgoing(client, server, extra)
	local rec = h.recorder();
	local conn, peer = T.outgoing(rec, T.client(client), server, extra);
	rec:wait("onconnect");
	return conn, peer, rec;
end

describe("info()", function ()
	before_each(h.start);
	after_each(h.finish);

	-- What LuaSec says as well.
	local function common(info)
		info.group = nil;
		return info;
	end

	for _, case in ipairs {
		{ "ec", "tlsv1_2", "ECDHE-ECDSA-AES128-GCM-SHA256" };
		{ "ec", "tlsv1_2", "ECDHE-ECDSA-AES256-GCM-SHA384" };
		{ "ec", "tlsv1_2", "ECDHE-ECDSA-CHACHA20-POLY1305" };
		{ "rsa", "tlsv1_2", "ECDHE-RSA-AES128-GCM-SHA256" };
		{ "rsa", "tlsv1_2", "ECDHE-RSA-AES256-GCM-SHA384" };
		{ "rsa", "tlsv1_2", "ECDHE-RSA-CHACHA20-POLY1305" };
		{ "rsa", "tlsv1_2", "ECDHE-RSA-AES128-SHA" };
		{ "rsa", "tlsv1_2", "ECDHE-RSA-AES256-SHA" };
		{ "rsa", "tlsv1_2", "AES128-GCM-SHA256" };
		{ "rsa", "tlsv1_3" };
		{ "ec", "tlsv1_3" };
		{ "ed", "tlsv1_3" };
	} do
		it("is the peer's, with " .. table.concat(case, " ") .. " #row53", function ()
			local conn, peer = accepted({ cert = case[1], ciphers = "ALL:@SECLEVEL=1" }, { protocol = case[2], ciphers = case[3] });
			local expected = peer.tls:info();
			for _, ask in ways(conn) do
				local info = common(ask("info"));
				assert.same(expected, info);
				assert.equal("float", math.type(info.bits));
			end
			assert.equal(expected.protocol, conn:socket():info("protocol"));
			assert.truthy(expected.protocol == "TLSv1.2" or expected.protocol == "TLSv1.3");
		end);
	end

	it("is the peer's on a client, too #row53", function ()
		for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
			local conn, peer = outgoing({ protocol = protocol });
			for _, ask in ways(conn) do
				assert.same(peer.tls:info(), common(ask("info")));
			end
		end
	end);

	it("names the group of the key exchange", function ()
		local function group(server, client)
			local conn = accepted(server, client);
			return conn:socket():info("group");
		end
		local function expected(name)
			return h.deviation("LuaSec does not name it", { epoll = nil, go = name });
		end
		assert.equal(expected("secp384r1"), group({}, { curveslist = "P-384" }));
		assert.equal(expected("x25519"), group({ curveslist = "P-256:X25519" }, { curveslist = "X25519" }));
		assert.is_nil(group({ cert = "rsa", ciphers = "ALL:@SECLEVEL=1" }, { protocol = "tlsv1_2", ciphers = "AES128-GCM-SHA256" }));
	end);
end);

describe("the peer's certificate", function ()
	before_each(h.start);
	after_each(h.finish);

	it("may be absent, and that is no failure #row50", function ()
		local conn = accepted();
		for _, ask in ways(conn) do
			assert.is_nil((ask("getpeercertificate")));
			local ok, errors = ask("getpeerverification");
			assert.is_true(ok);
			assert.is_nil(errors);
		end
		conn = accepted({ verify = "none" });
		for _, ask in ways(conn) do
			assert.is_nil((ask("getpeercertificate")));
			assert.is_true((ask("getpeerverification")));
		end
	end);

	it("is LuaSec's object, and the chain a list of them", function ()
		local conn = accepted(nil, { cert = "clientlong" });
		for _, ask in ways(conn) do
			local cert = ask("getpeercertificate");
			assert.equal(T.read("clientlong.pem"):match("^.-END CERTIFICATE%-+"), cert:pem():match("^.-END CERTIFICATE%-+"));
			assert.equal("client.example", cert:subject()[1].value);
			assert.is_true(cert:validat(os.time()));
			assert.is_string(cert:digest("sha1"));
		end
		local chain = conn:socket():getpeerchain();
		local names = {};
		for i, cert in ipairs(chain) do
			names[i] = cert:subject()[1].value;
		end
		h.deviation("LuaSec puts the leaf of a server's chain there twice", {
			epoll = function () assert.equal("client.example", names[1]); end;
			go = function () assert.same({ "client.example", "middle" }, names); end;
		});
	end);

	it("is there on a client, with its chain", function ()
		local conn = outgoing({ ca = true }, { cert = "long" });
		assert.equal("a.example", conn:socket():getpeercertificate():subject()[1].value);
		assert.equal(2, #conn:socket():getpeerchain());
		assert.equal("middle", conn:socket():getpeerchain()[2]:subject()[1].value);
		assert.is_true((conn:socket():getpeerverification()));
	end);

	it("is still known in ondisconnect", function ()
		local name;
		local rec = h.recorder({
			ondisconnect = function (conn)
				name = conn:socket() and conn:socket():getpeercertificate():subject()[1].value;
			end;
		});
		local _, peer = T.outgoing(rec, T.client({ ca = true }));
		rec:wait("onconnect");
		peer:close();
		rec:wait("ondisconnect");
		assert.equal("a.example", name);
	end);
end);

-- What the peer presents, and the errors expected of it
local presented = {
	{ "client", true };
	{ "clientrsa", true };
	{ "clientonly", { { "unsuitable certificate purpose" } } }; -- what lsec_ignore_purpose takes is a server's
	{ "clientlong", true };
	{ "rsa", true };
	{ "ed", true };
	{ "expired", { { "certificate has expired" } } };
	{ "notyet", { { "certificate is not yet valid" } } };
	{ "self", { { "self-signed certificate" } } };
	{ "short", { { "unable to get local issuer certificate", "unable to verify the first certificate" } } };
	{ "untrusted", { { "unable to get local issuer certificate", "unable to verify the first certificate" } } };
	{ "untrusted-chain", { [2] = { "self-signed certificate in certificate chain" } } };
	{ "serveronly", true };
};

local function alert_of(alert)
	return h.deviation("crypto/tls has one alert for whatever a callback refuses", {
		epoll = alert, go = "sslv3 alert bad certificate",
	});
end

describe("verification", function ()
	before_each(h.start);
	after_each(h.finish);

	for _, case in ipairs(presented) do
		for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
			it(("takes notes of a client's %s with %s #row51"):format(case[1], protocol), function ()
				local conn = accepted(nil, { cert = case[1], protocol = protocol });
				for _, ask in ways(conn) do
					local ok, errors = ask("getpeerverification");
					assert.equal(case[2] == true, ok);
					if not ok then assert.same(case[2], errors); end
				end
			end);

			it(("takes notes of a server's %s with %s #row51"):format(case[1], protocol), function ()
				local conn = outgoing({ ca = true, verify = "peer", verifyext = relaxed, protocol = protocol }, { cert = case[1] });
				for _, ask in ways(conn) do
					local ok, errors = ask("getpeerverification");
					assert.equal(case[2] == true, ok);
					if not ok then assert.same(case[2], errors); end
				end
			end);
		end
	end

	it("that fails ends the handshake without lsec_continue, for a client #row52", function ()
		for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
			local rec = h.recorder();
			local _, peer = T.outgoing(rec, T.client({ ca = true, verify = "peer", protocol = protocol }), { cert = "untrusted" });
			assert.equal("certificate verify failed", rec:wait("ondisconnect")[1]);
			rec:expect("onstarttls ondisconnect");
			assert.equal(alert_of("tlsv1 alert unknown ca"), T.failure(peer));
			peer:close();
		end
	end);

	it("that fails ends the handshake without lsec_continue, for a server #row52", function ()
		for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
			for name, alert in pairs { untrusted = "tlsv1 alert unknown ca", expired = "sslv3 alert certificate expired" } do
				local rec = h.recorder();
				local _, port = h.listen(rec.listeners, {
					tls_ctx = T.server({ cert = "ec", ca = true, verify = "peer" }), tls_direct = true,
				});
				local peer = T.connect_peer(port, { cert = name, protocol = protocol });
				assert.equal("certificate verify failed", rec:wait("ondisconnect")[1]);
				rec:expect("onstarttls ondisconnect");
				assert.equal(alert_of(alert), T.failure(peer));
			end
		end
	end);

	it("can insist on a certificate", function ()
		for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
			local rec = h.recorder();
			local _, port = h.listen(rec.listeners, {
				tls_ctx = T.server({ cert = "ec", ca = true, verify = { "peer", "fail_if_no_peer_cert" } }), tls_direct = true,
			});
			local peer = T.connect_peer(port, { protocol = protocol });
			assert.equal("peer did not return a certificate", rec:wait("ondisconnect")[1]);
			rec:expect("onstarttls ondisconnect");
			assert.equal(protocol == "tlsv1_3" and "tlsv13 alert certificate required" or "sslv3 alert handshake failure",
				T.failure(peer));
		end
	end);

	it("is told though nobody asked for it, by a client", function ()
		local conn = outgoing({ ca = true, verify = "none", verifyext = relaxed }, { cert = "untrusted" });
		local ok, errors = conn:socket():getpeerverification();
		assert.is_false(ok);
		assert.is_table(errors);
	end);

	it("without lsec flags and without verify is told, in a form that the version takes", function ()
		local conn = outgoing({ ca = true, verify = "none" }, { cert = "expired" });
		local ok, errors = conn:socket():getpeerverification();
		assert.is_false(ok);
		if h.go and h.prosody == 12 then
			assert.same({ { "certificate has expired" } }, errors); -- 0.12 walks through it by pairs
		else
			assert.equal("certificate has expired", errors);
		end
	end);

	it("finds its CAs in a folder", function ()
		local conn = outgoing({ capath = T.file("hashed"), verify = "peer" }, { cert = "long" });
		assert.is_true((conn:socket():getpeerverification()));
	end);

	it("tells that there is none on a plain connection", function ()
		local conn = h.accepted(h.recorder());
		if conn.ssl_peerverification then
			local ok, errors = conn:ssl_peerverification();
			assert.falsy(ok);
			assert.same({ { "Chain verification not supported" } }, errors);
			assert.falsy((conn:ssl_info()));
		end
		assert.is_nil(conn:socket().getpeerverification);
		assert.is_nil(conn:socket().info);
	end);
end);

describe("channel binding", function ()
	before_each(h.start);
	after_each(h.finish);

	it("has the peer's Finished with TLS 1.2", function ()
		local conn, peer = accepted(nil, { protocol = "tlsv1_2" });
		for _, ask in ways(conn) do
			local finished = ask("getpeerfinished");
			assert.equal(12, #finished);
			assert.equal(peer.tls:getfinished(), finished);
		end
	end);

	it("of a client has the Finished that tls-unique wants", function ()
		local conn, peer = outgoing({ protocol = "tlsv1_2" });
		local finished = conn:socket():getpeerfinished();
		h.deviation("crypto/tls keeps the first Finished only, which is the client's and tls-unique", {
			epoll = function () assert.equal(peer.tls:getfinished(), finished); end;
			go = function () assert.equal(peer.tls:getpeerfinished(), finished); end;
		});
	end);

	it("has the own Finished where it is the first", function ()
		local conn, peer = outgoing({ protocol = "tlsv1_2" });
		assert.equal(peer.tls:getpeerfinished(), conn:socket():getfinished());
		conn, peer = accepted(nil, { protocol = "tlsv1_2" });
		h.deviation("crypto/tls keeps the first Finished only", {
			epoll = function () assert.equal(peer.tls:getpeerfinished(), conn:socket():getfinished()); end;
			go = function () assert.is_nil((conn:socket():getfinished())); end;
		});
	end);

	it("exports keying material", function ()
		for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
			local conn, peer = accepted(nil, { protocol = protocol });
			for _, ask in ways(conn) do
				local key = ask("exportkeyingmaterial", "EXPORTER-Channel-Binding", 32, "");
				assert.equal(32, #key);
				assert.equal(peer.tls:exportkeyingmaterial("EXPORTER-Channel-Binding", 32, ""), key);
				assert.equal(peer.tls:exportkeyingmaterial("EXPERIMENTAL x", 7, "ctx"),
					ask("exportkeyingmaterial", "EXPERIMENTAL x", 7, "ctx"));
			end
		end
	end);
end);

describe("a TLS socket", function ()
	before_each(h.start);
	after_each(h.finish);

	it("counts its bytes, and says what it wants", function ()
		local conn, peer, rec = accepted();
		local onincoming, wanted = rec.listeners.onincoming, nil;
		rec.listeners.onincoming = function (...)
			wanted = conn:socket():want();
			return onincoming(...);
		end
		peer:send("12345");
		rec:wait_bytes(5);
		assert.equal("read", wanted);
		conn:write("123");
		h.run_until(function () return peer.bytes == 3; end, "the data");
		local received, sent, age = conn:socket():getstats();
		assert.equal(5, received);
		assert.equal(3, sent);
		assert.is_true(age >= 0 and age < 60);
		local sock = conn:socket();
		conn:close();
		assert.equal("nothing", sock:want());
	end);
end);

describe("a connection after its end", function ()
	before_each(h.start);
	after_each(h.finish);

	it("answers as the reference does", function ()
		local conn = accepted();
		conn:close();
		h.run_until(function () return not conn:socket(); end, "the end");
		for _, method in ipairs { "pause", "resume" } do
			local ok, err = conn[method](conn);
			assert.is_nil(ok);
			assert.equal("invalid fd", err);
		end
		if conn.ssl_exportkeyingmaterial then
			local key, err = conn:ssl_exportkeyingmaterial();
			assert.is_nil(key);
			assert.equal("not-connected", err);
		end
		local written, err = conn:write("x");
		h.deviation("before 13.0.7 nothing is returned", {
			epoll = function () assert.is_true(written == nil or written == 1); end;
			go = function ()
				assert.is_nil(written);
				assert.equal("closed", err);
			end;
		});
	end);

	it("takes no writes, though it was destroyed or ended by its peer", function ()
		for _, ending in ipairs { "destroy", "peer" } do
			local conn, peer = accepted();
			if ending == "peer" then peer:close(); else conn:destroy(); end
			h.run_until(function () return not conn:socket(); end, "the end");
			if h.go then
				local written, err = conn:write("x");
				assert.is_nil(written);
				assert.equal("closed", err);
			end
		end
	end);
end);

describe("DANE", function ()
	before_each(h.start);
	after_each(h.finish);

	local function spki(name)
		return T.pipe(("openssl x509 -in '%s' -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary")
			:format(T.file(name .. ".pem")));
	end

	local function dane(tlsa, options, extra)
		local full = { ca = true, verify = "none", verifyext = relaxed, dane = { "no_ee_namechecks" } };
		for key, value in pairs(options or {}) do
			full[key] = value;
		end
		extra = extra or {};
		extra.tlsa, extra.dane_hostname = tlsa, "other.example";
		local rec = h.recorder();
		local conn, peer = T.outgoing(rec, T.client(full), { cert = "untrusted" }, extra);
		h.run_until(function () return rec:count("onconnect") + rec:count("ondisconnect") > 0; end, "the handshake");
		return conn, rec, peer;
	end

	it("trusts what a record of usage 3 names", function ()
		local conn, _, peer = dane({ { use = 3, select = 1, match = 1, data = spki("untrusted") } });
		assert.is_true((conn:socket():getpeerverification()));
		assert.equal("other.example", peer.tls:getsniname());
	end);

	it("tells of records that do not match", function ()
		local conn = dane({ { use = 3, select = 1, match = 1, data = spki("ec") } });
		local ok, errors = conn:socket():getpeerverification();
		assert.is_false(ok);
		assert.same({ { "no matching DANE TLSA records" } }, errors);
	end);

	it("that fails ends the handshake with verify and without lsec_continue", function ()
		local _, rec = dane({ { use = 3, select = 1, match = 1, data = spki("ec") } }, { verify = "peer", verifyext = {} });
		assert.equal("certificate verify failed", rec:call("ondisconnect")[1]);
	end);

	it("is not in force without the context's consent", function ()
		local conn = dane({ { use = 3, select = 1, match = 1, data = spki("untrusted") } }, { dane = false });
		assert.is_false((conn:socket():getpeerverification()));
		assert.equal(1, h.logged("debug", "Could not enable DANE on connection"));
	end);

	it("reads the records when TLS starts, not before", function ()
		local extra = {};
		local rec = h.recorder({ onincoming = function (conn)
			conn:starttls(T.client({ ca = true, verify = "none", verifyext = relaxed, dane = true }));
		end });
		local conn, peer = h.outgoing(rec, "*a", extra);
		peer.reading = false;
		extra.tlsa = { { use = 3, select = 1, match = 1, data = spki("untrusted") } };
		extra.dane_hostname = "a.example";
		peer:send("<proceed/>");
		rec:wait("onincoming");
		T.upgrade(peer, { cert = "untrusted" }, "server");
		rec:wait("onstatus");
		assert.is_true((conn:socket():getpeerverification()));
	end);
end);
