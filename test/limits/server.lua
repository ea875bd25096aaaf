-- A TLS echo server that also resolves names and hooks a signal, for run.py:
--     lua server.lua CPATH PEM
-- Says "refused" and why, or "port" and the number. SIGTERM ends it.
package.cpath = arg[1] .. ";" .. package.cpath;

local function say(...)
	io.stdout:write(table.concat({ ... }, " "), "\n");
	io.stdout:flush();
end

local ok, server = pcall(require, "net.server_go");
if not ok then
	say("refused", server);
	-- Nothing is left behind, and it is refused again.
	local again, reason = pcall(require, "net.server_go");
	os.exit(not again and reason == server and 0 or 1);
end

local echo = {
	onconnect = function () end;
	onincoming = function (conn, data) conn:write(data); end;
	ondisconnect = function () end;
};
local closing = {
	onconnect = function (conn) conn:close(); end;
	onincoming = function () end;
	ondisconnect = function () end;
};

server.set_config({ tcp_backlog = 1024 });
local context = { mode = "server"; protocol = "sslv23"; certificate = arg[2]; key = arg[2]; verify = "none" };
local listening = assert(server.listen("127.0.0.1", 0, echo, { read_size = "*a"; tls_ctx = context; tls_direct = true }));
local _, port = listening:socket():getsockname();

server.hook_signal(15, function () server.setquitting(true); end);
server.add_task(0.05, function ()
	server.addclient("localhost", port, closing, "*a", nil, "tcp4");
	return 0.05;
end);
say("port", port);
server.loop();
say("threads", server.stats().threads);
