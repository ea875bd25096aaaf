-- What the specs of TLS share beside the harness: certificates made by openssl,
-- contexts made the way of the Prosody version at hand, and peers that speak
-- TLS by LuaSec.

local socket = require "socket";
local h = require "harness";
local backend = h.backend;
local openssl = require "openssl_texts";
local ssl = require "ssl";
local sslconfig = h.util("sslconfig");

local T = {};

-- net.server_go puts a function of its own in the place of ssl.newcontext. The
-- peers here are LuaSec's alone, so they use the one below it.
local newcontext = ssl.newcontext;
if h.go then
	local _, below = debug.getupvalue(newcontext, 2);
	newcontext = below or newcontext;
end
T.luasec_newcontext = newcontext;

-- Certificates: one folder a process, or that of TLS_PKI --

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".";

function T.make_pki(folder)
	assert(os.execute(("sh '%s/tls_pki.sh' '%s'"):format(here, folder)), "tls_pki.sh failed, see " .. folder .. "/log");
end

local folder = os.getenv("TLS_PKI");
if not folder then
	folder = os.tmpname();
	os.remove(folder);
	T.make_pki(folder);
	T.remove_at_exit = setmetatable({}, { __gc = function ()
		os.execute(("rm -rf '%s'"):format(folder));
	end });
end
T.folder = folder;

function T.file(name)
	return folder .. "/" .. name;
end

function T.read(name)
	local file = assert(io.open(T.file(name), "rb"));
	local text = file:read("*a");
	file:close();
	return text;
end

function T.pipe(command)
	local pipe = assert(io.popen(command));
	local text = pipe:read("*a");
	pipe:close();
	return text;
end

-- Contexts --

-- `cert` is short for certificate and key, `ca` for the test's CA.
local function expanded(config, mode)
	local full = { mode = mode, protocol = "tlsv1_2+" };
	for key, value in pairs(config or {}) do
		full[key] = value;
	end
	if full.cert then
		full.certificate, full.key = T.file(full.cert .. ".pem"), T.file(full.cert .. ".key");
		full.cert = nil;
	end
	if full.ca then
		full.cafile, full.ca = T.file("ca.pem"), nil;
	end
	return full;
end

-- A LuaSec configuration, as Prosody's util.sslconfig leaves it
function T.config(config, mode)
	local builder = sslconfig.new and sslconfig.new() or sslconfig._new(function () end, folder);
	builder:apply(expanded(config, mode));
	return builder:final();
end

-- A context as certmanager makes it: by ssl.newcontext in 0.12, by the
-- backend's builder in 13.
function T.context(config, mode)
	if h.prosody == 13 then
		return backend.tls_builder(folder):apply(expanded(config, mode)):build();
	end
	return ssl.newcontext(T.config(config, mode));
end

function T.server(config)
	local ctx, err = T.context(config or { cert = "ec" }, "server");
	if not ctx then error("server context: " .. tostring(err), 2); end
	return ctx;
end

function T.client(config)
	local ctx, err = T.context(config, "client");
	if not ctx then error("client context: " .. tostring(err), 2); end
	return ctx;
end

-- Peers --

local transport = {};
local transport_mt = { __index = transport };

function transport:settimeout() end -- luacheck: ignore 212/self

function transport:handshake()
	if self.up then return true; end
	if self.failed then return nil, self.failed; end
	local ok, err = self.tls:dohandshake();
	if ok then
		self.up = true;
	elseif err ~= "wantread" and err ~= "wantwrite" and err ~= "timeout" then
		self.failed = err;
	end
	return self.up, self.failed or "timeout";
end

local function again(err)
	return (err == "wantread" or err == "wantwrite") and "timeout" or err;
end

function transport:receive(count)
	local ok, err = self:handshake();
	if not ok then return nil, err, ""; end
	local data, partial;
	data, err, partial = self.tls:receive(count);
	err = again(err);
	if err and err ~= "timeout" and err ~= "closed" then
		self.broken = err;
	end
	return data, err, partial;
end

-- After a failure that OpenSSL holds for fatal, such as an end without
-- close_notify, SSL_write fails without a reason and with errno 0. LuaSec 1.2
-- takes that for success, with nothing sent, and tries again without end.

function transport:send(data)
	local ok, err = self:handshake();
	if not ok then return nil, err, 0; end
	if self.broken then return nil, self.broken, 0; end
	local sent, partial;
	sent, err, partial = self.tls:send(data);
	err = again(err);
	if err and err ~= "timeout" then
		self.broken = err;
	end
	return sent, err, partial;
