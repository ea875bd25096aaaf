local h = require "harness";

-- The chunks of what arrives in one go
local function chunks_of(mode, data)
	local rec = h.recorder();
	local _, peer = h.accepted(rec, { read_size = mode });
	peer:send(data);
	peer:finish_sending();
	rec:wait("ondisconnect");
	return rec.chunks, rec;
end

describe("read mode", function ()
	before_each(h.start);
	after_each(h.finish);

	it("of a number bounds each chunk #row68", function ()
		local data = ("0123456789"):rep(5000);
		local chunks, rec = chunks_of(4096, data);
		for _, chunk in ipairs(chunks) do
			assert.is_true(#chunk <= 4096 and #chunk > 0);
		end
		assert.is_true(rec:data() == data);
	end);

	it("of 1 gives single bytes", function ()
		assert.same({ "a", "b", "c" }, (chunks_of(1, "abc")));
	end);

	it("is the setting read_size by default", function ()
		h.settings({ read_size = 100 });
		local chunks, rec = chunks_of(nil, ("x"):rep(1000));
		for _, chunk in ipairs(chunks) do
			assert.is_true(#chunk <= 100);
		end
		assert.equal(1000, rec.bytes);
	end);

	it("*a gives what there is, without waiting for the end #row68", function ()
		local rec = h.recorder();
		local _, peer = h.accepted(rec, { read_size = "*a" });
		peer:send("a");
		rec:wait_bytes(1);
		peer:send("bc");
		rec:wait_bytes(3);
		assert.equal("abc", rec:data());
		assert.equal(0, rec:count("ondisconnect"));
		peer:send(("x"):rep(200000));
		rec:wait_bytes(200003);
	end);

	it("*l gives lines without their ends, and a trailing part #row68", function ()
		local rec = h.recorder();
		local _, peer = h.accepted(rec, { read_size = "*l" });
		peer:send("one\r\ntwo\nthree\r\n");
		h.run_until(function () return #rec.chunks >= 3; end, "three lines");
		assert.same({ "one", "two", "three" }, rec.chunks);
		peer:send("part");
		h.run_until(function () return #rec.chunks >= 4; end, "the part");
		assert.equal("part", rec.chunks[4]);
		peer:send("ial\nlast");
		peer:finish_sending();
		rec:wait("ondisconnect");
		assert.same({ "one", "two", "three", "part", "ial", "last" }, rec.chunks);
	end);

	it("*l gives an empty line as an empty string", function ()
		local rec = h.recorder();
		local _, peer = h.accepted(rec, { read_size = "*l" });
		peer:send("a\r\n\r\nb\r\n");
		h.run_until(function () return #rec.chunks >= 3; end, "three lines");
		assert.same({ "a", "", "b" }, rec.chunks);
	end);

	it("is changed by set_mode for the next read", function ()
		local rec = h.recorder({
			onincoming = function (conn, data)
				if data == "abcd" then conn:set_mode(2); end
			end;
		});
		local conn, peer = h.accepted(rec, { read_size = 4 });
		peer:send("abcdefgh");
		rec:wait_bytes(8);
		assert.same({ "abcd", "ef", "gh" }, rec.chunks);
		assert.equal(2, conn.read_size);
		conn:set_mode("*l");
		peer:send("a line\n");
		rec:wait("onincoming", 4);
		assert.equal("a line", rec.chunks[4]);
		conn:set_mode("*a");
		peer:send("a line\n");
		rec:wait("onincoming", 5);
		assert.equal("a line\n", rec.chunks[5]);
		conn:set_mode(nil);
		peer:send("x");
		rec:wait("onincoming", 6);
	end);

	it("of an outgoing connection is addclient's read_size", function ()
		local rec = h.recorder();
		local _, peer = h.outgoing(rec, 3);
		peer:send("abcdefg");
		rec:wait_bytes(7);
		assert.same({ "abc", "def", "g" }, rec.chunks);
	end);

	it("never delivers an empty chunk of bytes", function ()
		local rec = h.recorder({
			onincoming = function (_, data) assert(type(data) == "string" and data ~= ""); end;
		});
		local conn, peer = h.accepted(rec, { read_size = "*a" });
		for i = 1, 50 do
			peer:send("x");
			rec:wait_bytes(i);
		end
		peer:close();
		rec:wait("ondisconnect");
		assert.equal(-1, conn:getfd());
	end);

	it("gives data a string error or none, never a number or such", function ()
		local rec = h.recorder();
		local _, peer = h.accepted(rec, { read_size = "*a" });
		peer:send("x");
		rec:wait_bytes(1);
		local err = rec:call("onincoming")[2];
		assert.is_true(err == nil or err == "timeout" or err == "closed", tostring(err));
	end);
end);
