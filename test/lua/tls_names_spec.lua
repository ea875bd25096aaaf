local h = require "harness";
local T = require "tls_harness";
local ssl = require "ssl";

-- The subject that the peer sees, by its common name and kind of key
local function shown(peer)
	local cert = peer.tls:getpeercertificate();
	return cert:subject()[1].value .. " " .. select(2, cert:pubkey());
end

-- Handshakes with the port; returns what was shown, or nil and the failure.
local function ask(port, config)
	local peer = T.connect_peer(port, config);
	h.run_until(function ()
		peer:pump();
		return T.up(peer) or peer.sock.failed;
	end, "the handshake");
	local failed = peer.sock.failed;
	local text = not failed and shown(peer) or nil;
	local alpn = not failed and peer.tls:getalpn() or nil;
	h.run_for(0.01); -- for the server to be done as well
	peer:close();
	return text, failed, alpn;
end

-- 0.12 keeps LuaSec contexts by name in server.hosts, 13 in its context.
local function sni_port(ctx, rec)
	local server, port = h.listen((rec or h.recorder()).listeners, { tls_ctx = ctx, tls_direct = true, sni_hosts = {} });
	local function add(name, config)
		config = type(config) == "table" and config or { cert = config };
		if h.prosody == 13 then
			assert(ctx:set_sni_host(name, T.file(config.cert .. ".pem"), T.file(config.cert .. ".key")));
		else
			server.hosts[name] = T.server(config);
		end
	end
	local function remove(name)
		if h.prosody == 13 then
			ctx:remove_sni_host(name);
		else
			server.hosts[name] = nil;
		end
	end
	-- 13's server_epoll is given _sni_contexts by portmanager
	if h.prosody == 13 then
		server.hosts = ctx._sni_contexts;
	end
	return server, port, add, remove;
end

describe("SNI", function ()
	before_each(h.start);
	after_each(h.finish);

	it("chooses the certificate by the exact name #row47", function ()
		local _, port, add = sni_port(T.server({ cert = "rsa" }));
		add("b.example", "b");
		assert.truthy(ask(port, { sni = "b.example" }):find("^b%.example"));
		assert.truthy(ask(port):find("^a%.example"));
	end);

	it("refuses an unknown name #row47", function ()
		for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
			local rec = h.recorder();
			local _, port, add = sni_port(T.server({ cert = "rsa" }), rec);
			add("b.example", "b");
			local text, failed = ask(port, { sni = "unknown.example", protocol = protocol });
			assert.is_nil(text);
			assert.equal("tlsv1 unrecognized name", failed);
			assert.equal("callback failed", rec:wait("ondisconnect")[1]);
			rec:expect("onstarttls ondisconnect");
			-- exact: neither by wildcard nor below
			assert.is_nil((ask(port, { sni = "x.b.example", protocol = protocol })));
		end
	end);

	it("takes any name while nothing is in the table #row47", function ()
		local _, port = sni_port(T.server({ cert = "rsa" }));
		assert.truthy(ask(port, { sni = "anything.example" }));
	end);

	it("follows the table as it changes", function ()
		local _, port, add, remove = sni_port(T.server({ cert = "rsa" }));
		assert.truthy(ask(port, { sni = "b.example" }):find("^a%.example"));
		add("b.example", "b");
		assert.truthy(ask(port, { sni = "b.example" }):find("^b%.example"));
		add("b.example", "other");
		assert.truthy(ask(port, { sni = "b.example" }):find("^other%.example"));
		add("c.example", "rsa");
		remove("b.example");
		assert.is_nil((ask(port, { sni = "b.example" })));
		remove("c.example");
		if h.go then -- LuaSec still asks for the table, and its error leaves loop()
			assert.truthy(ask(port, { sni = "b.example" }):find("^a%.example"));
		end
	end);

	it("does without a default certificate #row56", function ()
		local rec = h.recorder();
		local _, port, add = sni_port(T.server({}), rec);
		add("b.example", "b");
		assert.truthy(ask(port, { sni = "b.example" }):find("^b%.example"));
		local text, failed = ask(port);
		assert.is_nil(text);
		assert.is_string(failed);
		rec:wait("ondisconnect", 2);
	end);

	it("is told by getsniname", function ()
		local name = "unset";
		local rec = h.recorder({ onconnect = function (conn) name = conn:socket():getsniname(); end });
		local _, port, add = sni_port(T.server(), rec);
		ask(port);
		rec:wait("onconnect");
		assert.is_nil(name);
		add("b.example", "b");
		ask(port, { sni = "b.example" });
		rec:wait("onconnect", 2);
		assert.equal("b.example", name);
	end);

	it("is sent by a client as extra.servername says, and else not", function ()
		for _, name in ipairs { "b.example", "" } do
			local rec = h.recorder();
			local conn, peer = T.outgoing(rec, T.client(), nil, name ~= "" and { servername = name } or nil);
			rec:wait("onconnect");
			assert.equal(name ~= "" and name or nil, peer.tls:getsniname());
			assert.equal(name ~= "" and name or nil, conn:socket():getsniname());
		end
	end);

	it("holds for STARTTLS", function ()
		local rec = h.recorder();
		local ctx = T.server();
		local server, port = h.listen(rec.listeners, { tls_ctx = ctx, sni_hosts = {} });
		if h.prosody == 13 then
			assert(ctx:set_sni_host("b.example", T.file("b.pem"), T.file("b.key")));
			server.hosts = ctx._sni_contexts;
		else
			server.hosts["b.example"] = T.server({ cert = "b" });
		end
		local peer = h.connect_peer(port);
		rec:wait("onconnect");
		rec.conn:starttls();
		T.upgrade(peer, { sni = "b.example" });
		T.wait_up(peer);
		assert.truthy(shown(peer):find("^b%.example"));
	end);
end);

