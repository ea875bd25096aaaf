local h = require "harness";
local socket = require "socket";
local backend = h.backend;

-- A socket that is made readable by send()
local function readable_socket()
	local sock = assert(socket.udp4());
	assert(sock:setsockname("127.0.0.1", 0));
	assert(sock:setpeername("127.0.0.1", h.port_of(sock)));
	sock:settimeout(0);
	return sock;
end

describe("watchfd", function ()
	before_each(h.start);
	after_each(h.finish);

	-- While an fd stays ready 0.12 runs no timers, which includes those
	-- of run_until: so callbacks drain the fd themselves, after a while.

	it("calls until the fd is drained, and leaves it open #row41", function ()
		local sock = readable_socket();
		local calls = 0;
		local given, received;
		local handle = backend.watchfd(sock:getfd(), function (self)
			given = self;
			calls = calls + 1;
			if calls % 5 == 0 then
				received = sock:receive();
			end
		end);
		h.run_for(0.01);
		assert.equal(0, calls);
		sock:send("x");
		h.run_until(function () return calls == 5; end, "five calls");
		assert.equal(handle, given);
		assert.equal("x", received);
		h.run_for(0.01);
		assert.equal(5, calls);
		sock:send("y");
		h.run_until(function () return calls == 10; end, "five more calls");
		handle:close();
		sock:send("z");
		h.run_for(0.01);
		assert.equal(10, calls);
		assert.equal("z", sock:receive());
		handle:close();
		sock:close();
	end);

	it("does not starve timers while an fd stays ready", function ()
		local sock = readable_socket();
		local runs_timers = h.deviation("0.12 runs timers only when no fd is ready", {
			epoll12 = false, epoll13 = true, go = true,
		});
		local fired = false;
		local fired_meanwhile;
		local ending = h.now() + (runs_timers and 3 or 0.1);
		backend.add_task(0.01, function () fired = true; end);
		local handle = backend.watchfd(sock:getfd(), nil, function (self)
			if fired or h.now() > ending then
				fired_meanwhile = fired;
				self:close();
			end
		end);
		h.run_until(function () return fired_meanwhile ~= nil; end, "the last call");
		assert.equal(runs_timers, fired_meanwhile);
		handle:close();
		sock:close();
	end);

	it("takes an object with getfd", function ()
		local sock = readable_socket();
		local calls = 0;
		local object = { getfd = function () return sock:getfd(); end };
		local handle = backend.watchfd(object, function ()
			calls = calls + 1;
			sock:receive();
		end);
		assert.equal(sock:getfd(), handle:getfd());
		assert.equal(object, handle.conn);
		sock:send("x");
		h.run_until(function () return calls == 1; end, "a call");
		handle:close();
		local second = backend.watchfd(sock, function (self)
			calls = calls + 1;
			sock:receive();
			self:close();
		end);
		sock:send("x");
		h.run_until(function () return calls == 2; end, "a call");
		assert.truthy(second);
		assert.is_true(sock:getfd() >= 0);
		sock:close();
	end);

	it("calls for writable too", function ()
		local sock = readable_socket();
		local reads, writes = 0, 0;
		local handle = backend.watchfd(sock:getfd(), function ()
			reads = reads + 1;
			sock:receive();
		end, function (self)
			writes = writes + 1;
			if writes % 3 == 0 then
				self:setflags(true, false);
			end
		end);
		h.run_until(function () return writes == 3; end, "three calls");
		h.run_for(0.01);
		assert.equal(3, writes);
		assert.equal(0, reads);
		sock:send("x");
		h.run_until(function () return reads == 1; end, "a call");
		handle:setflags(false, false);
		sock:send("x");
		h.run_for(0.01);
		assert.equal(1, reads);
		assert.equal(3, writes);
		handle:setflags(true, true);
		h.run_until(function () return reads == 2 and writes == 6; end, "both calls");
		handle:close();
		sock:close();
	end);

	it("calls for writable only", function ()
		local sock = readable_socket();
		local writes = 0;
		local handle = backend.watchfd(sock:getfd(), nil, function (self)
			writes = writes + 1;
			if writes == 3 then
				self:setflags(false, false);
			end
		end);
		sock:send("x"); -- nobody asked
		h.run_until(function () return writes == 3; end, "three calls");
		handle:close();
		sock:close();
	end);

	it("sees the end of a stream as readable", function ()
		local listener = assert(socket.bind("127.0.0.1", 0));
		local client = assert(socket.connect("127.0.0.1", h.port_of(listener)));
		local accepted = assert(listener:accept());
		listener:close();
		local calls = 0;
		local handle = backend.watchfd(accepted:getfd(), function (self)
			calls = calls + 1;
			self:close();
		end);
		client:close();
		h.run_until(function () return calls == 1; end, "a call");
		handle:close();
		accepted:close();
	end);

	it("lives without anybody holding the handle", function ()
		local sock = readable_socket();
		local calls = 0;
		backend.watchfd(sock:getfd(), function (self)
			calls = calls + 1;
			sock:receive();
			if calls == 2 then
				self:close();
			end
		end);
		for i = 1, 2 do
			collectgarbage();
			collectgarbage();
			sock:send("x");
			h.run_until(function () return calls == i; end, "a call");
		end
		sock:send("x");
		h.run_for(0.01);
		assert.equal(2, calls);
		sock:close();
	end);

	it("may be closed by another callback of the same turn", function ()
		local one, two = readable_socket(), readable_socket();
		local calls = 0;
		local first, second;
		first = backend.watchfd(one:getfd(), function ()
			calls = calls + 1;
			first:close();
			second:close();
		end);
		second = backend.watchfd(two:getfd(), function ()
			calls = calls + 1;
			first:close();
			second:close();
		end);
		one:send("x");
		two:send("x");
		h.run_until(function () return calls > 0; end, "a call");
		h.run_for(0.01);
		assert.equal(1, calls);
		one:close();
		two:close();
	end);

	it("can be made anew within its callback", function ()
		local sock = readable_socket();
		local calls = 0;
		local handle;
		local function onreadable(self)
			calls = calls + 1;
			sock:receive();
			self:close();
			handle = backend.watchfd(sock:getfd(), onreadable);
		end
		handle = backend.watchfd(sock:getfd(), onreadable);
		for i = 1, 3 do
			sock:send("x");
			h.run_until(function () return calls == i; end, "a call");
		end
		handle:close();
		sock:close();
	end);

	it("bears an owner who closes the fd first", function ()
		local sock = readable_socket();
		local calls = 0;
		local handle = backend.watchfd(sock:getfd(), function () calls = calls + 1; end);
		sock:close();
		h.run_for(0.01);
		handle:close();
		-- The number is free for somebody else.
		local rec = h.recorder();
		local _, peer = h.accepted(rec);
		peer:send("x");
		rec:wait_bytes(1);
		assert.equal(0, calls);
	end);

	it("gives a handle for a bad fd as well", function ()
		local handle = backend.watchfd(9999, function () end);
		assert.truthy(handle);
		h.run_for(0.005);
		handle:close();
	end);

	it("keeps fields and has its own logger", function ()
		local sock = readable_socket();
		local handle = backend.watchfd(sock:getfd(), function () end);
		handle.mine = sock;
		assert.equal(sock, handle.mine);
		assert.is_nil(handle.no_such_field);
		assert.is_function(handle.log);
		assert.truthy(handle.id);
		handle.onreadable = function (self)
			sock:receive();
			self.called = true;
		end
		sock:send("x");
		h.run_until(function () return handle.called; end, "the assigned callback");
		handle:close();
		sock:close();
	end);
end);

