local h = require "harness";
local backend = h.backend;

describe("set_config", function ()
	before_each(h.start);
	after_each(h.finish);

	it("takes effect on later connections, and its absence reverts #row63", function ()
		backend.set_config({ read_timeout = 0.05 });
		local rec = h.recorder();
		h.accepted(rec);
		rec:wait("ondisconnect");
		backend.set_config({});
		rec = h.recorder();
		h.accepted(rec);
		h.run_for(0.12);
		rec:expect("onconnect");
		backend.set_config({ read_timeout = 0.3, read_size = 3 });
		rec = h.recorder();
		local _, peer = h.accepted(rec);
		peer:send("abcdef");
		rec:wait("ondisconnect");
		assert.same({ "abc", "def" }, rec.chunks);
	end);

	it("leaves running timeouts their deadline #row63", function ()
		backend.set_config({ read_timeout = 0.1 });
		local rec = h.recorder();
		h.accepted(rec);
		backend.set_config({ read_timeout = 60 });
		assert.equal("read timeout", rec:wait("ondisconnect")[1]);
	end);

	it("keeps the very table that it was given, and it may change", function ()
		local settings = { read_timeout = 60 };
		backend.set_config(settings);
		settings.read_timeout = 0.05;
		local rec = h.recorder();
		h.accepted(rec);
		h.run_for(0.15);
		h.deviation("server_go reads it when set_config is called, which Prosody does at each reload", {
			epoll = function () rec:expect("onconnect onreadtimeout ondisconnect"); end;
			go = function () rec:expect("onconnect"); end;
		});
	end);

	it("accepts settings of other backends and unknown ones", function ()
		backend.set_config({
			max_connections = 100000; max_receive_buffer_size = 1; event_clear_interval = 1.5; debug = true;
			max_ssl_handshake_roundtrips = 1; select_timeout = 1; highest_allowed_fd = 3; no_such_setting = {};
			keep_buffers = false; send_buffer_chunks = 16; max_send_chunk = 1000000; min_wait = 0.002; max_wait = 10;
			read_retry_delay = 0.001; tcp_backlog = 5;
		});
		local rec = h.recorder({ onincoming = function (conn, data) conn:write(data); end });
		local _, peer = h.accepted(rec);
		peer:send(("x"):rep(100000));
		h.run_until(function () return peer.bytes == 100000; end, "the echo");
		assert.equal(0, rec:count("ondisconnect"));
	end);

	it("accepts a table with a metatable", function ()
		backend.set_config(setmetatable({ read_size = 3 }, {}));
		local rec = h.recorder();
		local _, peer = h.accepted(rec);
		peer:send("abcdef");
		rec:wait_bytes(6);
		assert.same({ "abc", "def" }, rec.chunks);
	end);

	it("with verbose logs more", function ()
		backend.set_config({ verbose = true });
		local conn = h.accepted(h.recorder());
		conn:pause();
		conn:resume();
		backend.set_config({});
	end);
end);
