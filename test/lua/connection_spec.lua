local h = require "harness";
local socket = require "socket";
local backend = h.backend;

describe("connection", function ()
	before_each(h.start);
	after_each(h.finish);

	it("fires onconnect before onincoming, with the same object #row7", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		peer:send("hello");
		rec:wait_bytes(5);
		rec:expect("onconnect onincoming");
		assert.equal(conn, rec:call("onincoming").conn);
		assert.equal("hello", rec:data());
	end);

	it("fires no callback before addclient returns #row6", function ()
		local rec = h.recorder();
		local returned = false;
		local early = false;
		rec.listeners.onconnect = function ()
			early = early or not returned;
		end
		local _, port = h.listen({});
		local conn = backend.addclient("127.0.0.1", port, rec.listeners, "*a");
		h.track(conn);
		assert.equal("", rec:names());
		h.run_until(function () return early; end, "onconnect");
		returned = true;
	end);

	it("reports a refused connection to ondisconnect only #row5", function ()
		local rec = h.recorder();
		local conn = assert(backend.addclient("127.0.0.1", h.free_port(), rec.listeners, "*a"));
		assert.equal("", rec:names());
		local call = rec:wait("ondisconnect");
		assert.equal("connection refused", call[1]);
		assert.equal(conn, call.conn);
		rec:expect("ondisconnect");
	end);

	it("drains once when an outgoing one is connected, without a write #row8", function ()
		local rec = h.recorder(nil, { "onpredrain", "ondrain" });
		h.outgoing(rec, "*a");
		rec:wait("ondrain");
		rec:expect("onconnect onpredrain ondrain");
	end);

	it("does not drain an accepted one without a write", function ()
		local rec = h.recorder(nil, { "onpredrain", "ondrain" });
		h.accepted(rec);
		rec:expect("onconnect");
	end);

	it("predrains and drains around a write", function ()
		local rec = h.recorder(nil, { "onpredrain", "ondrain" });
		local conn, peer = h.accepted(rec);
		conn:write("hello");
		rec:wait("ondrain");
		rec:expect("onconnect onpredrain ondrain");
		assert.equal("hello", peer:data());
	end);

	it("carries bytes of every value in both directions", function ()
		local bytes = {};
		for byte = 0, 255 do
			bytes[byte + 1] = string.char(byte);
		end
		local every_byte = table.concat(bytes);
		local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
		local _, peer = h.accepted(rec);
		peer:send(every_byte);
		h.run_until(function () return peer.bytes == 256; end, "the echo");
		assert.equal(every_byte, peer:data());
	end);

	it("echoes 4 MiB unchanged, accepted and outgoing", function ()
		local block = {};
		for i = 1, 4096 do
			block[i] = ("%08d"):format(i):rep(128);
		end
		local data = table.concat(block);
		for _, make in ipairs({ h.accepted, h.outgoing }) do
			local rec = h.recorder({ onincoming = function (conn, chunk) conn:write(chunk); end });
			local _, peer = make(rec);
			peer:send(data);
			h.run_until(function () return peer.bytes >= #data; end, "the echo", 20);
			assert.is_true(peer:data() == data);
			assert.is_true(rec:data() == data);
			rec:expect("onconnect onincoming");
		end
	end);

	it("writes what was written before it was connected", function ()
		local rec = h.recorder();
		local listener = assert(socket.bind("127.0.0.1", 0));
		local port = h.port_of(listener);
		local conn = h.track(assert(backend.addclient("127.0.0.1", port, rec.listeners, "*a")));
		assert.truthy(conn:write("early "));
		assert.truthy(conn:write("bird"));
		local peer = h.wrap_peer(assert(listener:accept()));
		listener:close();
		h.run_until(function () return peer.bytes == 10; end, "the data");
		assert.equal("early bird", peer:data());
		rec:expect("onconnect");
	end);

	it("keeps the order of many small writes", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		local expected = {};
		for i = 1, 2000 do
			expected[i] = i .. ",";
			conn:write(expected[i]);
			if i % 700 == 0 then
				h.run_for(0.002);
			end
		end
		expected = table.concat(expected);
		h.run_until(function () return peer.bytes >= #expected; end, "all writes");
		assert.equal(expected, peer:data());
	end);

	it("has one write method for all, which may be cached #row28", function ()
		local rec_a, rec_b = h.recorder(), h.recorder();
		local a, peer_a = h.accepted(rec_a);
		local b, peer_b = h.accepted(rec_b);
		assert.equal(a.write, b.write);
		local w = a.write;
		assert.truthy(w(b, "to b"));
		h.run_until(function () return peer_b.bytes == 4; end, "data at b");
		assert.equal(0, peer_a.bytes);
		b:close();
		rec_b:wait("ondisconnect");
		assert.has_no.errors(function () w(b, "to a dead one"); end);
		assert.truthy(w(a, "to a"));
		h.run_until(function () return peer_a.bytes == 4; end, "data at a");
		rec_b:expect("onconnect ondisconnect");
	end);

	it("returns 0 for an empty write and drains once #row29", function ()
		local rec = h.recorder(nil, { "ondrain" });
		local conn = h.accepted(rec);
		assert.equal(0, conn:write(""));
		rec:wait("ondrain");
		rec:expect("onconnect ondrain");
	end);

	it("returns the number of bytes from write and send", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		assert.equal(5, conn:write("hello"));
		assert.equal(3, conn:send("abc"));
		h.run_until(function () return peer.bytes == 8; end, "both");
		assert.equal("helloabc", peer:data());
	end);

	it("ignores further arguments of write #row30", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		assert.equal(5, conn:write("hello", 7));
		h.run_until(function () return peer.bytes == 5; end, "the data");
		assert.equal("hello", peer:data());
	end);

	it("drains again after each write in ondrain, at a constant depth #row31", function ()
		local left = 500;
		local depth, deepest = 0, 0;
		local rec = h.recorder({
			ondrain = function (conn)
				depth = depth + 1;
				deepest = math.max(deepest, depth);
				if left > 0 then
					left = left - 1;
					conn:write("0123456789");
				end
				depth = depth - 1;
			end;
		}, { "ondrain" });
		local conn, peer = h.accepted(rec);
		conn:write("0123456789");
		h.run_until(function () return peer.bytes == 5010; end, "501 writes");
		h.run_for(0.02);
		assert.equal(501, rec:count("ondrain"));
		assert.equal(1, deepest);
	end);

	it("delivers one write of 6 MiB entirely #row32", function ()
		local size = 6 * 1024 * 1024;
		local arriving = h.deviation("Prosody 13 loses what exceeds max_send_chunk in a first write", {
			epoll12 = size, epoll13 = 4 * 1024 * 1024, go = size,
		});
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		local data = ("0123456789abcdef"):rep(size / 16);
		assert.equal(size, conn:write(data));
		h.run_until(function () return peer.bytes >= arriving; end, "6 MiB", 20);
		h.run_for(0.02);
		assert.equal(arriving, peer.bytes);
		assert.is_true(peer:data() == data:sub(1, arriving));
	end);

	it("refuses what exceeds max_send_buffer_size while writes are paused #row33", function ()
		h.settings({ max_send_buffer_size = 1000 });
		local rec = h.recorder();
		local conn = h.accepted(rec);
		conn:pause_writes();
		assert.truthy(conn:write(("x"):rep(900)));
		local ret = conn:write(("x"):rep(200));
		h.deviation("0.12 has no such setting", {
			epoll12 = function () assert.truthy(ret); end;
			epoll13 = function () assert.is_false(ret); end;
			go = function () assert.is_false(ret); end;
		});
		rec:expect("onconnect");
	end);

	it("disconnects when output exceeds max_send_buffer_size and cannot leave", function ()
		h.settings({ max_send_buffer_size = 100000 });
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		peer.reading = false;
		local ret;
		local block = ("x"):rep(50000);
		for _ = 1, 400 do
			ret = conn:write(block);
			h.run_for(0); -- what the kernel takes leaves the buffer
			if rec:count("ondisconnect") > 0 then break end
		end
		h.deviation("0.12 has no such setting", {
			epoll12 = function () assert.truthy(ret); end;
			epoll13 = function ()
				assert.falsy(ret);
				assert.equal("no space left in buffer", rec:call("ondisconnect")[1]);
			end;
			go = function ()
				assert.falsy(ret);
				assert.equal("no space left in buffer", rec:call("ondisconnect")[1]);
			end;
		});
	end);

	it("has a starttls that is truthy until it is set to false #row15", function ()
		local rec = h.recorder();
		local conn = h.accepted(rec);
		assert.is_function(conn.starttls);
		conn.starttls = false;
		assert.is_false(conn.starttls);
		local other = h.outgoing(h.recorder());
		assert.is_function(other.starttls);
	end);

	it("is not ssl before TLS", function ()
		local conn = h.accepted(h.recorder());
		assert.falsy(conn:ssl());
	end);

	it("keeps what is assigned to it, also over a method", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		assert.is_nil(conn._http_open_response);
		assert.is_nil(conn.no_such_field);
		assert.is_nil(conn[1.5]);
		conn._http_open_response = rec;
		assert.equal(rec, conn._http_open_response);
		conn._http_open_response = nil;
		assert.is_nil(conn._http_open_response);
		local original = conn.send;
		conn.send = function (self, data) return original(self, "<" .. data .. ">"); end
		conn:send("x");
		h.run_until(function () return peer.bytes == 3; end, "the data");
		assert.equal("<x>", peer:data());
		conn.send = nil;
		assert.equal(original, conn.send);
	end);

	it("calls an assigned onincoming and ondrain instead of the listener's", function ()
		local rec = h.recorder(nil, { "ondrain" });
		local conn, peer = h.accepted(rec);
		local got, drains = nil, 0;
		function conn:onincoming(data)
			assert.equal(conn, self);
			got = data;
		end
		function conn:ondrain()
			assert.equal(conn, self);
			drains = drains + 1;
		end
		peer:send("x");
		conn:write("y");
		h.run_until(function () return got and drains == 1; end, "both");
		assert.equal("x", got);
		rec:expect("onconnect");
	end);

	it("is the same table key everywhere", function ()
		local sessions = {};
		local found = 0;
		local rec = h.recorder({
			onconnect = function (conn) sessions[conn] = true; end;
			onincoming = function (conn) found = found + (sessions[conn] and 1 or 0); end;
			ondisconnect = function (conn) found = found + (sessions[conn] and 1 or 0); end;
		});
		local _, peer = h.accepted(rec);
		peer:send("x");
		rec:wait("onincoming");
		peer:close();
		rec:wait("ondisconnect");
		assert.equal(2, found);
	end);

	it("survives a garbage collection when only the backend knows it", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		conn.mark = "mine";
		-- Not read again: it is the reference that is to go.
		conn, rec.conn = nil, nil; -- luacheck: ignore 311
		for i in pairs(rec.calls) do rec.calls[i] = nil; end
		collectgarbage();
		collectgarbage();
		peer:send("x");
		assert.equal("mine", rec:wait("onincoming").conn.mark);
	end);

	it("is collected after it has ended", function ()
		local weak = setmetatable({}, { __mode = "k" });
		do
			local ended = 0;
			local listeners = { ondisconnect = function () ended = ended + 1; end };
			listeners.onconnect = function (conn) weak[conn] = true; end
			local _, port = h.listen(listeners);
			for _ = 1, 10 do
				h.connect_peer(port):close();
			end
			h.run_until(function () return ended == 10; end, "10 disconnects");
		end
		h.run_for(0.01);
		collectgarbage();
		collectgarbage();
		local left = 0;
		for _ in pairs(weak) do left = left + 1; end
		assert.is_true(left <= 1, left .. " of 10 are left"); -- one may be in a register
	end);

	it("has a created time that math.floor takes #row66", function ()
		local before = os.time();
		local accepted = h.accepted(h.recorder());
		local outgoing = h.outgoing(h.recorder());
		for _, conn in ipairs({ accepted, outgoing, accepted:server() }) do
			assert.is_true(math.floor(conn.created) >= before);
			assert.is_true(math.floor(conn.created) <= os.time());
		end
	end);

	it("has the extra table that addclient was given, and its servername", function ()
		local extra = setmetatable({ servername = "example.com" }, { __index = { inherited = true } });
		local conn = h.outgoing(h.recorder(), "*a", extra);
		assert.equal(extra, conn.extra);
		assert.equal("example.com", conn.servername);
		local inherited = h.outgoing(h.recorder(), "*a", setmetatable({}, { __index = { servername = "example.org" } }));
		assert.equal("example.org", inherited.servername);
		local without = h.outgoing(h.recorder());
		assert.is_nil(without.extra);
		assert.is_nil(without.servername);
	end);

	it("has listeners, id, log, read_size, conn and _server", function ()
		local rec = h.recorder();
		local conn = h.accepted(rec, { read_size = 1234 });
		assert.equal(rec.listeners, conn.listeners);
		assert.is_string(conn.id);
		assert.truthy(conn.id:match("^conn%S+$"));
		assert.is_function(conn.log);
		conn.log("debug", "a line of %s", "ours");
		local line = h.log_line("debug", "a line of ours");
		assert.equal(conn.id, line.name);
		assert.equal(1234, conn.read_size);
		assert.truthy(conn.conn);
		assert.equal(conn:server(), conn._server);
		assert.is_function(conn.debug);
		conn:debug("through %s", "debug");
		assert.equal(1, h.logged("debug", "^through debug$"));
		conn:error("through %s", "error");
		assert.equal(1, h.logged("error", "^through error$"));
		conn:noise("through %s", "noise");
		assert.equal(0, h.logged("debug", "^through noise$"));
		h.settings({ verbose = true });
		conn:noise("through %s", "noise");
		assert.equal(1, h.logged("debug", "^through noise$"));
	end);

	it("logs its life at debug", function ()
		local rec = h.recorder();
		local _, peer = h.accepted(rec);
		assert.is_true(h.logged("debug", "^Connected %(") > 0);
		assert.is_true(h.logged("debug", "^New connection .* on server ") > 0);
		peer:close();
		rec:wait("ondisconnect");
		assert.is_true(h.logged("debug", "Connection closed by remote") > 0);
		local conn = h.accepted(h.recorder());
		conn:close();
		assert.is_true(h.logged("debug", "^Closing now") > 0);
		local other = h.accepted(h.recorder());
		other:write("x");
		other:close();
		assert.is_true(h.logged("debug", "^Close after writing remaining buffered data") > 0);
	end);

	it("hands over to new listeners #row36", function ()
		local two = h.recorder();
		local param = {};
		local one;
		one = h.recorder({
			onconnect = function (conn)
				conn:setlistener(two.listeners, param);
				one.after = conn.listeners;
			end;
		});
		local conn, peer = h.accepted(one);
		peer:send("for two");
		two:wait_bytes(7);
		peer:close();
		two:wait("ondisconnect");
		one:expect("onconnect ondetach");
		two:expect("onattach onincoming ondisconnect");
		assert.equal(conn, two:call("onattach").conn);
		assert.equal(param, two:call("onattach")[1]);
		assert.equal(conn, one:call("ondetach").conn);
		assert.equal(two.listeners, one.after);
	end);

	it("delivers to listeners set within onincoming from the next delivery on", function ()
		local two = h.recorder();
		local one = h.recorder({
			onincoming = function (conn) conn:setlistener(two.listeners); end;
		});
		local _, peer = h.accepted(one, { read_size = 4 });
		peer:send("one.two.");
		two:wait_bytes(4);
		assert.equal("one.", one:data());
		assert.equal("two.", two:data());
		two:expect("onattach onincoming");
		one:expect("onconnect onincoming ondetach");
	end);

	it("looks a callback up when it calls it", function ()
		local listeners = {};
		local _, port = h.listen(listeners);
		local peer = h.connect_peer(port);
		h.run_for(0.01);
		local got;
		function listeners.onincoming(_, data)
			got = data;
		end
		listeners.default_port = 5222;
		peer:send("x");
		h.run_until(function () return got; end, "data");
		assert.equal("x", got);
	end);

	it("finds callbacks through a metatable of the listeners", function ()
		local rec = h.recorder();
		local _, port = h.listen(setmetatable({}, { __index = rec.listeners }));
		local peer = h.connect_peer(port);
		peer:send("x");
		rec:wait_bytes(1);
		rec:expect("onconnect onincoming");
	end);

	it("tolerates listeners without any callbacks", function ()
		local _, port = h.listen({});
		local peer = h.connect_peer(port);
		peer:send("x");
		h.run_for(0.02);
		peer:close();
	end);

	it("may be written to and closed while it is the other's callback", function ()
		local a, a_peer, b_peer;
		local rec_a = h.recorder();
		local rec_b = h.recorder({
			onincoming = function (conn, data)
				a:write(data);
				a:close();
				conn:close();
			end;
		});
		a, a_peer = h.accepted(rec_a);
		b_peer = select(2, h.accepted(rec_b));
		b_peer:send("relayed");
		rec_a:wait("ondisconnect");
		rec_b:wait("ondisconnect");
		h.run_until(function () return a_peer.ended and b_peer.ended; end, "both ends");
		assert.equal("relayed", a_peer:data());
		rec_a:expect("onconnect ondisconnect");
		rec_b:expect("onconnect onincoming ondisconnect");
	end);

	it("writes at once with opportunistic_writes", function ()
		h.settings({ opportunistic_writes = true });
		local rec = h.recorder({ onincoming = function (conn, data) assert.truthy(conn:write(data)); end });
		local _, peer = h.accepted(rec);
		peer:send("hello");
		h.run_until(function () return peer.bytes == 5; end, "the echo");
		rec:expect("onconnect onincoming");
	end);
end);
