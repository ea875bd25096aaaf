-- Clients that come again with a session: what they were refused, and what
-- nobody verified, stays so. Clients are openssl's, which keep sessions in files.

local h = require "harness";
local T = require "tls_harness";

local session, output = os.tmpname(), os.tmpname();

local function contents(name)
	local file = assert(io.open(name, "rb"));
	local text = file:read("*a");
	file:close();
	return text;
end

-- A client's whole visit. Returns what openssl says of it, and how it was here:
-- the disconnect reason, and the verification, nil if it was never open.
local function visit(port, rec, arguments)
	local before, verified = rec:count("ondisconnect"), nil;
	function rec.listeners.onconnect(conn)
		verified = conn:socket():getpeerverification();
	end;
	function rec.listeners.onincoming(conn) -- what comes is behind the session
		conn:close();
	end
	os.execute(("{ echo | openssl s_client -ign_eof -connect 127.0.0.1:%d -cert %s -key %s %s; echo exit; } >%s 2>&1 &"):format(
		port, T.file("clientself.pem"), T.file("clientself.key"), arguments, output));
	h.run_until(function ()
		return rec:count("ondisconnect") > before and contents(output):find("exit\n$");
	end, "the visit's end", 20);
	return contents(output), rec:call("ondisconnect", before + 1)[1], verified;
end

-- A port with one host by name, b.example, that asks for certificates as s2s does
local function port_with_host(protocol)
	local function config(cert)
		return {
			cert = cert; ca = true; verify = { "peer", "client_once" }, protocol = protocol;
			verifyext = { "lsec_continue", "lsec_ignore_purpose" };
		};
	end
	local rec, ctx, hosts = h.recorder(), T.server(config("rsa")), {};
	if h.prosody == 13 then
		assert(ctx:set_sni_host("b.example", T.file("b.pem"), T.file("b.key")));
		hosts = ctx._sni_contexts;
	else
		hosts["b.example"] = T.server(config("b"));
	end
	local _, port = h.listen(rec.listeners, { tls_ctx = ctx, tls_direct = true, sni_hosts = hosts });
	return port, rec;
end

describe("a session that comes again", function ()
	before_each(h.start);
	after_each(h.finish);
	teardown(function ()
		os.remove(session);
		os.remove(output);
	end);

	for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
		for first, named in pairs { ["no name"] = "-noservername", ["its name"] = "-servername b.example" } do
			it(("of %s opens no refused name and verifies nobody, %s"):format(first, protocol), function ()
				local port, rec = port_with_host(protocol);
				os.remove(session);
				local text, _, verified = visit(port, rec, named .. " -sess_out " .. session);
				assert.is_false(verified, text);
				assert.truthy(io.open(session), text);
				for _, again in ipairs { "-noservername", "-servername b.example" } do
					text, _, verified = visit(port, rec, again .. " -sess_in " .. session);
					assert.falsy(verified, text);
				end
				local reason;
				text, reason, verified = visit(port, rec, "-servername refused.example -sess_in " .. session);
				assert.is_nil(verified, text);
				h.deviation("LuaSec sets no session id context, without which OpenSSL refuses who resumes and may have a certificate", {
					epoll = function () assert.truthy(text:find("alert internal error", 1, true) or text:find("unrecognized name", 1, true), text); end;
					go = function ()
						assert.truthy(text:find("unrecognized name", 1, true), text);
						assert.equal("callback failed", reason);
					end;
				});
			end);
		end
	end
end);

-- Numbers in the order of the network, and what follows its length
local function vector(size, data)
	local bytes = {};
	for i = size - 1, 0, -1 do
		table.insert(bytes, string.char(math.floor(#data / 256 ^ i) % 256));
	end
	return table.concat(bytes) .. data;
end

-- A client's hello of TLS 1.2 with a name
local function hello(name)
	local extensions = "\0\0" .. vector(2, vector(2, "\0" .. vector(2, name))) -- server_name
		.. "\0\10" .. vector(2, vector(2, "\0\23")) -- P-256
		.. "\0\13" .. vector(2, vector(2, "\4\3\4\1")); -- ECDSA and RSA with SHA-256
	local body = "\3\3" .. ("r"):rep(32) .. "\0" .. vector(2, "\192\43\192\47") .. "\1\0" .. vector(2, extensions);
	return "\22\3\1" .. vector(2, "\1" .. vector(3, body));
end

describe("a name with a NUL", function ()
	before_each(h.start);
	after_each(h.finish);

	for name, refused in pairs { ["b.example"] = false, ["b.example\0xmpp-client"] = true, ["\0"] = true } do
		it(("is%s refused: %q"):format(refused and "" or " not", name:gsub("%z", "NUL")), function ()
			local rec = h.recorder();
			local _, port = h.listen(rec.listeners, { tls_ctx = T.server({ cert = "ec" }), tls_direct = true });
			local peer = h.connect_peer(port);
			peer:send(hello(name));
			h.run_until(function () peer:pump(); return peer.bytes >= 7; end, "an answer");
			local alert = "\21\3\3\0\2\2\112";
			assert.equal(refused, peer:data():sub(1, 7) == alert);
			if refused then
				assert.equal("bad extension", rec:wait("ondisconnect")[1]);
			end
			peer:close();
		end);
	end
end);
