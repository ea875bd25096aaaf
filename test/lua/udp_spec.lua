-- Datagram sockets as net.adns uses them: wrapped before they are bound or
-- connected, and driven by their owner ever after.
local h = require "harness";
local socket = require "socket";
local backend = h.backend;

-- As net.adns does
local function resolver_socket(listeners, create)
	local sock = assert((create or socket.udp4)());
	sock:settimeout(0);
	local conn = assert(backend.wrapclient(sock, "dns", 53, listeners));
	if conn.set then
		conn:set(true, false);
	end
	conn.settimeout = function () end
	conn.setsockname = function (_, ...) return sock:setsockname(...); end
	conn.setpeername = function (self, ...)
		local ret, err = sock:setpeername(...);
		self:set_send(function () end);
		return ret, err;
	end
	conn.connect = function (_, ...) return sock:connect(...); end
	conn.send = function (_, data) return sock:send(data); end
	return conn, sock;
end

local function name_server(addr)
	local sock = addr == "::1" and assert(socket.udp6()) or assert(socket.udp4());
	assert(sock:setsockname(addr or "127.0.0.1", 0));
	sock:settimeout(0);
	return sock, h.port_of(sock);
end

local function receive_from(sock)
	local data, ip, port;
	h.run_until(function ()
		data, ip, port = sock:receivefrom();
		return data;
	end, "a datagram");
	return data, ip, port;
end

describe("datagram socket", function ()
	before_each(h.start);
	after_each(h.finish);

	it("delivers each datagram by one onincoming, and sends none itself #row37", function ()
		for _, case in ipairs({ { "127.0.0.1", socket.udp4 }, { "::1", socket.udp6 } }) do
			local server, port = name_server(case[1]);
			local rec = h.recorder();
			local conn, sock = resolver_socket(rec.listeners, case[2]);
			h.run_for(0.01);
			assert(conn:setsockname("*", 0) or true);
			assert(conn:setpeername(case[1], port));
			h.run_for(0.01);
			assert.truthy(conn:send("query"));
			local query, _, client_port = receive_from(server);
			assert.equal("query", query);
			server:sendto("answer one", case[1], client_port);
			server:sendto("answer two", case[1], client_port);
			h.run_until(function () return #rec.chunks >= 2; end, "two datagrams");
			h.run_for(0.01);
			assert.same({ "answer one", "answer two" }, rec.chunks);
			assert.equal(conn, rec:call("onincoming").conn);
			assert.is_nil((server:receivefrom())); -- nothing but the query was sent
			conn:close();
			sock:close();
			server:close();
			h.run_for(0.01);
			assert.equal(1, rec:count("ondisconnect"));
		end
	end);

	it("delivers a datagram of any usual size whole", function ()
		local server = name_server();
		local rec = h.recorder();
		local conn, sock = resolver_socket(rec.listeners);
		conn:setsockname("127.0.0.1", 0);
		local port = h.port_of(sock);
		for _, size in ipairs({ 1, 512, 1232, 4096, 8192 }) do
			server:sendto(("x"):rep(size), "127.0.0.1", port);
			rec:wait("onincoming", rec:count("onincoming") + 1);
			assert.equal(size, #rec.chunks[#rec.chunks]);
		end
		conn:close();
		server:close();
	end);

	it("is ended by connect_timeout when no answer comes #row38", function ()
		h.settings({ connect_timeout = 0.1 });
		local server, port = name_server();
		local rec = h.recorder();
		local conn, sock = resolver_socket(rec.listeners);
		conn:setpeername("127.0.0.1", port);
		local started = h.now();
		conn:send("query");
		local reason = rec:wait("ondisconnect")[1];
		assert.is_true(reason == "write timeout" or reason == "connection timeout", tostring(reason));
		assert.is_true(h.now() - started >= 0.09);
		assert.equal(-1, sock:getfd());
		conn:close();
		rec:expect("ondisconnect");
		server:close();
	end);

	it("is ended by connect_timeout though answers came #row38", function ()
		h.settings({ connect_timeout = 1 });
		local server = name_server();
		local rec = h.recorder();
		local conn, sock = resolver_socket(rec.listeners);
		conn:setsockname("127.0.0.1", 0);
		server:sendto("answer", "127.0.0.1", h.port_of(sock));
		local reason = rec:wait("ondisconnect")[1];
		assert.equal("answer", rec:data());
		assert.is_true(reason == "write timeout" or reason == "connection timeout", tostring(reason));
		assert.equal(-1, sock:getfd());
		server:close();
	end);

	it("reports a port that refuses", function ()
		local server, port = name_server();
		server:close();
		local rec = h.recorder();
		local conn = resolver_socket(rec.listeners);
		conn:setpeername("127.0.0.1", port);
		conn:send("query");
		assert.equal("connection refused", rec:wait("ondisconnect")[1]);
		conn:close();
	end);

	it("has the names that it was wrapped with", function ()
		local rec = h.recorder();
		local conn, sock = resolver_socket(rec.listeners);
		assert.equal("dns", conn:ip());
		assert.equal(53, conn:port());
		assert.equal(sock, conn:socket());
		conn:close();
		sock:close();
	end);

	it("is closed in its own onincoming", function ()
		local server = name_server();
		local rec = h.recorder({ onincoming = function (conn) conn:close(); end });
		local conn, sock = resolver_socket(rec.listeners);
		conn:setsockname("127.0.0.1", 0);
		local port = h.port_of(sock);
		server:sendto("one", "127.0.0.1", port);
		server:sendto("two", "127.0.0.1", port);
		rec:wait("ondisconnect");
		h.run_for(0.01);
		assert.same({ "one" }, rec.chunks);
		server:close();
	end);
end);
