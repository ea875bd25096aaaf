local h = require "harness";
local socket = require "socket";
local backend = h.backend;

describe("addclient", function ()
	before_each(h.start);
	after_each(h.finish);

	it("takes no name without a type, and no unknown type #row4", function ()
		local conn, err = backend.addclient("localhost", 1, {});
		assert.is_nil(conn);
		assert.equal("invalid-ip", err);
		conn, err = backend.addclient("127.0.0.1", 1, {}, "*a", nil, "foo");
		assert.is_nil(conn);
		assert.equal("invalid socket type", err);
		conn, err = backend.addclient("localhost", 1, {}, "*a", false, "foo");
		assert.is_nil(conn);
		assert.equal("invalid socket type", err);
	end);

	it("returns the connection and its socket", function ()
		local _, port = h.listen({});
		local conn, raw = backend.addclient("127.0.0.1", port, {}, "*a");
		h.track(conn);
		assert.equal(conn:socket(), raw);
		assert.equal(conn:getfd(), raw:getfd());
		h.run_for(0.01);
	end);

	it("connects with the types tcp4, tcp6 and tcp", function ()
		for _, try in ipairs({ { "127.0.0.1", "tcp4" }, { "::1", "tcp6" }, { "127.0.0.1", "tcp" }, { "::1" } }) do
			local server_side, rec = h.recorder(), h.recorder();
			local _, port = h.listen(server_side.listeners, nil, try[1]);
			h.track(assert(backend.addclient(try[1], port, rec.listeners, "*a", nil, try[2])));
			rec:wait("onconnect");
			server_side:wait("onconnect");
			rec:expect("onconnect");
		end
	end);

	it("connects a client of the backend to a server of the backend", function ()
		local answers = h.recorder();
		local questions = h.recorder({ onincoming = function (conn, data) conn:write(data:upper()); end });
		local _, port = h.listen(questions.listeners);
		local conn = h.track(assert(backend.addclient("127.0.0.1", port, answers.listeners, "*a")));
		answers.listeners.onconnect = function () conn:write("hello"); end
		answers:wait_bytes(5);
		assert.equal("HELLO", answers:data());
		conn:close();
		questions:wait("ondisconnect");
		questions:expect("onconnect onincoming ondisconnect");
		answers:expect("onincoming ondisconnect");
	end);

	it("reports an unreachable network at once or by ondisconnect", function ()
		local rec = h.recorder();
		local conn, err = backend.addclient("255.255.255.255", 9, rec.listeners, "*a");
		if conn then
			rec:wait("ondisconnect");
			err = rec:call("ondisconnect")[1];
		end
		assert.is_string(err);
		assert.equal(0, rec:count("onconnect"));
	end);

	it("takes false and nil for no context", function ()
		local rec = h.recorder();
		local _, port = h.listen({});
		h.track(assert(backend.addclient("127.0.0.1", port, rec.listeners, "*a", false)));
		h.track(assert(backend.addclient("127.0.0.1", port, rec.listeners, nil, nil, nil, nil)));
		rec:wait("onconnect", 2);
		rec:expect("onconnect onconnect");
	end);

	it("may be called in a callback and close the loser of a race in onconnect", function ()
		local _, port = h.listen({});
		local winner;
		local rec = h.recorder({
			onconnect = function (conn)
				if winner then
					conn:close();
				else
					winner = conn;
				end
			end;
		});
		backend.add_task(0, function ()
			backend.addclient("127.0.0.1", port, rec.listeners, "*a");
			backend.addclient("127.0.0.1", port, rec.listeners, "*a");
		end);
		rec:wait("ondisconnect");
		rec:expect("onconnect onconnect ondisconnect");
		assert.are_not.equal(winner, rec:call("ondisconnect").conn);
	end);

	it("may be called in a coroutine that is dead when it connects", function ()
		local rec = h.recorder();
		local _, port = h.listen({});
		coroutine.wrap(function ()
			h.track(assert(backend.addclient("127.0.0.1", port, rec.listeners, "*a")));
		end)();
		collectgarbage();
		rec:wait("onconnect");
	end);

	it("delivers what the peer sends first", function ()
		local listener = assert(socket.bind("127.0.0.1", 0));
		local rec = h.recorder();
		h.track(assert(backend.addclient("127.0.0.1", h.port_of(listener), rec.listeners, "*a")));
		local peer = h.wrap_peer(assert(listener:accept()));
		listener:close();
		peer:send("welcome");
		peer:finish_sending();
		rec:wait("ondisconnect");
		assert.equal("welcome", rec:data());
		rec:expect("onconnect onincoming ondisconnect");
	end);
end);
