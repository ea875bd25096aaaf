-- DANE that must not fall back to the trusted roots: the certificate is one that
-- they vouch for.

local h = require "harness";
local T = require "tls_harness";

local function key(curve)
	return T.pipe(("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:%s | openssl pkey -pubout -outform der"):format(curve));
end

local function certificate(algorithm)
	return T.pipe(("openssl req -x509 -newkey %s -nodes -keyout /dev/null -subj /CN=x -outform der 2>>'%s'"):format(algorithm, T.file("log")));
end

describe("DANE", function ()
	before_each(h.start);
	after_each(h.finish);

	local function verification(tlsa, name)
		local rec = h.recorder();
		local config = { ca = true, verify = "none", verifyext = { "lsec_continue", "lsec_ignore_purpose" }, dane = true };
		local conn = T.outgoing(rec, T.client(config), { cert = "rsa" }, { tlsa = tlsa, dane_hostname = name });
		rec:wait("onconnect");
		return conn:socket():getpeerverification();
	end

	it("without records verifies the name", function () -- Prosody 13 has no records in a zone without
		assert.is_true((verification({}, "a.example")));
		local ok, errors = verification({}, "other.example");
		assert.is_false(ok);
		assert.same({ { "hostname mismatch" } }, errors);
	end);

	it("is in force with records of keys that Go has not", function ()
		for _, record in ipairs {
			{ select = 0, data = certificate("ec -pkeyopt ec_paramgen_curve:secp256k1") };
			{ select = 0, data = certificate("ed448") };
			{ select = 1, data = key("secp256k1") };
			{ select = 1, data = key("P-256 -pkeyopt ec_param_enc:explicit") };
		} do
			record.match = 0;
			for use = 0, 3 do
				record.use = use;
				local ok, errors = verification({ record }, "a.example");
				assert.is_false(ok);
				assert.equal("no matching DANE TLSA records", (errors[1] or errors[2])[1]);
			end
		end
	end);

	it("is in force with a usable record behind many that are not", function ()
		local tlsa = {};
		for i = 1, 101 do
			tlsa[i] = { use = 3, select = 1, match = 3, data = ("x"):rep(32) };
		end
		tlsa[102] = { use = 3, select = 1, match = 1, data = ("x"):rep(32) };
		assert.is_false((verification(tlsa, "a.example")));
	end);

	it("is not in force with records that nobody can read", function ()
		for _, data in ipairs { "", "x", "0\0" } do
			for select = 0, 1 do
				assert.is_true((verification({ { use = 3, select = select, match = 0, data = data } }, "a.example")));
			end
		end
	end);
end);
