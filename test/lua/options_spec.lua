local h = require "harness";
local socket = require "socket";
local backend = h.backend;

-- Looks at an fd through a LuaSocket object.
local function getoption(conn, name)
	local sock = socket.tcp();
	sock:setfd(conn:getfd());
	local value, err = sock:getoption(name);
	sock:setfd(-1);
	assert(err == nil, err);
	return value;
end

describe("socket option", function ()
	before_each(h.start);
	after_each(h.finish);

	it("keepalive is off until it is asked for #row64", function ()
		local conn = h.accepted(h.recorder());
		assert.is_false(getoption(conn, "keepalive"));
		assert.truthy(conn:setoption("keepalive", true));
		assert.is_true(getoption(conn, "keepalive"));
		assert.truthy(conn:setoption("keepalive", false));
		assert.is_false(getoption(conn, "keepalive"));
		local client = h.outgoing(h.recorder());
		assert.is_false(getoption(client, "keepalive"));
		assert.truthy(client:setoption("keepalive", true));
		assert.is_true(getoption(client, "keepalive"));
	end);

	it("tcp-nodelay is as the setting nagle says #row64", function ()
		local function nodelay(settings)
			h.settings(settings);
			local accepted = getoption(h.accepted(h.recorder()), "tcp-nodelay");
			local outgoing = getoption(h.outgoing(h.recorder()), "tcp-nodelay");
			assert.equal(accepted, outgoing);
			return accepted;
		end
		assert.equal(h.deviation("Nagle adds 40 ms to a login, and batching leaves it nothing to do", {
			epoll = false, go = true,
		}), nodelay({}));
		assert.is_false(nodelay({ nagle = true }));
		assert.is_true(nodelay({ nagle = false }));
	end);

	it("keepalive is set by tcp_keepalive, with the idle time if it is a number", function ()
		h.settings({ tcp_keepalive = true });
		assert.is_true(getoption(h.accepted(h.recorder()), "keepalive"));
		assert.is_true(getoption(h.outgoing(h.recorder()), "keepalive"));
		h.settings({ tcp_keepalive = 77 });
		local conn = h.accepted(h.recorder());
		assert.is_true(getoption(conn, "keepalive"));
		assert.equal(77, getoption(conn, "tcp-keepidle"));
	end);

	it("tcp_fastopen gets in nobody's way", function ()
		h.settings({ tcp_fastopen = 5 });
		for _, open in ipairs({ h.accepted, h.outgoing }) do
			local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
			local _, peer = open(rec);
			peer:send("hello");
			h.run_until(function () return peer.bytes == 5; end, "the echo");
		end
	end);

	it("of LuaSocket's names is set", function ()
		local conn = h.accepted(h.recorder());
		assert.truthy(conn:setoption("tcp-nodelay", true));
		assert.is_true(getoption(conn, "tcp-nodelay"));
		assert.truthy(conn:setoption("tcp-nodelay", false));
		assert.is_false(getoption(conn, "tcp-nodelay"));
		for name, value in pairs({ ["tcp-keepidle"] = 50, ["tcp-keepcnt"] = 5, ["tcp-keepintvl"] = 7 }) do
			assert.truthy(conn:setoption(name, value));
			assert.equal(value, getoption(conn, name));
		end
		assert.truthy(conn:setoption("reuseaddr", true));
		assert.is_true(getoption(conn, "reuseaddr"));
		assert.truthy(conn:setoption("send-buffer-size", 20000));
		assert.is_true(getoption(conn, "send-buffer-size") >= 20000);
		assert.truthy(conn:setoption("recv-buffer-size", 20000));
		assert.is_true(getoption(conn, "recv-buffer-size") >= 20000);
		assert.truthy(conn:setoption("linger", { on = true, timeout = 3 }));
		assert.same({ on = true, timeout = 3 }, getoption(conn, "linger"));
		assert.truthy(conn:setoption("linger", { on = false, timeout = 0 }));
		assert.is_false(getoption(conn, "linger").on);
	end);

	it("unknown to all is refused without an error", function ()
		local conn = h.accepted(h.recorder());
		for _, name in ipairs({ "no-such-option", "" }) do
			local ret, err = conn:setoption(name, true);
			assert.falsy(ret);
			assert.truthy(err);
		end
	end);

	it("of a server is set", function ()
		local server = h.listen({});
		assert.truthy(server:setoption("keepalive", true));
		assert.is_true(getoption(server, "keepalive"));
	end);

	it("TCP's is refused on a unix socket, without an error", function ()
		local unix = require "socket.unix";
		local path = os.tmpname();
		os.remove(path);
		local listener = assert(unix.stream());
		assert(listener:bind(path));
		assert(listener:listen());
		local sock = assert(unix.stream());
		assert(sock:connect(path));
		local conn = h.track(assert(backend.wrapclient(sock, nil, nil, {}, "*a")));
		local ret, err = conn:setoption("tcp-nodelay", true);
		assert.falsy(ret);
		assert.truthy(err);
		listener:close();
		os.remove(path);
	end);
end);

describe("conn:socket()", function ()
	before_each(h.start);
	after_each(h.finish);

	it("is an object that tolerates unknown names", function ()
		local accepted = h.accepted(h.recorder());
		local outgoing = h.outgoing(h.recorder());
		for _, conn in ipairs({ accepted, outgoing }) do
			local sock = conn:socket();
			assert.equal(sock, conn:socket());
			assert.equal(sock, conn.conn);
			assert.equal(conn:getfd(), sock:getfd());
			for _, name in ipairs({
				"info", "getpeercertificate", "getpeerverification", "getpeerchain", "getpeerfinished",
				"getsniname", "getalpn", "dohandshake", "no_such_method",
			}) do
				assert.is_nil(sock[name], name);
			end
			for _, name in ipairs({ "getfd", "close", "send", "receive" }) do
				assert.is_function(sock[name], name);
			end
		end
	end);

	it("sends", function ()
		local conn, peer = h.accepted(h.recorder());
		assert.truthy(conn:socket():send("directly"));
		h.run_until(function () return peer.bytes == 8; end, "the data");
		assert.equal("directly", peer:data());
	end);

	it("has names like LuaSocket's", function ()
		local conn, peer = h.accepted(h.recorder());
		local ip, port = conn:socket():getpeername();
		assert.equal("127.0.0.1", ip);
		assert.equal(h.port_of(peer.sock), tonumber(port));
		ip, port = conn:socket():getsockname();
		assert.equal("127.0.0.1", ip);
		assert.equal(tonumber(conn:serverport()), tonumber(port));
	end);

	it("receives nothing that the loop would", function ()
		local rec = h.recorder();
		local conn, peer = h.accepted(rec);
		local data, err = conn:socket():receive(10);
		assert.is_nil(data);
		assert.equal("timeout", err);
		peer:send("x");
		rec:wait_bytes(1);
	end);

	it("is nil when the connection has ended, and bears to have been kept", function ()
		local rec = h.recorder();
		local conn = h.accepted(rec);
		local sock = conn:socket();
		conn:close();
		assert.is_nil(conn:socket());
		assert.equal(-1, sock:getfd());
		local ok, err = sock:send("x");
		assert.is_nil(ok);
		assert.equal("closed", err);
		ok, err = sock:receive(1);
		assert.is_nil(ok);
		assert.equal("closed", err);
		sock:close();
	end);
end);