describe("a port's certificate", function ()
	before_each(h.start);
	after_each(h.finish);

	it("changes for new connections by set_sslctx #row54", function ()
		local rec = h.recorder();
		local conn, peer, server, port = T.accepted(rec, T.server({ cert = "rsa" }));
		assert.truthy(shown(peer):find("^a%.example"));
		server:set_sslctx(T.server({ cert = "other" }));
		local expected = h.deviation("the reference keeps the context in a field that it never reads", {
			epoll = "^a%.example", go = "^other%.example",
		});
		assert.truthy(ask(port):find(expected));
		conn:write("still here");
		h.run_until(function () return peer:data() == "still here"; end, "data on the older connection");
	end);

	it("is taken from a plain table, in 0.12", function ()
		local rec = h.recorder();
		local config = T.config({ cert = "rsa" }, "server");
		if h.epoll and h.prosody == 13 then return end -- its contexts must have :wrap()
		local _, peer = T.accepted(rec, config);
		assert.truthy(shown(peer):find("^a%.example"));
		local conn = T.outgoing(rec, T.config({}, "client"));
		rec:wait("onconnect", 2);
		assert.equal(conn, rec.conn);
	end);

	it("is chosen by what the client can do, where there are several", function ()
		local ctx = T.server({
			certificates = {
				{ certificate = T.file("rsa.pem"), key = T.file("rsa.key") };
				{ certificate = T.file("ec.pem"), key = T.file("ec.key") };
			};
		});
		local _, port = h.listen(h.recorder().listeners, { tls_ctx = ctx, tls_direct = true });
		local with = { protocol = "tlsv1_2" };
		with.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
		assert.truthy(ask(port, with):lower():find("rsa"));
		with.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
		assert.falsy(ask(port, with):lower():find("rsa"));
	end);
end);

