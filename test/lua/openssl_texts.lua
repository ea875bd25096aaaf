-- The OpenSSL that LuaSec and the openssl command use here. The specs have the texts of
-- 3.0, which net.server_go has too (tls/reason.go); later ones have renamed some.

local M = {};

local pipe = assert(io.popen("openssl version"));
local major, minor = pipe:read("*a"):match("^OpenSSL (%d+)%.(%d+)");
pipe:close();
major, minor = tonumber(major), tonumber(minor);

function M.since(a, b)
	return major > a or major == a and minor >= b;
end

-- The alerts that SSLv3 had are "ssl/tls alert ..." since 3.2, whatever the version in use.
-- Returns what 3.0 says for a text of this OpenSSL.
function M.as_3_0(text)
	if not M.since(3, 2) then return text; end
	assert(not text:find("^sslv3 alert "), "not a text of this OpenSSL");
	return (text:gsub("^ssl/tls alert ", "sslv3 alert "));
end

return M;
