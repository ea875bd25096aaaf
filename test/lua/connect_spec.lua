-- net.connect on top of the backend. Prosody 13's tries the next address when
-- 250 ms have passed and closes, inside onconnect, whoever comes second.
local h = require "harness";
local socket = require "socket";
local backend = h.backend;

local prefix = h.prosody == 13 and "prosody." or "";
package.loaded[prefix .. "net.server"] = backend;
local connect = require(prefix .. "net.connect").connect;

-- A resolver with these targets, { ip, port } each
local function resolver(targets)
	local n = 0;
	return { hostname = "test"; next = function (_, callback)
		n = n + 1;
		local target = targets[n];
		if not target then return callback(); end
		callback("tcp4", target[1], target[2], {}, n < #targets);
	end };
end

-- A port whose queue is full: a connection to it waits until accept_all.
local function slow_port()
	local listener = assert(socket.tcp4());
	assert(listener:bind("127.0.0.1", 0));
	assert(listener:listen(0));
	local fillers = {};
	local port = h.port_of(listener);
	for i = 1, 3 do
		fillers[i] = socket.tcp4();
		fillers[i]:settimeout(0);
		fillers[i]:connect("127.0.0.1", port);
	end
	listener:settimeout(0);
	local accepted = {};
	local function accept_all()
		local sock = listener:accept();
		while sock do
			table.insert(accepted, h.wrap_peer(sock));
			sock = listener:accept();
		end
		return accepted;
	end
	local function close()
		listener:close();
		for _, filler in ipairs(fillers) do
			filler:close();
		end
	end
	return port, accept_all, close;
end

describe("net.connect", function ()
	before_each(h.start);
	after_each(h.finish);

	local function echo_port()
		local _, port = h.listen({ onincoming = function (conn, data) conn:write(data); end });
		return port;
	end

	local function wait_echo(rec)
		rec.conn:write("hello");
		rec:wait_bytes(5);
		assert.equal("hello", rec:data());
	end

	it("goes on to the next address when one refuses", function ()
		local rec = h.recorder();
		connect(resolver({ { "127.0.0.1", h.free_port() }, { "127.0.0.1", echo_port() } }), rec.listeners, {}, "data");
		rec:wait("onconnect");
		wait_echo(rec);
		rec:expect("onattach onconnect onincoming");
		assert.equal("data", rec:call("onattach")[1]);
	end);

	it("says why when every address refuses", function ()
		local failed = {};
		local rec = h.recorder();
		rec.listeners.onfail = function (data, reason) table.insert(failed, data .. ": " .. tostring(reason)); end;
		connect(resolver({ { "127.0.0.1", h.free_port() }, { "127.0.0.1", h.free_port() } }), rec.listeners, {}, "data");
		h.run_until(function () return #failed > 0; end, "onfail");
		rec:expect("");
		assert.same({ "data: connection refused" }, failed);
	end);

	it("does not wait long for an address that is dead", function ()
		h.settings({ connect_timeout = h.prosody == 12 and 0.3 or nil }); -- it tries one after the other
		local slow, _, close = slow_port();
		local rec = h.recorder();
		local began = h.now();
		connect(resolver({ { "127.0.0.1", slow }, { "127.0.0.1", echo_port() } }), rec.listeners, {}, "data");
		rec:wait("onconnect");
		local took = h.now() - began;
		assert.is_true(took >= 0.24 and took < 10, took);
		wait_echo(rec);
		rec:expect("onattach onconnect onincoming");
		close();
		backend.closeall();
	end);

	if h.prosody == 12 then return; end -- it never has two attempts at once

	it("closes an attempt that comes second, inside its onconnect", function ()
		local slow, accept_all, close = slow_port();
		local rec = h.recorder();
		connect(resolver({ { "127.0.0.1", slow }, { "127.0.0.1", echo_port() } }), rec.listeners, {}, "data");
		rec:wait("onconnect");
		local winner = rec.conn;
		-- The kernel repeats the second attempt's SYN after 1 s, 3 s, ...
		local ended;
		h.run_until(function ()
			for _, peer in ipairs(accept_all()) do
				if peer.ended then ended = peer; end
			end
			return ended;
		end, "the second to connect and to be closed", 15);
		assert.equal("closed", ended.ended); -- not a reset
		assert.equal("", ended:data());
		assert.equal(winner, rec.conn);
		wait_echo(rec);
		rec:expect("onattach onconnect onincoming");
		close();
	end);
end);
