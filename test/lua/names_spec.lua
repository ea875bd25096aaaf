local h = require "harness";

describe("names", function ()
	before_each(h.start);
	after_each(h.finish);

	-- LuaSocket's getsockname gives the port as a string, and so does the
	-- reference; in server_go every port is a number.
	local function own_port(port)
		return h.deviation("LuaSocket's getsockname gives a string", {
			epoll = ("%d"):format(port), go = port,
		});
	end

	it("of an accepted connection", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners);
		local peer = h.connect_peer(port);
		local peer_port = h.port_of(peer.sock);
		rec:wait("onconnect");
		local conn = rec.conn;
		assert.equal("127.0.0.1", conn:ip());
		assert.equal(peer_port, conn:port());
		assert.equal(peer_port, conn:clientport());
		assert.equal(own_port(port), conn:serverport());
		assert.equal("127.0.0.1", conn.peername);
		assert.equal(peer_port, conn.peerport);
		assert.equal("127.0.0.1", conn.sockname);
		assert.equal(own_port(port), conn.sockport);
		assert.equal(("FD %d (127.0.0.1, %d, 127.0.0.1, %d)"):format(conn:getfd(), peer_port, port), tostring(conn));
	end);

	it("of an outgoing connection", function ()
		local rec = h.recorder();
		local conn, peer = h.outgoing(rec);
		local _, own = peer.sock:getpeername();
		local peer_port = h.port_of(peer.sock);
		assert.equal("127.0.0.1", conn:ip());
		assert.equal(peer_port, conn:port());
		assert.equal(peer_port, conn:serverport());
		assert.equal(own_port(own), conn:clientport());
		assert.equal(conn, conn:server());
		assert.equal(("FD %d (127.0.0.1, %d, 127.0.0.1, %d)"):format(conn:getfd(), peer_port, own), tostring(conn));
	end);

	it("of an outgoing connection that is not connected yet", function ()
		local _, port = h.listen({});
		local conn = h.track(assert(h.backend.addclient("127.0.0.1", port, {}, "*a")));
		assert.equal("127.0.0.1", conn:ip());
		assert.equal(port, conn:port());
		assert.is_true(conn:getfd() >= 0);
		assert.truthy(tostring(conn):match("^FD %d+ %(127%.0%.0%.1, "));
	end);

	it("of a dead connection are remembered", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		local peer_port = h.port_of(peer.sock);
		conn:close();
		assert.equal("127.0.0.1", conn:ip());
		assert.equal(peer_port, conn:port());
		assert.equal(-1, conn:getfd());
		assert.truthy(tostring(conn):match("^FD %-1 %(127%.0%.0%.1, " .. peer_port .. ", "));
	end);

	it("of an IPv6 connection", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, nil, "::1");
		local peer = h.connect_peer(port, "::1");
		local peer_port = h.port_of(peer.sock);
		rec:wait("onconnect");
		assert.equal("::1", rec.conn:ip());
		assert.equal(peer_port, rec.conn:port());
		assert.equal("::1", rec.conn.sockname);
	end);

	it("of a server", function ()
		local before = os.time();
		local rec = h.recorder();
		local server, port = h.listen(rec.listeners, { read_size = 77 }, "*");
		assert.equal("*", server:ip());
		assert.equal(port, server:port());
		assert.equal(h.deviation("the reference looks for a peer of the server", { go = port }), server:serverport());
		assert.equal(server, server:server());
		assert.equal("*", server.sockname);
		assert.equal(port, server.sockport);
		assert.equal(rec.listeners, server.listeners);
		assert.equal(77, server.read_size);
		assert.is_true(server.created >= before);
		assert.is_function(server.log);
		assert.truthy(server.conn);
		assert.is_true(server:getfd() >= 0);
		assert.falsy(server:ssl());
		assert.equal(("FD %d (*, %d)"):format(server:getfd(), port), tostring(server));
	end);

	it("of a server are in the interface that Prosody 13 looks up #row66", function ()
		for _, addr in ipairs({ "*", "127.0.0.1", "::", "::1" }) do
			local server, port = h.listen({}, nil, addr);
			assert.equal(addr, server:ip());
			assert.equal(h.deviation("nil in the reference", { go = port }), server:serverport());
		end
	end);

	it("of the server are reached from its connection", function ()
		local rec = h.recorder();
		local server, port = h.listen(rec.listeners);
		h.connect_peer(port);
		rec:wait("onconnect");
		assert.equal(server, rec.conn:server());
	end);
end);