describe("ALPN", function ()
	before_each(h.start);
	after_each(h.finish);

	local function chosen(server_alpn, client_alpn, protocol)
		local seen = "none";
		local rec = h.recorder({
			onconnect = function (conn) seen = conn:socket():getalpn(); end;
		});
		local _, port = h.listen(rec.listeners, {
			tls_ctx = T.server({ cert = "ec", alpn = server_alpn }), tls_direct = true,
		});
		local text, failed, alpn = ask(port, { alpn = client_alpn, protocol = protocol });
		assert.is_string(text, failed);
		rec:wait("onconnect");
		assert.equal(alpn, seen);
		return seen;
	end

	for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
		it("is chosen by the server's order, with " .. protocol, function ()
			assert.equal("xmpp-client", chosen({ "xmpp-client", "http/1.1" }, { "http/1.1", "xmpp-client" }, protocol));
			assert.equal("http/1.1", chosen({ "xmpp-client", "http/1.1" }, { "http/1.1" }, protocol));
			assert.is_nil(chosen(nil, { "http/1.1" }, protocol));
			assert.is_nil(chosen({ "http/1.1" }, nil, protocol));
		end);

		it("is no reason to refuse, with " .. protocol .. " #row48", function ()
			assert.is_nil(chosen({ "xmpp-server" }, { "xmpp-client" }, protocol));
		end);

		it("is chosen by a function, with " .. protocol .. " #row49", function ()
			local offered;
			local function answering(answer)
				return function (list)
					offered = list;
					return answer;
				end
			end
			assert.equal("b", chosen(answering({ "x", "b", "a" }), { "a", "b" }, protocol));
			assert.same({ "a", "b" }, offered);
			assert.equal("a", chosen(answering("a"), { "a", "b" }, protocol));
			assert.is_nil(chosen(answering({}), { "a", "b" }, protocol));
			assert.is_nil(chosen(answering(nil), { "a", "b" }, protocol));
			assert.is_nil(chosen(answering({ "z" }), { "a", "b" }, protocol));
		end);
	end

	it("does not ask the function of a client that offers nothing", function ()
		local asked = 0;
		assert.is_nil(chosen(function () asked = asked + 1; return "a"; end, nil));
		assert.equal(0, asked);
	end);

	it("goes on without it when the function raises", function ()
		local ok = pcall(chosen, function () error("alpn trouble"); end, { "a" });
		h.deviation("in the reference it leaves loop()", {
			epoll = function () end;
			go = function ()
				assert.is_true(ok);
				assert.equal(1, h.logged("error", "alpn trouble"));
			end;
		});
	end);

	it("is taken from the context that SNI chose", function ()
		if h.prosody == 13 then return end -- there SNI contexts have the port's
		local seen;
		local rec = h.recorder({ onconnect = function (conn) seen = conn:socket():getalpn(); end });
		local _, port, add = sni_port(T.server({ cert = "ec", alpn = { "a" } }), rec);
		add("b.example", { cert = "b", alpn = { "b" } });
		ask(port, { sni = "b.example", alpn = { "a", "b" } });
		rec:wait("onconnect");
		assert.equal("b", seen);
	end);

	it("is asked for by a client, as a string or a list", function ()
		for _, alpn in ipairs { "a", { "x", "a" } } do
			local rec = h.recorder();
			local conn = T.outgoing(rec, T.client({ alpn = alpn }), { cert = "ec", alpn = { "a" } });
			rec:wait("onconnect");
			assert.equal("a", conn:socket():getalpn());
		end
	end);

	it("refused by the server ends a client's handshake as OpenSSL's does", function ()
		local rec = h.recorder();
		local conn = T.outgoing(rec, T.client({ alpn = "a" }), { cert = "ec", alpn = { "b" } });
		rec:wait("onconnect");
		assert.is_nil(conn:socket():getalpn());
	end);
end);

