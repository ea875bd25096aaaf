-- A listener and nothing else, on one backend:  lua listener.lua BACKEND PORT PEM CONNECTED
-- TLS if PEM names a file with certificate and key. The file CONNECTED is told how many have connected.
local backend, port, pem, connected_file = table.unpack(arg);
package.path = (os.getenv("PROSODY_LIB") or "/usr/lib/prosody") .. "/?.lua;" .. package.path;
package.cpath = (os.getenv("PROSODY_LIB") or "/usr/lib/prosody") .. "/?.so;" .. package.cpath;

local server = require("net.server_" .. backend);
local ssl = require "ssl"; -- after the backend, as in Prosody

local connected = 0;
local listener = {
	onconnect = function ()
		connected = connected + 1;
	end;
	onincoming = function () end;
	ondisconnect = function () end;
};

local context;
if pem ~= "" then
	-- what core.certmanager's defaults amount to
	context = assert(ssl.newcontext({
		mode = "server";
		protocol = "sslv23";
		certificate = pem;
		key = pem;
		verify = "none";
		options = {
			"no_sslv2"; "no_sslv3"; "no_tlsv1"; "no_tlsv1_1";
			"no_ticket"; "no_compression"; "single_ecdh_use"; "no_renegotiation";
		};
		ciphers = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305";
		curveslist = "X25519:prime256v1:secp384r1";
	}));
end

assert(server.listen("127.0.0.1", tonumber(port), listener, { tls_ctx = context; tls_direct = context ~= nil }));

local function tell()
	local file = assert(io.open(connected_file .. ".new", "w"));
	file:write(connected, "\n");
	file:close();
	assert(os.rename(connected_file .. ".new", connected_file));
	return 0.5;
end
server.add_task(0, tell);
server.loop();
