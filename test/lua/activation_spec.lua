-- Sockets that systemd opened (sd_listen_fds(3)): the first is descriptor 3.
local h = require "harness";

-- Runs a script that has 127.0.0.1 and 0.0.0.0 open, on two ports. Its `bound`
-- and `any` are the ports; it prints what is to be seen.
local function activated(script, shell)
	local bound, any = h.free_port(), h.free_port();
	local output, status = h.run_script(([[
		local bound, any = %d, %d;
		local socket = require "socket";
		local function listen(addr, port, listeners)
			local server, err = backend.listen(addr, port, listeners or {});
			print(server and "listens" or err);
			return server;
		end
		local function echo(port)
			local peer = h.connect_peer(port);
			peer:send("hello");
			h.run_until(function () return peer.bytes == 5; end, "the echo");
			print(peer:data());
			peer:close();
		end
		local listeners = { onincoming = function (conn, data) conn:write(data); end };
	]]):format(bound, any) .. script, {
		shell = shell;
		launcher = ("python3 %s/test/lua/activate.py 127.0.0.1:%d 0.0.0.0:%d --"):format(h.root, bound, any);
	});
	assert.equal(0, status, output);
	return output;
end

-- What a backend without activation meets: the port is taken.
local function deviation(script, expected, without)
	local output = activated(script);
	assert.equal(h.deviation("0.12 has no socket activation; with 13's it comes for free", {
		epoll12 = without, epoll13 = expected, go = expected,
	}), output);
end

describe("a socket that systemd has opened", function ()
	before_each(h.start);
	after_each(h.finish);

	it("serves its address", function ()
		deviation([[
			if listen("127.0.0.1", bound, listeners) then echo(bound); end
		]], "listens\nhello\n", "address already in use\n");
	end);

	it("serves * where it is bound to 0.0.0.0", function ()
		deviation([[
			if listen("*", any, listeners) then echo(any); end
		]], "listens\nhello\n", "address already in use\n");
	end);

	it("stays open when its server closes, and serves the next", function ()
		deviation([[
			local server = listen("127.0.0.1", bound, listeners);
			if server then
				echo(bound);
				server:close();
				h.run_for(0.01);
				local waiting = h.connect_peer(bound); -- nobody refuses it
				waiting:send("later");
				listen("127.0.0.1", bound, listeners);
				h.run_until(function () return waiting.bytes == 5; end, "the waiting one");
				print(waiting:data());
			end
		]], "listens\nhello\nlistens\nlater\n", "address already in use\n");
	end);

	it("is left alone by other addresses and ports", function ()
		local output = activated([[
			listen("127.0.0.2", bound, listeners);
			local free = h.free_port();
			listen("127.0.0.1", free, listeners);
			echo(free);
		]]);
		assert.equal("listens\nlistens\nhello\n", output);
	end);

	it("serves a process that has forked since", function ()
		-- prosody -D: $LISTEN_PID is that of the process that systemd started.
		local output = activated([[
			if listen("127.0.0.1", bound, listeners) then echo(bound); end
		]], "export PRETEND_PID=1");
		assert.equal(h.deviation("0.12 has no socket activation", {
			epoll12 = "address already in use\n", epoll13 = "listens\nhello\n", go = "listens\nhello\n",
		}), output);
	end);

	it("is not taken for one when it is not said to be", function ()
		local port = h.free_port();
		local output, status = h.run_script(([[
			local server, err = backend.listen("127.0.0.1", %d, {});
			print(err);
		]]):format(port), {
			launcher = ("python3 %s/test/lua/activate.py 127.0.0.1:%d -- env -u LISTEN_FDS"):format(h.root, port);
		});
		assert.equal(0, status, output);
		assert.equal("address already in use\n", output);
	end);
end);
