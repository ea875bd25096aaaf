-- Runs one table of configurations on one backend, with openssl s_client or
-- s_server at the other end, and prints for each what was seen:
--
--   BACKEND=go lua5.4 test/lua/tls_differential.lua run
--
-- or on both backends, side by side, as a table in Markdown:
--
--   lua5.4 test/lua/tls_differential.lua table
--
-- As a module it is the list of cases and the comparison.

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".";
package.path = here .. "/?.lua;" .. package.path;

local M = {};

-- The cases --

local cases = {};
M.cases = cases;

-- What is the same for all: `own` is our configuration, `other` openssl's
-- arguments; @NAME is the file NAME of the test's certificates.
local function case(side, name, own, other, more)
	local c = more or {};
	c.side, c.name, c.own, c.other = side, side .. ": " .. name, own, other;
	table.insert(cases, c);
end

local relaxed = { "lsec_continue", "lsec_ignore_purpose" };

local function with(base, more)
	local both = {};
	for key, value in pairs(base) do both[key] = value; end
	for key, value in pairs(more or {}) do both[key] = value; end
	return both;
end

for _, version in ipairs { "1.2", "1.3" } do
	-- One suite, so that preferences do not show everywhere
	local flag = version == "1.2" and "-tls1_2 -cipher AES128+AESGCM" or "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256";
	local function server(name, own, other, more)
		case("server", version .. ", " .. name, with({ cert = "ec" }, own), flag .. " " .. other, more);
	end
	local function client(name, own, other, more)
		case("client", version .. ", " .. name, with({ ca = true }, own), flag .. " " .. other, more);
	end

	for _, key in ipairs { "rsa", "ec", "ed" } do
		server("key " .. key, { cert = key }, "-CAfile @ca.pem");
		client("key " .. key, {}, ("-cert @%s.pem -key @%s.key"):format(key, key));
	end

	-- Client certificates at our server
	local ask = { ca = true, verify = { "peer", "client_once" } };
	for _, cert in ipairs { "client", "clientrsa", "clientlong", "clientonly", "serveronly", "expired", "notyet", "clientself",
		"short", "untrusted", "untrusted-chain", "hidden" } do
		local args = ("-cert @%s.pem -key @%s.key -cert_chain @%s.pem"):format(cert, cert, cert);
		server("client certificate " .. cert .. ", lsec_continue", with(ask, { verifyext = relaxed }), args);
		server("client certificate " .. cert, ask, args);
	end
	server("no client certificate, asked for", ask, "");
	server("no client certificate, insisted on", { ca = true, verify = { "peer", "fail_if_no_peer_cert" } }, "");
	server("no client certificate, asked for, lsec_continue", with(ask, { verifyext = relaxed }), "");
	server("client certificate not asked for", { ca = true, verify = "none" }, "-cert @client.pem -key @client.key");

	-- Names
	server("SNI known", {}, "-servername b.example", { hosts = { ["b.example"] = "b" } });
	server("SNI unknown", {}, "-servername unknown.example", { hosts = { ["b.example"] = "b" } });
	server("SNI in other case", {}, "-servername B.example", { hosts = { ["b.example"] = "b" } });
	server("SNI below a known name", {}, "-servername x.b.example", { hosts = { ["b.example"] = "b" } });
	server("no SNI, hosts", {}, "", { hosts = { ["b.example"] = "b" } });
	server("SNI, no hosts", {}, "-servername any.example");
	server("no certificate at all", { cert = false }, "");
	client("SNI sent", {}, "-cert @ec.pem -key @ec.key -cert2 @b.pem -key2 @b.key -servername b.example",
		{ extra = { servername = "b.example" } });
	client("SNI refused", {}, "-cert @ec.pem -key @ec.key -cert2 @b.pem -key2 @b.key -servername b.example -servername_fatal",
		{ extra = { servername = "unknown.example" } });

	-- ALPN
	server("ALPN common", { alpn = { "xmpp-client", "http/1.1" } }, "-alpn http/1.1,xmpp-client");
	server("ALPN not common", { alpn = { "xmpp-client" } }, "-alpn h2");
	server("ALPN function", { alpn = function () return { "h2", "b" }; end }, "-alpn a,b");
	server("ALPN function, empty list", { alpn = function () return {}; end }, "-alpn a,b");
	server("ALPN not offered", { alpn = { "xmpp-client" } }, "");
	client("ALPN common", { alpn = { "a", "b" } }, "-cert @ec.pem -key @ec.key -alpn b");
	client("ALPN not common", { alpn = { "a" } }, "-cert @ec.pem -key @ec.key -alpn b");
	client("ALPN unknown to the server", { alpn = "a" }, "-cert @ec.pem -key @ec.key");

	-- Servers that our client meets
	for _, cert in ipairs { "ec", "long", "other", "clientonly", "expired", "notyet", "self", "short", "untrusted", "untrusted-chain" } do
		local args = ("-cert @%s.pem -key @%s.key -cert_chain @%s.pem"):format(cert, cert, cert);
		client("server certificate " .. cert .. ", verify", { verify = "peer" }, args);
		client("server certificate " .. cert .. ", verify, lsec_continue", { verify = "peer", verifyext = relaxed }, args);
		client("server certificate " .. cert .. ", none, lsec_continue", { verify = "none", verifyext = relaxed }, args);
	end
	local asking = "-cert @ec.pem -key @ec.key -CAfile @ca.pem ";
	client("asked for a certificate, has one", { cert = "client" }, asking .. "-verify 3");
	client("asked for a certificate, has an RSA one", { cert = "clientrsa" }, asking .. "-verify 3");
	client("asked for a certificate, has none", {}, asking .. "-verify 3");
	client("certificate insisted on, has none", {}, asking .. "-Verify 3");
	client("certificate insisted on, has one that is not trusted", { cert = "untrusted" },
		asking .. "-Verify 3 -verify_return_error");
	client("certificate insisted on, has an expired one", { cert = "expired" }, asking .. "-Verify 3 -verify_return_error");