describe("addevent", function ()
	before_each(h.start);
	after_each(h.finish);

	it("has libevent's constants", function ()
		assert.equal("r", backend.event.EV_READ);
		assert.equal("w", backend.event.EV_WRITE);
		assert.equal("rw", backend.event.EV_READWRITE);
		assert.equal(-1, backend.event.EV_LEAVE);
	end);

	it("calls until told to leave, with a warning that it is deprecated", function ()
		local sock = readable_socket();
		local calls = 0;
		local ret;
		local handle = backend.addevent(sock:getfd(), backend.event.EV_READ, function ()
			calls = calls + 1;
			sock:receive();
			return ret;
		end);
		assert.equal(1, h.logged("warn", "^Using deprecated libevent emulation"));
		sock:send("x");
		h.run_until(function () return calls == 1; end, "a call");
		ret = true;
		sock:send("x");
		h.run_until(function () return calls == 2; end, "a call");
		ret = backend.event.EV_LEAVE;
		sock:send("x");
		h.run_until(function () return calls == 3; end, "a call");
		sock:send("x");
		h.run_for(0.01);
		assert.equal(3, calls);
		handle:close();
		sock:close();
	end);

	it("calls for writable", function ()
		local sock = readable_socket();
		local calls = 0;
		local handle = backend.addevent(sock:getfd(), backend.event.EV_WRITE, function ()
			calls = calls + 1;
			return calls == 3 and -1 or nil;
		end);
		h.run_until(function () return calls == 3; end, "three calls");
		h.run_for(0.01);
		assert.equal(3, calls);
		handle:close();
		sock:close();
	end);

	it("refuses a bad fd", function ()
		local handle, err = backend.addevent(9999, "r", function () end);
		assert.falsy(handle);
		assert.is_string(err);
	end);
end);
