-- Tells, by HTTP and as JSON, whom Prosody sees: the address that the request came from, and of each
-- client's session the address, the state of the stream and the group of its TLS connection.
module:set_global();

local json = require "util.json";
local server = require "net.server";

local sessions = module:shared("/*/c2s/sessions");

local function seen_of(session)
	local conn = session.conn;
	local info = conn.ssl_info and conn:ssl_info();
	return {
		ip = session.ip; conn_ip = conn:ip(); jid = session.full_jid; type = session.type;
		port = conn:clientport(); protocol = info and info.protocol; group = info and info.group;
	};
end

local function answer(event)
	local seen = {};
	for conn, session in pairs(sessions) do
		if session.conn == conn then seen[#seen + 1] = seen_of(session); end
	end
	local stats = server.stats();
	event.response.headers.content_type = "application/json";
	return json.encode({
		ip = event.request.ip; sessions = seen; refused = stats.refused; open = stats.connections.accepted.open;
	});
end

function module.add_host(host)
	host:depends("http");
	host:provides("http", { default_path = "/seen"; route = { GET = answer } });
end
