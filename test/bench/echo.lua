-- Echoes, on one backend, in the clear and over TLS:  lua echo.lua BACKEND PORT TLS_PORT PEM SETTINGS TLS
-- PEM names a file with certificate and key. SETTINGS are fields of network_settings, TLS those of the context, as Lua.
local backend, port, tls_port, pem, settings, tls = table.unpack(arg);

local function with(defaults, fields)
	for name, value in pairs(assert(load("return {" .. fields .. "}"))()) do
		defaults[name] = value;
	end
	return defaults;
end

local server = require("net.server_" .. backend);
local ssl = require "ssl"; -- after the backend, as in Prosody

if server.cfg then -- server_event
	server.cfg.ACCEPT_QUEUE = 1024;
else
	server.set_config(with({ tcp_backlog = 1024; read_timeout = 3600 }, settings));
end

-- what core.certmanager's defaults amount to
local config = with({
	mode = "server";
	protocol = "sslv23";
	certificate = pem;
	key = pem;
	verify = "none";
	options = {
		"no_sslv2"; "no_sslv3"; "no_tlsv1"; "no_tlsv1_1";
		"no_ticket"; "no_compression"; "single_ecdh_use"; "no_renegotiation";
	};
	ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305";
	curveslist = "X25519:prime256v1:secp384r1";
}, tls);
local context = assert(require "util.sslconfig"._new -- 13's
	and server.tls_builder("."):apply(config):build() or ssl.newcontext(config));

local listener = {
	onconnect = function () end;
	onincoming = function (conn, data)
		if data then -- server_event calls it without, too
			conn:write(data);
		end
	end;
	ondisconnect = function () end;
};

assert(server.listen("127.0.0.1", tonumber(port), listener, { read_size = "*a" }));
assert(server.listen("127.0.0.1", tonumber(tls_port), listener, { read_size = "*a"; tls_ctx = context; tls_direct = true }));
server.loop();
