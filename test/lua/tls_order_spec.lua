local socket = require "socket";
local h = require "harness";
local T = require "tls_harness";
local backend = h.backend;

local starttls_size = { read_size = #"<starttls/>" };
local direct = "onstarttls onstatus onconnect";

-- Accepted in the clear; the peer can be upgraded.
local function starting(handlers, more, config)
	local rec = h.recorder(handlers, more);
	local conn, peer = h.accepted(rec, config);
	return rec, conn, peer;
end

describe("direct TLS", function ()
	before_each(h.start);
	after_each(h.finish);

	it("tells of the handshake, then of the connection, once, when accepted #row9", function ()
		local seen = {};
		local rec = h.recorder({
			onstarttls = function (conn) seen.starttls = conn:ssl(); end;
			onstatus = function (conn) seen.status = conn:ssl(); end;
			onconnect = function (conn) seen.connect = conn:ssl(); end;
		});
		local conn, peer = T.accepted(rec, T.server());
		peer:send("ping");
		rec:wait_bytes(4);
		rec:expect(direct .. " onincoming");
		assert.equal("ssl-handshake-complete", rec:call("onstatus")[1]);
		assert.same({ starttls = true, status = true, connect = true }, seen);
		assert.equal(rec:call("onstarttls").conn, conn);
		assert.equal(rec:call("onstatus").conn, conn);
		assert.equal("ping", rec:data());
	end);

	it("tells of the handshake, then of the connection, once, when outgoing #row9", function ()
		local seen = {};
		local rec = h.recorder({
			onstatus = function (conn) seen.status = conn:ssl(); end;
			onconnect = function (conn) seen.connect = conn:ssl(); end;
		});
		local conn, peer = T.outgoing(rec, T.client());
		rec:wait("onconnect");
		conn:write("ping");
		h.run_until(function () return peer:data() == "ping"; end, "data at the peer");
		rec:expect(direct);
		assert.same({ status = true, connect = true }, seen);
	end);

	it("does not call back before addclient returns #row6", function ()
		local rec = h.recorder();
		T.outgoing(rec, T.client());
		assert.equal("", rec:names());
		rec:wait("onconnect");
	end);

	it("fires predrain and drain after onconnect, for both sides", function ()
		local rec = h.recorder(nil, { "onpredrain", "ondrain" });
		T.accepted(rec, T.server());
		rec:wait("ondrain");
		rec:expect(direct .. " onpredrain ondrain");
		rec = h.recorder(nil, { "onpredrain", "ondrain" });
		T.outgoing(rec, T.client());
		rec:wait("ondrain");
		rec:expect(direct .. " onpredrain ondrain");
	end);

	it("makes starttls false, and a call of it at most an error #row15", function ()
		local conn = T.accepted(h.recorder(), T.server());
		assert.is_false(conn.starttls);
		local rec = h.recorder();
		conn = T.outgoing(rec, T.client());
		rec:wait("onconnect");
		assert.is_false(conn.starttls);
	end);

	it("sends what onstatus and onconnect write, in order, encrypted", function ()
		local rec = h.recorder({
			onstatus = function (conn) conn:write("status "); end;
			onconnect = function (conn) conn:write("connect"); end;
		});
		local _, peer = T.accepted(rec, T.server());
		h.run_until(function () return peer.bytes == 14; end, "data at the peer");
		assert.equal("status connect", peer:data());
	end);

	it("sends what was written during the handshake, after it", function ()
		local rec = h.recorder({
			onstarttls = function (conn) conn:write("early "); end;
			onconnect = function (conn) conn:write("late"); end;
		});
		h.deviation("the reference puts it among the messages of the handshake, in the clear", {
			epoll = function () end;
			go = function ()
				local _, peer = T.accepted(rec, T.server());
				h.run_until(function () return peer:data() == "early late"; end, "data at the peer");
			end;
		});
		rec = h.recorder();
		local conn, peer = T.outgoing(rec, T.client());
		assert.truthy((conn:write("early")));
		rec:wait("onconnect");
		h.run_until(function () return peer:data() == "early"; end, "data at the peer");
	end);

	it("delivers data that comes with the client's last flight", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
		local relay = T.relay(port, {});
		local held = "";
		relay.to_backend = function (data) -- the hello goes, the rest is collected
			if not relay.hello then
				relay.hello = data ~= "" or nil;
				return data;
			end
			held = held .. data;
			if relay.release then
				data, held = held, "";
				return data;
			end
			return "";
		end
		T.wait_up(relay.peer);
		relay.peer:send("with the Finished");
		h.run_for(0.02);
		assert.equal(0, rec:count("onconnect"));
		relay.release = true;
		rec:wait_bytes(#"with the Finished");
		rec:expect(direct .. " onincoming");
	end);

	it("is asked for by addserver and its context, too", function ()
		local rec = h.recorder();
		local port = h.free_port();
		h.track(assert(backend.addserver("127.0.0.1", port, rec.listeners, "*a", T.server())));
		local peer = T.connect_peer(port);
		peer:send("hello");
		rec:wait_bytes(5);
		rec:expect(direct .. " onincoming");
	end);

	it("is offered by wrapserver and used by wrapclient", function ()
		local srec, crec = h.recorder(), h.recorder();
		local listening = assert(socket.bind("127.0.0.1", 0));
		local port = h.port_of(listening);
		h.track(backend.wrapserver(listening, "127.0.0.1", port, srec.listeners, { tls_ctx = T.server(), tls_direct = true }));
		local sock = socket.tcp4();
		assert(sock:connect("127.0.0.1", port));
		local conn = h.track(assert(backend.wrapclient(sock, "127.0.0.1", port, crec.listeners, "*a", T.client())));
		srec:wait("onconnect");
		crec:wait("onconnect");
		conn:write("through");
		srec:wait_bytes(7);
		srec:expect(direct .. " onincoming");
		crec:expect(direct);
		conn:close();
		srec:wait("ondisconnect");
		listening:close();
	end);
end);

describe("starttls", function ()
	before_each(h.start);
	after_each(h.finish);

	it("tells of the handshake, and not of the connection again, when accepted #row10", function ()
		local rec, conn, peer = starting({
			onincoming = function (conn, data)
				if data == "<starttls/>" then
					conn:write("<proceed/>");
					conn:starttls(T.server());
				end
			end;
		});
		assert.is_function(conn.starttls);
		peer:send("<starttls/>");
		h.run_until(function () return peer:data() == "<proceed/>"; end, "<proceed/> in the clear");
		T.upgrade(peer);
		peer:send("secret");
		rec:wait_bytes(#"<starttls/>secret");
		rec:expect("onconnect onincoming onstarttls onstatus onincoming");
		assert.is_true(conn:ssl());
		assert.is_false(conn.starttls);
		conn:write("answer");
		h.run_until(function () return peer:data() == "answer"; end, "the answer");
	end);

	it("tells of the handshake, and not of the connection again, when outgoing #row10", function ()
		local rec = h.recorder({
			onincoming = function (conn) conn:starttls(T.client()); end;
		});
		local conn, peer = h.outgoing(rec, "*a");
		peer.reading = false;
		peer:send("<proceed/>");
		rec:wait("onincoming");
		T.upgrade(peer, { cert = "ec" }, "server");
		rec:wait("onstatus");
		rec:expect("onconnect onincoming onstarttls onstatus");
		conn:write("secret");
		h.run_until(function () return peer:data() == "secret"; end, "data at the peer");
	end);

	it("sends what was written before in the clear, and only TLS after it #row11", function ()
		local rec, _, peer = starting({
			onincoming = function (conn)
				conn:write("<proceed/>");
				conn:starttls(T.server());
			end;
			onstatus = function (conn) conn:write("secret"); end;
		});
		peer:send("<starttls/>");
		rec:wait("onincoming");
		h.run_until(function () return peer.bytes > 0; end, "<proceed/>");
		h.run_for(0.03);
		assert.equal("<proceed/>", peer:data());
		T.upgrade(peer);
		h.run_until(function () return peer:data() == "secret"; end, "the secret");
	end);

	it("sends a megabyte written before it in the clear first #row11", function ()
		local size = 1024 * 1024;
		local _, _, peer = starting({
			onincoming = function (conn)
				conn:write(("c"):rep(size));
				conn:write("<proceed/>");
				conn:starttls(T.server());
			end;
		});
		peer:send("<starttls/>");
		h.run_until(function () return peer.bytes >= size + 10; end, "all of it");
		h.run_for(0.03);
		assert.equal(("c"):rep(size) .. "<proceed/>", peer:data());
		T.upgrade(peer);
		T.wait_up(peer);
	end);

	it("sends what is written after it encrypted #row12", function ()
		local rec, _, peer = starting({
			onincoming = function (conn)
				conn:write("<proceed/>");
				conn:starttls(T.server());
				conn:write("x");
			end;
		});
		peer:send("<starttls/>");
		h.run_until(function () return peer.bytes > 0; end, "<proceed/>");
		h.run_for(0.03);
		h.deviation("the reference sends it along in the clear", {
			epoll = function () assert.equal("<proceed/>x", peer:data()); end;
			go = function ()
				assert.equal("<proceed/>", peer:data());
				T.upgrade(peer);
				rec:wait("onstatus");
				h.run_until(function () return peer:data() == "x"; end, "x, encrypted");
			end;
		});
	end);

	it("takes a hello that came before it, while a callback was busy #row13", function ()
		local relay;
		local rec = h.recorder({
			onincoming = function (conn, data)
				if data ~= "<starttls/>" then return end
				T.upgrade(relay.peer);
				for _ = 1, 20 do
					relay.peer:pump();
					relay.pump();
					socket.sleep(0.002);
				end
				if h.go then -- the reference would read the hello before it writes this
					conn:write("<proceed/>");
				end
				conn:starttls(T.server());
			end;
		});
		local _, port = h.listen(rec.listeners, starttls_size);
		relay = T.relay(port);
		local sent = 0;
		relay.to_backend = function (data)
			sent = sent + #data;
			return data;
		end
		relay.to_client = function (data)
			if h.go and not relay.clear then
				relay.clear, data = data:match("^(<proceed/>)(.*)$");
			end
			return data;
		end
		relay.peer:send("<starttls/>");
		rec:wait("onincoming");
		assert.truthy(sent > 100); -- the hello was on its way indeed
		T.wait_up(relay.peer);
		relay.peer:send("secret");
		rec:wait_bytes(#"<starttls/>secret");
		assert.equal("<starttls/>secret", rec:data());
		assert.equal(h.go and "<proceed/>" or nil, relay.clear);
		rec:expect("onconnect onincoming onstarttls onstatus onincoming");
	end);

	it("takes a hello that came together with the request for it #row13", function ()
		h.settings({ ssl_handshake_timeout = h.epoll and 0.3 or nil });
		local relay;
		local rec = h.recorder({
			onincoming = function (conn, data)
				if data == "<starttls/>" then conn:starttls(T.server()); end
			end;
		});
		local _, port = h.listen(rec.listeners, starttls_size);
		relay = T.relay(port, {});
		local first = true;
		relay.to_backend = function (data)
			if first and data ~= "" then
				data, first = "<starttls/>" .. data, false;
			end
			return data;
		end
		h.deviation("the reference drops what LuaSocket's buffer has", {
			epoll = function () assert.equal("write timeout", rec:wait("ondisconnect")[1]); end;
			go = function ()
				T.wait_up(relay.peer);
				relay.peer:send("secret");
				rec:wait_bytes(#"<starttls/>secret");
			end;
		});
	end);

	it("never delivers what was sent in the clear behind the request #row14", function ()
		local rec, _, peer = starting({
			onincoming = function (conn, data)
				if data == "<starttls/>" then
					conn:write("<proceed/>");
					conn:starttls(T.server());
				end
			end;
		}, nil, starttls_size);
		peer:send("<starttls/><injected/>");
		h.run_until(function () return peer:data() == "<proceed/>"; end, "<proceed/>");
		T.upgrade(peer);
		h.deviation("there it is lost with LuaSocket's buffer, or delivered, as plaintext; here it is no TLS", {
			epoll = function ()
				peer:send("secret");
				rec:wait("onstatus");
				h.run_until(function () return rec:data():find("secret$"); end, "the secret");
			end;
			go = function ()
				assert.equal("wrong version number", rec:wait("ondisconnect")[1]);
				assert.equal("<starttls/>", rec:data());
			end;
		});
	end);

	it("is a flag: a function, then false #row15", function ()
		local _, conn, peer = starting();
		assert.is_function(conn.starttls);
		conn:starttls(T.server());
		assert.is_false(conn.starttls);
		T.upgrade(peer);
		T.wait_up(peer);
		assert.is_false(conn.starttls);
		_, conn = starting();
		conn.starttls = false;
		assert.is_false(conn.starttls);
	end);

	it("does not count as TLS before it has really begun", function ()
		local seen;
		local _, _, peer = starting({
			onincoming = function (conn)
				conn:write("<proceed/>");
				conn:starttls(T.server());
				seen = conn:ssl();
			end;
		});
		peer:send("<starttls/>");
		h.run_until(function () return peer.bytes > 0; end, "<proceed/>");
		assert.falsy(seen);
	end);

	it("takes nil for the context that the server has", function ()
		local rec, conn, peer = starting(nil, nil, { tls_ctx = T.server(), tls_direct = false });
		conn:starttls();
		T.upgrade(peer);
		rec:wait("onstatus");
	end);

	it("takes a second argument, as Prosody 13 gives", function ()
		local rec, conn, peer = starting();
		conn:starttls(T.server(), "a.example");
		T.upgrade(peer);
		rec:wait("onstatus");
	end);

	it("works in onconnect of a client", function ()
		h.settings({ ssl_handshake_timeout = h.epoll and 0.5 or nil });
		local rec = h.recorder({ onconnect = function (conn) conn:starttls(T.client()); end });
		local listener = assert(socket.bind("127.0.0.1", 0));
		h.track(backend.addclient("127.0.0.1", h.port_of(listener), rec.listeners, "*a"));
		local peer = h.wrap_peer(assert(listener:accept()));
		listener:close();
		T.upgrade(peer, { cert = "ec" }, "server");
		h.deviation("the reference stalls until the peer sends something", {
			epoll = function ()
				h.run_for(0.1);
				assert.falsy(T.up(peer));
			end;
			go = function () rec:wait("onstatus"); end;
		});
	end);

	it("works in onconnect of an accepted connection", function ()
		local rec = h.recorder({ onconnect = function (conn) conn:starttls(T.server()); end });
		local _, port = h.listen(rec.listeners);
		local peer = T.connect_peer(port);
		T.wait_up(peer);
		peer:send("secret");
		rec:wait_bytes(6);
		rec:expect("onconnect onstarttls onstatus onincoming");
	end);

	it("works on a wrapped client, under the listeners of that moment", function ()
		local listening = assert(socket.bind("127.0.0.1", 0));
		local sock = socket.tcp4();
		assert(sock:connect("127.0.0.1", h.port_of(listening)));
		local peer = h.wrap_peer(assert(listening:accept()));
		peer.reading = false;
		listening:close();
		local later = h.recorder();
		local rec = h.recorder({
			onincoming = function (conn)
				conn:setlistener(later.listeners);
				conn:starttls(T.client());
			end;
		});
		local conn = h.track(assert(backend.wrapclient(sock, "127.0.0.1", 1, rec.listeners, "*a")));
		rec:wait("onconnect");
		peer:send("<proceed/>");
		rec:wait("onincoming");
		T.upgrade(peer, { cert = "rsa" }, "server");
		later:wait("onstatus");
		conn:write("secret");
		h.run_until(function () return peer:data() == "secret"; end, "data at the peer");
		rec:expect("onconnect onincoming ondetach");
		later:expect("onattach onstarttls onstatus");
		conn:close();
		later:wait("ondisconnect");
	end);

	it("ends a pause, of reads and not of writes", function ()
		local rec, conn, peer = starting();
		conn:pause();
		conn:starttls(T.server());
		T.upgrade(peer);
		peer:send("secret");
		rec:wait_bytes(6);
	end);

	it("delivers nothing after block_reads before it #row16", function ()
		local _, probe = starting();
		local has = probe.block_reads;
		if not has then
			assert.is_true(h.epoll);
			return;
		end
		local rec, conn, peer = starting({
			onincoming = function (conn) conn:block_reads(); end;
		}, nil, starttls_size);
		peer:send("<starttls/>");
		rec:wait("onincoming");
		local relay_hello = #rec:data();
		T.upgrade(peer);
		h.run_for(0.05); -- the hello has arrived
		assert.equal(relay_hello, #rec:data());
		conn:starttls(T.server());
		peer:send("secret");
		rec:wait_bytes(#"<starttls/>secret");
		rec:expect("onconnect onincoming onstarttls onstatus onincoming");
	end);

	it("delivers nothing that was sent in the clear after block_reads #row16", function ()
		local rec, conn, peer = starting();
		if not conn.block_reads then
			assert.is_true(h.epoll);
			return;
		end
		conn:block_reads();
		peer:send("injected");
		h.run_for(0.03);
		conn:starttls(T.server());
		rec:wait("ondisconnect");
		assert.equal("", rec:data());
	end);
end);

describe("a handshake that does not end", function ()
	before_each(h.start);
	after_each(h.finish);

	it("is a connection timeout, accepted with direct TLS #row27", function ()
		h.settings({ ssl_handshake_timeout = 0.2 });
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
		local peer = h.connect_peer(port);
		local began = h.now();
		assert.equal("connection timeout", rec:wait("ondisconnect")[1]);
		assert.is_true(h.now() - began >= 0.19);
		rec:expect("onstarttls ondisconnect");
		h.run_until(function () return peer.ended; end, "the end at the peer");
	end);

	it("is a connection timeout, outgoing with direct TLS #row27", function ()
		h.settings({ ssl_handshake_timeout = 0.2 });
		local rec = h.recorder();
		local listener = assert(socket.bind("127.0.0.1", 0));
		h.track(backend.addclient("127.0.0.1", h.port_of(listener), rec.listeners, "*a", T.client()));
		assert.equal("connection timeout", rec:wait("ondisconnect")[1]);
		rec:expect("onstarttls ondisconnect");
		listener:close();
	end);

	it("is a write timeout with STARTTLS #row27", function ()
		h.settings({ ssl_handshake_timeout = 0.2 });
		local rec, conn = starting();
		conn:starttls(T.server());
		assert.equal("write timeout", rec:wait("ondisconnect")[1]);
		rec:expect("onconnect onstarttls ondisconnect");
	end);

	it("is not timed by read_timeout", function ()
		h.settings({ read_timeout = 0.5, ssl_handshake_timeout = 20 });
		local rec, conn = starting();
		conn:starttls(T.server());
		h.run_for(0.7);
		rec:expect("onconnect onstarttls");
	end);

	it("has its time anew after each step of the peer", function ()
		h.settings({ ssl_handshake_timeout = 1 });
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
		h.run_for(0.01);
		local relay = T.relay(port, {});
		relay.peer:pump();
		relay.pump();
		local steps, due = 0, h.now() + 0.6;
		relay.to_backend = function (data)
			relay.held = (relay.held or "") .. data;
			if relay.held ~= "" and h.now() > due then
				data, relay.held, due, steps = relay.held, nil, h.now() + 0.6, steps + 1;
				return data;
			end
			return "";
		end
		rec:wait("onconnect");
	end);
end);

-- In the reference a close() in the others leads to an error that leaves loop().
local closable = h.go and { "onstarttls", "onstatus", "onconnect", "onincoming" } or { "onconnect", "onincoming" };

describe("a connection with TLS", function ()
	before_each(h.start);
	after_each(h.finish);

	it("is ended with a close_notify", function ()
		for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
			local rec = h.recorder();
			local conn, peer = T.accepted(rec, T.server(), { protocol = protocol });
			conn:write("bye");
			conn:close();
			h.run_until(function () return peer.ended; end, "the end at the peer");
			assert.equal("bye", peer:data());
			assert.equal("closed", peer.ended); -- LuaSec's word for a close_notify
			assert.is_nil(rec:wait("ondisconnect")[1]);
			rec:expect(direct .. " ondisconnect");
		end
	end);

	it("sends a megabyte and the close_notify behind it #row17", function ()
		local size = 1024 * 1024;
		local rec = h.recorder();
		local conn, peer = T.accepted(rec, T.server());
		conn:write(("z"):rep(size));
		conn:close();
		if h.go then -- the reference does not read it, and the kernel resets
			peer:send("too late");
		end
		h.run_until(function () return peer.ended; end, "the end at the peer");
		assert.equal(size, peer.bytes);
		assert.equal("closed", peer.ended);
		assert.is_nil(rec:wait("ondisconnect")[1]);
		rec:expect(direct .. " ondisconnect");
	end);

	it("fires ondisconnect within close() when nothing is buffered", function ()
		local rec = h.recorder();
		local conn = T.accepted(rec, T.server());
		h.run_for(0.02);
		conn:close();
		assert.equal(1, rec:count("ondisconnect"));
		conn:close();
		rec:expect(direct .. " ondisconnect");
	end);

	it("is closed by the peer's close_notify #row20", function ()
		local rec = h.recorder();
		local _, peer = T.accepted(rec, T.server());
		peer:close();
		local call = rec:wait("ondisconnect");
		assert.equal(h.prosody == 13 and "closed" or nil, call[1]);
		rec:expect(direct .. " ondisconnect");
	end);

	it("names an end without close_notify #row22", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
		local relay = T.relay(port, {});
		rec:wait("onconnect");
		h.run_for(0.2); -- the relay has to read the tickets, or its close is a reset
		relay.outer:close();
		assert.equal("unexpected eof while reading", rec:wait("ondisconnect")[1]);
		rec:expect(direct .. " ondisconnect");
	end);

	it("names an end in the middle of a handshake #row22", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
		local peer = h.connect_peer(port);
		h.run_for(0.02);
		peer:close();
		assert.equal("unexpected eof while reading", rec:wait("ondisconnect")[1]);
		rec:expect("onstarttls ondisconnect");
	end);

	it("delivers what came before an end without close_notify", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
		local relay = T.relay(port, {});
		rec:wait("onconnect");
		relay.peer:send("last words");
		h.run_until(function ()
			return relay.peer.unsent == "" and relay.outer.unsent == "";
		end, "the words to be sent");
		relay.pump();
		relay.outer.sock:shutdown("send");
		assert.equal("unexpected eof while reading", rec:wait("ondisconnect")[1]);
		assert.equal("last words", rec:data());
	end);

	it("tells of a reset as closed #row21", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
		local relay = T.relay(port, {});
		rec:wait("onconnect");
		h.run_for(0.02);
		relay.outer:reset();
		local reason = rec:wait("ondisconnect")[1];
		assert.truthy(reason == nil or reason == "closed", tostring(reason));
	end);

	it("may be closed in each callback", function ()
		for _, name in ipairs(closable) do
			local rec = h.recorder({ [name] = function (conn) conn:close(); end });
			local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
			local peer = T.connect_peer(port);
			peer:send("x");
			rec:wait("ondisconnect");
			h.run_until(function () return peer.ended; end, "the end at the peer, closed in " .. name);
			local names = rec:names();
			local before = ("onstarttls onstatus onconnect onincoming"):match("^(.*" .. name .. ")");
			if h.go then
				assert.equal(before .. " ondisconnect", names);
			end
			assert.equal(1, rec:count("ondisconnect"));
			rec:expect(names); -- and nothing later
		end
	end);

	it("may be closed in each callback of a client", function ()
		for _, name in ipairs(closable) do
			local rec = h.recorder({ [name] = function (conn) conn:close(); end });
			local _, peer = T.outgoing(rec, T.client());
			peer:send("x");
			rec:wait("ondisconnect");
			local names = rec:names();
			assert.equal(1, rec:count("ondisconnect"));
			rec:expect(names);
			peer:close();
		end
	end);

	it("may be closed in each callback of STARTTLS", function ()
		for _, name in ipairs(closable) do
			if name == "onconnect" then name = "onincoming"; end
			local rec, conn, peer = starting({ [name] = function (conn) conn:close(); end });
			conn:starttls(T.server());
			T.upgrade(peer);
			peer:send("x");
			rec:wait("ondisconnect");
			local names = rec:names();
			assert.equal(1, rec:count("ondisconnect"));
			rec:expect(names);
		end
	end);

	it("sends what a callback writes before it closes", function ()
		for _, name in ipairs(closable) do
			local rec = h.recorder({ [name] = function (conn)
				conn:write("bye");
				conn:close();
			end });
			local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
			local peer = T.connect_peer(port);
			peer:send("x");
			rec:wait("ondisconnect");
			h.run_until(function () return peer.ended; end, "the end at the peer");
			if h.go or name == "onincoming" then
				assert.equal("bye", peer:data(), name);
				assert.equal("closed", peer.ended);
			end
		end
	end);

	it("may be closed by others during the handshake", function ()
		local rec = h.recorder();
		local server_seen;
		rec.listeners.onstarttls = function (conn) server_seen = conn; end
		local _, port = h.listen(rec.listeners, { tls_ctx = T.server(), tls_direct = true });
		local peer = h.connect_peer(port);
		h.run_until(function () return server_seen; end, "onstarttls");
		server_seen:close();
		assert.equal(1, rec:count("ondisconnect"));
		assert.is_nil(rec:call("ondisconnect")[1]);
		h.run_until(function () return peer.ended; end, "the end at the peer");
		rec:expect("ondisconnect");
	end);

	it("sends what was written during the handshake of a client that is closed meanwhile", function ()
		local rec = h.recorder();
		local conn, peer = T.outgoing(rec, T.client());
		conn:write("early");
		conn:close();
		h.deviation("0.12 closes what is not connected at once, 13 sends in the clear", {
			epoll = function () h.run_for(0.05); end;
			go = function ()
				h.run_until(function () return peer.ended; end, "the end at the peer");
				assert.equal("early", peer:data());
			end;
		});
		if h.go then
			rec:wait("ondisconnect");
			rec:expect("onstarttls onstatus ondisconnect");
		end
	end);

	it("is not told twice of an end in ondisconnect #row19", function ()
		local rec = h.recorder({ ondisconnect = function (conn) conn:close(); end });
		local _, peer = T.accepted(rec, T.server());
		peer:close();
		rec:wait("ondisconnect");
		rec:expect(direct .. h.deviation("13 leaves close() in place while ondisconnect runs", {
			epoll12 = " ondisconnect";
			epoll13 = " ondisconnect ondisconnect";
			go = " ondisconnect";
		}));
	end);

	it("is destroyed without a word", function ()
		local rec = h.recorder();
		local conn, peer = T.accepted(rec, T.server());
		h.run_for(0.02);
		conn:destroy();
		h.run_until(function () return peer.ended; end, "the end at the peer");
		rec:expect(direct);
		assert.is_nil(conn:socket());
		assert.equal(-1, conn:getfd());
	end);

	it("has a read timeout after the handshake #row23", function ()
		h.settings({ read_timeout = 0.1 });
		local rec = h.recorder();
		T.accepted(rec, T.server());
		assert.equal("read timeout", rec:wait("ondisconnect")[1]);
		rec:expect(direct .. " onreadtimeout ondisconnect");
	end);
end);
