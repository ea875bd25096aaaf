local h = require "harness";
local socket = require "socket";
local backend = h.backend;

describe("listen", function ()
	before_each(h.start);
	after_each(h.finish);

	it("takes * and :: on one port, each its own family #row1", function ()
		local four, six = h.recorder(), h.recorder();
		local port = h.free_port("*");
		h.track(assert(backend.listen("*", port, four.listeners)));
		h.track(assert(backend.listen("::", port, six.listeners)));
		h.connect_peer(port, "127.0.0.1");
		four:wait("onconnect");
		h.connect_peer(port, "::1");
		six:wait("onconnect");
		four:expect("onconnect");
		six:expect("onconnect");
		assert.equal("127.0.0.1", four.conn:ip());
		assert.equal("::1", six.conn:ip());
	end);

	it("tells that the address is in use #row2", function ()
		local _, port = h.listen({});
		local server, err = backend.listen("127.0.0.1", port, {});
		assert.is_nil(server);
		assert.equal("address already in use", err);
		server, err = backend.addserver("127.0.0.1", port, {});
		assert.is_nil(server);
		assert.truthy(err:find(" in use", 1, true));
	end);

	it("tells that permission is missing #row3", function ()
		-- Root may bind every port, so another user asks. Whoever is not root cannot become another,
		-- and need not.
		local output = h.run_script([[
			local pposix = h.util "pposix";
			pposix.setgid("nogroup");
			pposix.setuid("nobody");
			print(backend.listen("127.0.0.1", 99, {}));
		]]);
		assert.equal("nil\tpermission denied\n", output);
	end);

	it("tells of an address that is not ours", function ()
		local server, err = backend.listen("192.0.2.1", h.free_port(), {});
		assert.is_nil(server);
		assert.equal("Cannot assign requested address", err);
	end);

	it("tells of a name that does not resolve", function ()
		local server, err = backend.listen("no.such.name.invalid", h.free_port(), {});
		assert.is_nil(server);
		assert.is_string(err);
		h.deviation("which resolver is asked, and what it says, is the system's affair", {
			epoll = function () assert.is_string(err); end;
			go = function () assert.equal("host or service not provided, or not known", err); end;
		});
	end);

	it("takes a name", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, nil, "localhost");
		local sock = socket.tcp4();
		if not sock:connect("127.0.0.1", port) then
			sock:close();
			sock = socket.tcp6();
			assert(sock:connect("::1", port));
		end
		h.wrap_peer(sock);
		rec:wait("onconnect");
	end);

	it("accepts from the next turn of the loop on, and connections made before it", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners);
		h.connect_peer(port);
		h.connect_peer(port);
		assert.equal("", rec:names());
		rec:wait("onconnect", 2);
		rec:expect("onconnect onconnect");
	end);

	it("accepts many at once, each with its own data", function ()
		local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
		local _, port = h.listen(rec.listeners);
		local peers = {};
		for i = 1, 100 do
			peers[i] = h.connect_peer(port);
			peers[i]:send(("<%d>"):format(i));
		end
		h.run_until(function ()
			for i = 1, 100 do
				if peers[i]:data() ~= ("<%d>"):format(i) then return false; end
			end
			return true;
		end, "100 echoes");
		assert.equal(100, rec:count("onconnect"));
	end);

	it("gives the connection its server's configuration", function ()
		local rec = h.recorder();
		local server, port = h.listen(rec.listeners, { read_size = 5 });
		h.connect_peer(port);
		rec:wait("onconnect");
		assert.equal(5, rec.conn.read_size);
		assert.equal(server, rec.conn._server);
		assert.equal(rec.listeners, rec.conn.listeners);
		assert.is_nil(rec.conn.extra);
	end);

	it("keeps the hosts table that it was given", function ()
		local hosts = {};
		local server = h.listen({}, { sni_hosts = hosts });
		assert.equal(hosts, server.hosts);
		server.hosts["example.com"] = "a context";
		assert.equal("a context", hosts["example.com"]);
		server.hosts["example.com"] = nil;
	end);

	it("gives a server to set_sslctx", function ()
		local server = h.listen({});
		assert.is_function(server.set_sslctx);
	end);

	it("frees the port at close, within the call", function ()
		local rec = h.recorder();
		local server, port = h.listen(rec.listeners);
		for _ = 1, 5 do
			server:close();
			server:close();
			assert.equal(-1, server:getfd());
			server = h.track(assert(backend.listen("127.0.0.1", port, rec.listeners)));
		end
		h.connect_peer(port);
		rec:wait("onconnect");
	end);

	it("tells at most once, and with the server, that the server closes", function ()
		local closed = {};
		local server = h.listen({
			ondisconnect = function (conn)
				closed[#closed + 1] = conn;
				assert(conn._http_open_response == nil);
			end;
		});
		server:close();
		h.run_for(0.01);
		assert.is_true(#closed <= 1);
		assert.is_true(closed[1] == nil or closed[1] == server);
	end);

	it("leaves connections alone when its server closes", function ()
		local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
		local server, port = h.listen(rec.listeners);
		local peer = h.connect_peer(port);
		rec:wait("onconnect");
		server.listeners = {};
		server:close();
		peer:send("still here");
		h.run_until(function () return peer.bytes == 10; end, "the echo");
		assert.equal(server, rec.conn:server());
		assert.equal("127.0.0.1", server:ip());
		local another = socket.tcp4();
		assert.is_nil((another:connect("127.0.0.1", port)));
		another:close();
		rec:expect("onconnect onincoming");
	end);

	it("keeps a server that nobody else knows", function ()
		local rec = h.recorder();
		local port = h.free_port();
		local weak = setmetatable({ assert(backend.listen("127.0.0.1", port, rec.listeners)) }, { __mode = "v" });
		collectgarbage();
		collectgarbage();
		h.connect_peer(port);
		rec:wait("onconnect");
		assert.truthy(weak[1]);
		h.track(weak[1]);
	end);

	it("addserver takes a read size and no context", function ()
		local rec = h.recorder();
		local port = h.free_port();
		local server = h.track(assert(backend.addserver("127.0.0.1", port, rec.listeners, 3, false)));
		assert.equal(3, server.read_size);
		assert.falsy(server.tls_direct);
		local peer = h.connect_peer(port);
		peer:send("abcdef");
		rec:wait_bytes(6);
		assert.same({ "abc", "def" }, rec.chunks);
	end);

	it("pauses accepting with pausefor, as accept_retry_interval does", function ()
		local rec = h.recorder();
		local server, port = h.listen(rec.listeners);
		server:pausefor(0.1);
		local started = h.now();
		h.connect_peer(port);
		rec:wait("onconnect");
		assert.is_true(h.now() - started >= 0.09);
	end);

	it("defers accepting until data comes with tcp_defer_accept", function ()
		h.settings({ tcp_defer_accept = 5 });
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners);
		local peer = h.connect_peer(port);
		h.run_for(0.1);
		assert.equal(h.deviation("0.12 has no such setting", {
			epoll12 = "onconnect", epoll13 = "", go = "",
		}), rec:names());
		peer:send("x");
		rec:wait_bytes(1);
	end);

	it("goes on after accept_retry_interval when there were no fds #row69", function ()
		-- It has room for about 40 of the 100 that come.
		local pipe = h.start_script([[
			h.settings({ accept_retry_interval = 0.2 });
			local opened, closed = 0, 0;
			local _, port = h.listen({
				onconnect = function () opened = opened + 1; end;
				ondisconnect = function () closed = closed + 1; end;
			});
			print(port);
			h.run_until(function () return closed == 100; end, "100 connections", 15);
			local level = h.deviation("an administrator is to see it", { epoll = "debug", go = "warn" });
			print(opened, h.logged(level, "^Error accepting new client: .*server will be paused"), os.clock());
		]], { shell = "ulimit -n 64" });
		local port = tonumber((pipe:read("l")));
		local peers = {};
		for i = 1, 100 do
			peers[i] = socket.tcp4();
			assert(peers[i]:connect("127.0.0.1", port));
		end
		socket.sleep(0.5);
		for _, peer in ipairs(peers) do
			peer:close();
		end
		local output = h.end_script(pipe);
		local opened, pauses, cpu = output:match("^(%d+)\t(%d+)\t(%S+)");
		assert.equal("100", opened, output);
		assert.is_true(tonumber(pauses) >= 1 and tonumber(pauses) < 50, output);
		assert.is_true(tonumber(cpu) < 2, output); -- it did not spin
	end);

	it("serves at once after bursts of more connections than there are descriptors", function ()
		local pipe = h.start_script([[
			local ended;
			local _, port = h.listen({
				onincoming = function (conn, data)
					conn:write(data);
					ended = data == "end";
				end;
				ondisconnect = function () end;
			});
			print(port);
			h.run_until(function () return ended; end, "the end", 30);
			h.run_for(0.05);
		]], { shell = "ulimit -n 64" });
		local port = tonumber((pipe:read("l")));
		for _ = 1, 3 do
			for _ = 1, 120 do
				local peer = socket.tcp4();
				assert(peer:connect("127.0.0.1", port));
				peer:close();
			end
		end
		local started = h.now();
		local peer = socket.tcp4();
		peer:settimeout(20);
		assert(peer:connect("127.0.0.1", port));
		assert(peer:send("end"));
		assert.equal("end", peer:receive(3));
		assert.is_true(h.now() - started < 1);
		peer:close();
		local output, status = h.end_script(pipe);
		assert.equal(0, status, output);
	end);

	it("needs no descriptor to fail", function ()
		local output = h.run_script([[
			local files = {};
			repeat
				local file = io.open("/dev/null");
				files[#files + 1] = file;
			until not file;
			print(backend.addclient("127.0.0.1", 1, {}));
			print(backend.listen("127.0.0.1", 0, {}));
			print(backend.addclient("localhost", 1, {}, nil, nil, "tcp4"));
		]], { shell = "ulimit -n 64" });
		assert.matches("^nil\t[^\n]*[tT]oo many open files", output);
		assert.matches("\nnil\t[^\n]*[tT]oo many open files[^\n]*\nnil\t", output);
	end);
end);