end

-- Suites
for _, suite in ipairs { "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA",
	"ECDHE-ECDSA-AES128-SHA256" } do
	case("server", "1.2, suite " .. suite, { cert = "ec", ciphers = "HIGH" }, "-tls1_2 -cipher " .. suite);
end
for _, suite in ipairs { "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-SHA", "AES256-GCM-SHA384", "AES128-SHA", "DHE-RSA-AES128-GCM-SHA256" } do
	case("server", "1.2, suite " .. suite, { cert = "rsa", ciphers = "HIGH" }, "-tls1_2 -cipher " .. suite);
end
for _, suite in ipairs { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" } do
	case("server", "1.3, suite " .. suite, { cert = "ec" }, "-tls1_3 -ciphersuites " .. suite);
end
case("server", "no protocol restriction", { cert = "ec" }, "");
case("client", "no protocol restriction", {}, "-cert @ec.pem -key @ec.key");
case("server", "HIGH, server's preference", { cert = "ec", ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
	options = { "cipher_server_preference" } }, "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384");
case("server", "1.2, curve P-384 only", { cert = "ec", curveslist = "secp384r1" }, "-tls1_2");
case("server", "1.3, curve P-384 only", { cert = "ec", curveslist = "secp384r1" }, "-tls1_3");

-- Failures
case("server", "only 1.2, client only 1.3", { cert = "ec", protocol = "tlsv1_2" }, "-tls1_3");
case("server", "only 1.3, client only 1.2", { cert = "ec", protocol = "tlsv1_3" }, "-tls1_2");
case("server", "client only 1.1", { cert = "ec" }, "-tls1_1 -cipher DEFAULT:@SECLEVEL=0");
case("server", "no shared cipher", { cert = "ec", ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" },
	"-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256");
case("server", "1.2, no cipher for the key", { cert = "ec" }, "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256");
case("server", "1.3, no shared group", { cert = "ec", curveslist = "secp384r1" }, "-tls1_3 -groups X25519");
case("server", "1.2, no shared group", { cert = "ec", curveslist = "secp384r1" }, "-tls1_2 -groups X25519");
case("client", "only 1.3, server only 1.2", { protocol = "tlsv1_3" }, "-tls1_2 -cert @ec.pem -key @ec.key");
case("client", "only 1.2, server only 1.3", { protocol = "tlsv1_2" }, "-tls1_3 -cert @ec.pem -key @ec.key");
case("client", "no shared cipher", { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" },
	"-cert @ec.pem -key @ec.key -cipher ECDHE-ECDSA-AES128-GCM-SHA256");
case("client", "1.3, no shared group", { protocol = "tlsv1_3", curveslist = "X25519" },
	"-cert @ec.pem -key @ec.key -groups P-384");

-- What is no TLS: `raw` is sent by the other end instead
for _, raw in ipairs {
	{ "an HTTP request", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n" };
	{ "an HTTP proxy request", "CONNECT a.example:443 HTTP/1.1\r\n\r\n" };
	{ "an XMPP stream", "<?xml version='1.0'?><stream:stream to='a.example'>" };
	{ "an SSLv2 hello", "\x80\x2e\1\0\2\0\x15\0\0\0\x10" .. ("\1"):rep(40) };
	{ "zeros", ("\0"):rep(64) };
	{ "a short rubbish", "x" };
	{ "a record of a future version", "\x16\x05\0\0\5hello" .. ("x"):rep(20) };
	{ "a truncated hello", "\x16\x03\x01\x02\x00\1\0" };
	{ "a hello that is none", "\x16\x03\x01\0\4\1\0\0\0" };
	{ "an oversized record", "\x16\x03\x01\xff\xff" .. ("x"):rep(100) };
	{ "a fatal alert", "\x15\x03\x01\0\2\2\40" };
	{ "a close_notify", "\x15\x03\x01\0\2\1\0" };
	{ "application data", "\x17\x03\x03\0\5hello" };
	{ "nothing", "" };
} do
	case("server", "gets " .. raw[1], { cert = "ec" }, nil, { raw = raw[2] });
	case("client", "gets " .. raw[1], {}, nil, { raw = raw[2] });
end

-- Running them --

local function run(out)
	local h = require "harness";
	local T = require "tls_harness";
	local openssl = require "openssl_texts";
	local socket = require "socket";
	local function files(args)
		return (args:gsub("@(%l[%w.-]*)", T.file));
	end

	local function verification(conn)
		local sock = conn:socket();
		local ok, errors = sock:getpeerverification();
		if ok then return "ok"; end
		if type(errors) ~= "table" then return tostring(errors); end
		local list = {};
		for depth, texts in pairs(errors) do
			table.insert(list, (depth - 1) .. " " .. table.concat(texts, ", "));
		end
		table.sort(list);
		return table.concat(list, "; ");
	end

	local function describe_connection(conn, seen)
		local sock = conn:socket();
		local info = sock:info();
		seen.info = table.concat({ info.protocol, info.cipher, info.encryption, info.mac, info.key, info.authentication,
			("%g/%g"):format(info.bits, info.algbits), tostring(info.export), tostring(info.compression) }, " ");
		seen.verification = verification(conn);
		local cert = sock:getpeercertificate();
		seen.certificate = cert and cert:subject()[1].value or "none";
		seen.alpn = sock:getalpn() or "none";
		seen.sni = sock:getsniname() or "none";
		seen.unique = info.protocol == "TLSv1.2" and sock:getpeerfinished() and #sock:getpeerfinished() or "none";
		local key = sock:exportkeyingmaterial("EXPERIMENTAL test", 20);
		seen.key = key and key:gsub(".", function (byte) return ("%02X"):format(byte:byte()); end);
	end

	local function recorder(seen)
		local function note(conn) describe_connection(conn, seen); end
		return h.recorder({
			onstatus = note;
			onconnect = function (conn) if seen.client then conn:write("ping\n"); end end;
			onincoming = function (conn) conn:close(); end;
		});
	end

	-- openssl in the background; its output goes to a file that ends with "exit".
	local output = os.tmpname();
	local function start(command)
		local file = io.open(output, "w");
		file:close();
		os.execute(("( timeout 20 openssl %s; echo exit ) >>'%s' 2>&1 &"):format(command, output));
	end
	local function written()
		local file = assert(io.open(output));
		local text = file:read("*a");
		file:close();
		return text;
	end

	-- What openssl made of it
	local function of_openssl(text, seen)
		local alert = text:match("SSL routines:[^:]*:([^:\n]+):[^\n]*SSL alert number");
		local failure = alert or text:match("SSL routines:[^:]*:([^:\n]+):");
		seen.other = openssl.as_3_0(failure or "no error");
		seen.other_alpn = text:match("ALPN protocol: (%S+)");
		seen.other_name = text:match("subject=CN = (%S+)");
		local material = text:match("Keying material: (%x+)");
		if material then
			seen.key = material == seen.key and "as openssl's" or "differs";
		else
			seen.key = nil;
		end
	end

	local function ended(rec)
		return rec:count("ondisconnect") > 0;
	end

	local function raw_peer(c, peer, rec)
		if c.raw == "" then
			peer:close();
		else
			peer:send(c.raw);
			h.run_for(0.03);
		end
		if not ended(rec) and peer.sock then
			peer.sock:shutdown("send"); -- what is incomplete ends here
		end
		pcall(h.run_until, function () return ended(rec); end, "the end", 20);
	end

	local function server(c, seen)
		local rec = recorder(seen);
		local ctx = assert(T.context(c.own, "server"));
		local hosts = {};
		for name, cert in pairs(c.hosts or {}) do
			if h.prosody == 13 then
				assert(ctx:set_sni_host(name, T.file(cert .. ".pem"), T.file(cert .. ".key")));
				hosts = ctx._sni_contexts;
			else
				hosts[name] = assert(T.context(with(c.own, { cert = cert }), "server"));
			end
		end
		local _, port = h.listen(rec.listeners, { tls_ctx = ctx, tls_direct = true, sni_hosts = hosts });
		if c.raw then
			raw_peer(c, h.connect_peer(port), rec);
			return rec;
		end
		local name = c.other:find("-servername", 1, true) and "" or "-noservername ";
		start(("s_client -connect 127.0.0.1:%d %s%s -ign_eof -keymatexport 'EXPERIMENTAL test' -keymatexportlen 20 <'%s'"):format(
			port, name, files(c.other), T.file("ping")));
		pcall(h.run_until, function () return ended(rec) and written():find("exit\n$"); end, "the end", 20);
		of_openssl(written(), seen);
		return rec;
	end

	local function client(c, seen)
		local rec = recorder(seen);
		seen.client = true;
		local ctx = assert(T.context(c.own, "client"));
		local port = h.free_port();
		local listener;
		if c.raw then
			listener = assert(socket.bind("127.0.0.1", port));
		else
			start(("s_server -accept 127.0.0.1:%d -naccept 1 -rev %s"):format(port, files(c.other)));
			h.run_until(function () return written():find("ACCEPT"); end, "s_server");
		end
		h.track(assert(h.backend.addclient("127.0.0.1", port, rec.listeners, "*a", ctx, nil, c.extra)));
		if c.raw then
			local peer = h.wrap_peer(assert(listener:accept()));
			listener:close();
			raw_peer(c, peer, rec);
			return rec;
		end
		pcall(h.run_until, function () return ended(rec) and written():find("exit\n$"); end, "the end", 20);
		of_openssl(written(), seen);
		return rec;
	end

	local file = io.open(T.file("ping"), "w");
	file:write("ping\n");
	file:close();
	local only = os.getenv("CASE");
	for _, c in ipairs(cases) do
		if not only or c.name:find(only, 1, true) then
			if c.own.cert == false then c.own.cert = nil; end
			local seen = {};
			h.start();
			local ok, rec = pcall(c.side == "server" and server or client, c, seen);
			if ok then
				local call = rec:call("ondisconnect");
				seen.calls = rec:names();
				seen.reason = call and tostring(call[1]) or "no disconnect";
				seen.reason = seen.reason == "nil" and "none" or seen.reason;
				if not h.go then seen.reason = openssl.as_3_0(seen.reason); end
			else
				seen.calls = "error: " .. tostring(rec):gsub("\n.*", "");
			end
			local finished, err = pcall(h.finish);
			if not finished then
				seen.leftover = tostring(err):gsub("\n", " ");
			end
			seen.client = nil;
			local keys = {};
			for key in pairs(seen) do table.insert(keys, key); end
			table.sort(keys);
			out:write(c.name, "\n");
			for _, key in ipairs(keys) do
				out:write("\t", key, "\t", tostring(seen[key]), "\n");
			end
			out:flush();
		end
	end
	os.remove(output);
end

-- Comparing --

-- Runs the cases on a backend in a process of its own: name → what was seen
function M.results(backend)
	local pipe = assert(io.popen(("BACKEND=%s lua5.4 '%s/tls_differential.lua' run 2>&1"):format(backend, here)));
	local results, current = {}, nil;
	for line in pipe:lines() do
		local key, value = line:match("^\t(%S+)\t(.*)$");
		if key and current then
			current[key] = value;
		else
			current = {};
			results[line] = current;
		end
	end
	pipe:close();
	return results;
end

-- The differences between two results, as "key: epoll | go"
function M.differences(epoll, go)
	local keys, list = {}, {};
	for key in pairs(epoll) do keys[key] = true; end
	for key in pairs(go) do keys[key] = true; end
	for key in pairs(keys) do
		if epoll[key] ~= go[key] then
			table.insert(list, { key = key, epoll = epoll[key] or "-", go = go[key] or "-" });
		end
	end
	table.sort(list, function (a, b) return a.key < b.key; end);
	return list;
end

local function print_table()
	local epoll, go = M.results("epoll"), M.results("go");
	print("| configuration | info | verification | reason | callbacks | differences: epoll → go |");
	print("| --- | --- | --- | --- | --- | --- |");
	local different = 0;
	for _, c in ipairs(cases) do
		local a, b = epoll[c.name] or {}, go[c.name] or {};
		local list = {};
		for _, d in ipairs(M.differences(a, b)) do
			table.insert(list, ("%s: %s → %s"):format(d.key, d.epoll, d.go));
		end
		different = different + (#list > 0 and 1 or 0);
		print(("| %s | %s | %s | %s | %s | %s |"):format(c.name, a.info or "", a.verification or "", a.reason or "",
			(a.calls or ""):gsub("on(%a+)", "%1"), table.concat(list, "; ")));
	end
	print(("\n%d configurations, %d with a difference"):format(#cases, different));
end

if arg and arg[0] and arg[0]:find("tls_differential.lua$") then
	if arg[1] == "run" then
		run(io.stdout);
	elseif arg[1] == "table" then
		print_table();
	else
		io.stderr:write("usage: tls_differential.lua run | table\n");
		os.exit(1);
	end
	os.exit(0, true);
end

return M;
