-- A TLS server that tells each client, over TLS, what LuaSec's info() says of
-- the connection: lua5.4 info-server.lua keys/ number-of-connections
local socket, ssl = require "socket", require "ssl";
local keys, count = arg[1], tonumber(arg[2]);
local context = assert(ssl.newcontext {
	mode = "server", protocol = "any", ciphers = "ALL:@SECLEVEL=0", certificates = {
		{ certificate = keys.."rsa.crt", key = keys.."rsa.key" },
		{ certificate = keys.."p256.crt", key = keys.."p256.key" },
	},
});
local fields = {
	"protocol", "cipher", "encryption", "mac", "key", "authentication", "bits", "algbits", "export", "compression",
};
local listener = assert(socket.bind("127.0.0.1", 0));
io.write(select(2, listener:getsockname()), "\n");
io.flush();
for _ = 1, count do
	local conn = assert(ssl.wrap(listener:accept(), context));
	conn:settimeout(5);
	if conn:dohandshake() then
		local info, out = conn:info(), {};
		for i, field in ipairs(fields) do
			out[i] = tostring(info[field]);
		end
		conn:send(table.concat(out, " ").."\n");
	end
	conn:close();
end