end

function transport:close()
	return self.tls:close();
end

-- A TLS peer on a plain socket. The config is LuaSec's; `cert`, `ca`, and `sni`
-- (a name to send) may be in it.
function T.transport(sock, config, mode)
	local full = expanded(config, mode);
	local sni = full.sni;
	full.sni = nil;
	full.protocol = full.protocol == "tlsv1_2+" and "any" or full.protocol;
	full.options = full.options or { "no_tlsv1", "no_tlsv1_1" };
	local ctx = assert(newcontext(full));
	sock:setoption("tcp-nodelay", true);
	local tls = assert(ssl.wrap(sock, ctx));
	tls:settimeout(0);
	if sni then
		tls:sni(sni);
	end
	return setmetatable({ tls = tls, ctx = ctx }, transport_mt);
end

-- The peer, plain until now, speaks TLS from here on. One that is to be the
-- server must not have read the hello: its `reading` is false until here.
function T.upgrade(peer, config, mode)
	peer.sock = T.transport(peer.sock, config, mode or "client");
	peer.tls = peer.sock.tls;
	peer.plain = peer:data();
	peer.chunks, peer.bytes, peer.reading = {}, 0, true;
	return peer;
end

function T.connect_peer(port, config)
	return T.upgrade(h.connect_peer(port), config);
end

function T.up(peer)
	return peer.sock and peer.sock.up;
end

function T.wait_up(peer)
	h.run_until(function ()
		peer:pump();
		return T.up(peer) or peer.sock.failed;
	end, "the peer's handshake");
	if peer.sock.failed then
		error("the peer's handshake failed: " .. peer.sock.failed, 2);
	end
end

-- Waits until the peer's handshake has failed, or its stream ended, and says how, in OpenSSL 3.0's words.
function T.failure(peer)
	h.run_until(function () return peer.ended; end, "the peer to see an end");
	return openssl.as_3_0(peer.sock.failed or peer.ended);
end

-- Connections of the backend, with a peer at their other end --

-- Accepted, TLS from the start. Returns connection, peer, server, port.
function T.accepted(rec, ctx, peer_config, config)
	config = config or {};
	config.tls_ctx, config.tls_direct = ctx, true;
	local server, port = h.listen(rec.listeners, config);
	local peer = T.connect_peer(port, peer_config);
	local before = rec:count("onconnect");
	rec:wait("onconnect", before + 1);
	return rec.conn, peer, server, port;
end

local function accept_one(listener)
	local sock = assert(listener:accept());
	listener:close();
	return h.wrap_peer(sock);
end

-- Outgoing, TLS from the start; the peer is a server. Does not wait.
function T.outgoing(rec, ctx, peer_config, extra)
	local listener = assert(socket.bind("127.0.0.1", 0));
	local conn = assert(backend.addclient("127.0.0.1", h.port_of(listener), rec.listeners, "*a", ctx, nil, extra));
	h.track(conn);
	return conn, T.upgrade(accept_one(listener), peer_config or { cert = "ec" }, "server");
end

-- A peer whose traffic goes by way of a relay, so that it can be held back,
-- joined and changed. relay.to_backend and relay.to_client are called with
-- what arrives and send on what they return.
function T.relay(port, config)
	local listener = assert(socket.bind("127.0.0.1", 0));
	local peer = h.connect_peer(h.port_of(listener));
	local inner = accept_one(listener);
	local outer = h.connect_peer(port);
	local relay = { peer = peer, inner = inner, outer = outer };
	local plain_pump = inner.pump;
	local function take(from)
		plain_pump(from);
		local data = from:data();
		from.chunks, from.bytes = {}, 0;
		return data;
	end
	function inner.pump()
		if not inner.sock or not outer.sock then return; end
		local up = take(inner);
		up = relay.to_backend and relay.to_backend(up) or not relay.to_backend and up or "";
		if up ~= "" then
			outer.unsent = outer.unsent .. up;
		end
		local down = take(outer);
		down = relay.to_client and relay.to_client(down) or not relay.to_client and down or "";
		if down ~= "" then
			inner.unsent = inner.unsent .. down;
		end
		plain_pump(outer);
		plain_pump(inner);
	end
	function outer.pump() end
	relay.pump = inner.pump;
	if config then
		T.upgrade(peer, config);
	end
	return relay;
end

return T;