describe("a context", function ()
	before_each(h.start);
	after_each(h.finish);

	local function make(config)
		local full = T.config(config, "server");
		if h.prosody == 13 then
			return h.backend.tls_builder(T.folder):apply(full):build();
		end
		return ssl.newcontext(full);
	end

	it("takes the password of a key, as string or function", function ()
		for _, key in ipairs { "rsa-old.key", "ec-locked.key" } do
			local cert = T.file(key:match("^%a+") .. ".pem");
			local asked = 0;
			for _, password in ipairs { "secret", function () asked = asked + 1; return "secret"; end } do
				local ctx = assert(make({ certificate = cert, key = T.file(key), password = password }));
				local _, port = h.listen(h.recorder().listeners, { tls_ctx = ctx, tls_direct = true });
				assert.truthy(ask(port):find("^a%.example"));
			end
			assert.truthy(asked >= 1);
		end
	end);

	it("tells of what is wrong in LuaSec's words", function ()
		local rsa, ec = T.file("rsa.pem"), T.file("ec.pem");
		for _, wrong in ipairs {
			{ certificate = ec, key = T.file("ec-locked.key"), password = "wrong" };
			{ certificate = ec, key = T.file("ec-locked.key"), password = function () return nil; end };
			{ certificate = T.file("missing.pem"), key = T.file("ec.key") };
			{ certificate = ec, key = T.file("missing.key") };
			{ certificate = T.file("rubbish.pem"), key = T.file("ec.key") };
			{ certificate = ec, key = T.file("rubbish.pem") };
			{ certificate = rsa, key = T.file("ec.key") };
			{ cafile = T.file("missing.pem") };
			{ protocol = "tlsv9" };
			{ options = { "no_such_option" } };
			{ verify = "sometimes" };
			{ ciphers = "NOSUCHCIPHER" };
			{ curveslist = "nosuchcurve" };
		} do
			local reference, expected = T.luasec_newcontext(T.config(wrong, "server"));
			local ctx, err = make(wrong);
			assert.is_nil(reference);
			assert.is_nil(ctx);
			-- What OpenSSL's queue of errors has first depends on what it did before.
			assert.equal((expected:gsub("%(.*", "")), (err:gsub("%(.*", "")));
			if expected:find("^invalid") or expected:find("^unknown") then
				assert.equal(expected, err);
			end
		end
	end);

	it("of an unknown kind is refused with a word on what to do", function ()
		if h.epoll then return end
		local unknown = T.luasec_newcontext(T.config({ cert = "ec" }, "server"));
		local _, err = h.backend.listen("127.0.0.1", h.free_port(), {}, { tls_ctx = unknown, tls_direct = true });
		assert.truthy(err:find("ssl.newcontext", 1, true), err);
		_, err = h.backend.addclient("127.0.0.1", h.free_port(), {}, "*a", unknown);
		assert.truthy(err:find("ssl.newcontext", 1, true), err);
		local rec = h.recorder();
		local conn = h.accepted(rec);
		conn:starttls(unknown);
		err = rec:wait("ondisconnect")[1];
		assert.truthy(err:find("ssl.newcontext", 1, true), err);
		assert.truthy(h.logged("error", "ssl.newcontext") >= 1);
		assert.has_error(function () h.backend.listen("127.0.0.1", 1, {}, 5); end);
	end);

	it("that is a table and wrong ends the connection with the reason", function ()
		if h.prosody == 13 and h.epoll then return end
		local rec = h.recorder();
		local conn = h.accepted(rec);
		conn:starttls({ mode = "server", protocol = "any", certificate = T.file("missing.pem"), key = T.file("missing.key") });
		assert.truthy(rec:wait("ondisconnect")[1]:find("error loading"), rec:call("ondisconnect")[1]);
		h.logged("error", "Failed to initialize TLS");
	end);

	it("leaves LuaSec's own use of it alone", function ()
		if h.prosody == 13 then return end
		local ctx = ssl.newcontext(T.config({ cert = "ec" }, "server"));
		assert.equal("userdata", type(ctx));
		assert.truthy(tostring(ctx):find("^SSL context"));
	end);

	it("keeps the file it was read from no longer", function ()
		os.execute(("cp '%s' '%s'; cp '%s' '%s'"):format(T.file("b.pem"), T.file("live.pem"), T.file("b.key"), T.file("live.key")));
		local ctx = T.server({ cert = "live" });
		os.execute(("cp '%s' '%s'; cp '%s' '%s'"):format(T.file("other.pem"), T.file("live.pem"), T.file("other.key"), T.file("live.key")));
		local _, port = h.listen(h.recorder().listeners, { tls_ctx = ctx, tls_direct = true });
		assert.truthy(ask(port):find("^b%.example"));
		local _, second = h.listen(h.recorder().listeners, { tls_ctx = T.server({ cert = "live" }), tls_direct = true });
		assert.truthy(ask(second):find("^other%.example"));
	end);
end);
