-- Certificates that OpenSSL serves and Go's crypto/x509 does not parse, chains
-- that are completed, and LuaSec's options. tls/testdata/record-odd makes the
-- former.

local h = require "harness";
local T = require "tls_harness";
local lfs = require "lfs";
local ssl = require "ssl";

-- Prosody 13 takes what does not begin with a slash for a name in its own folder.
local root = h.root:find("^/") and h.root or lfs.currentdir() .. "/" .. h.root;
local folder = root .. "/tls/testdata/odd/";

local function read(path)
	local file = assert(io.open(path, "rb"));
	local text = file:read("*a");
	file:close();
	return text;
end

local function write(name, text)
	local file = assert(io.open(T.file(name), "wb"));
	file:write(text);
	file:close();
	return T.file(name);
end

local names = {};
for file in lfs.dir(folder) do
	local name = file:match("^(.*)%.crt$");
	if name and name ~= "explicit-secp256k1" then -- which OpenSSL does not serve either
		table.insert(names, name);
	end
end
table.sort(names);

local function odd(name, more)
	local config = { certificate = folder .. name .. ".crt", key = folder .. name .. ".key" };
	for key, value in pairs(more or {}) do
		config[key] = value;
	end
	return config;
end

-- A certificate that everybody parses, and behind it one that nobody needs
local function with_unneeded(name, more)
	local config = odd(name, more);
	config.certificate = write("with-" .. name .. ".pem", T.read("ec.pem") .. read(folder .. name .. ".crt"));
	config.key = T.file("ec.key");
	return config;
end

-- What Go parses, by settings in go.mod or because only the key is odd
local parsed = { crt = true; ["explicit-key"] = true; negative = true };

-- In TLS 1.2 crypto/tls announces uncompressed points only.
local function points(name)
	return name == "compressed" or name == "hybrid";
end

local function pem(cert)
	return cert:pem():gsub("%s", "");
end

local function same_certificate(name, cert)
	assert.equal((read(folder .. name .. ".crt"):gsub("%s", "")), pem(cert));
end

local relaxed = { verify = { "peer", "client_once" }, verifyext = { "lsec_continue", "lsec_ignore_purpose" } };

describe("an own certificate that is not as it should be", function ()
	before_each(h.start);
	after_each(h.finish);

	for _, name in ipairs(names) do
		for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
			if not (points(name) and protocol == "tlsv1_2" and h.go) then
				it(("is served all the same: %s, %s"):format(name, protocol), function ()
					local _, peer = T.accepted(h.recorder(), T.server(odd(name)), { protocol = protocol });
					same_certificate(name, peer.tls:getpeercertificate());
					if h.go and not parsed[name] then
						assert.truthy(h.logged("warn", name .. "%.crt is sent as it is, but some peers will refuse it: %l[%a ]+$"));
					end
				end);

				it(("is presented all the same: %s, %s"):format(name, protocol), function ()
					local rec = h.recorder();
					local peer_config = { cert = "ec", protocol = protocol, verify = relaxed.verify, verifyext = relaxed.verifyext };
					local _, peer = T.outgoing(rec, T.client(odd(name)), peer_config);
					h.run_until(function () peer:pump(); return T.up(peer) or peer.sock.failed; end, "the handshake");
					assert.is_nil(peer.sock.failed);
					same_certificate(name, peer.tls:getpeercertificate());
				end);
			end
		end
	end

	it("must belong to its key", function ()
		local ctx, err = T.context({ certificate = folder .. "utf8-dns.crt", key = folder .. "utf8-email.key" }, "server");
		assert.is_nil(ctx);
		assert.truthy(tostring(err):find("private key does not match public key", 1, true));
	end);
end);

describe("a certificate of the peer that cannot be read", function ()
	before_each(h.start);
	after_each(h.finish);

	local function reason_or_verification(rec)
		h.run_until(function () return rec:count("onconnect") > 0 or rec:count("ondisconnect") > 0; end, "an end of the handshake");
		if rec:count("ondisconnect") > 0 then
			return rec:call("ondisconnect")[1];
		end
		return (rec.conn:socket():getpeerverification());
	end

	-- OpenSSL connects and calls it untrusted. crypto/tls ends the handshake.
	local function check(rec, name)
		local got = reason_or_verification(rec);
		if h.go and not parsed[name] then
			assert.truthy(tostring(got):find("^certificate of the peer cannot be read: %l[%a ]+$"), tostring(got));
		else
			assert.is_false(got);
		end
	end

	for _, name in ipairs { "negative", "utf8-dns", "underscore", "duplicate", "explicit" } do
		it("is told from one that is not trusted, by a client: " .. name, function ()
			local rec = h.recorder();
			T.outgoing(rec, T.client(relaxed), odd(name));
			check(rec, name);
		end);

		it("is told from one that is not trusted, by a server: " .. name, function ()
			local rec = h.recorder();
			local config = { cert = "ec", verify = relaxed.verify, verifyext = relaxed.verifyext };
			local _, port = h.listen(rec.listeners, { tls_ctx = T.server(config), tls_direct = true });
			T.connect_peer(port, odd(name));
			check(rec, name);
		end);

		it("may be one that nobody needs: " .. name, function ()
			local rec = h.recorder();
			T.outgoing(rec, T.client(relaxed), with_unneeded(name));
			check(rec, name);
		end);
	end
end);

describe("a certificate without its issuers", function ()
	before_each(h.start);
	after_each(h.finish);

	local function sent(own, more)
		local config = { certificate = T.file(own), key = T.file("long.key") };
		for key, value in pairs(more) do
			config[key] = value;
		end
		local _, peer = T.accepted(h.recorder(), T.server(config), {});
		local list = {};
		for _, cert in ipairs(peer.tls:getpeerchain()) do
			table.insert(list, cert:subject()[1].value);
		end
		return table.concat(list, " ");
	end

	it("gets those that cafile has", function ()
		local both = write("both.pem", T.read("middle.crt") .. T.read("ca.crt"));
		assert.equal("a.example middle ca", sent("long.crt", { cafile = both }));
		assert.equal("a.example middle", sent("long.crt", { cafile = T.file("middle.crt") }));
		assert.equal("a.example", sent("long.crt", { cafile = T.file("ca.pem") }));
	end);

	it("gets those that capath has", function ()
		local hashed = T.file("hashed-both");
		T.pipe(("mkdir -p '%s' && cp '%s' '%s' '%s' && openssl rehash '%s'"):format(
			hashed, T.file("middle.crt"), T.file("ca.crt"), hashed, hashed));
		assert.equal("a.example middle ca", sent("long.crt", { capath = hashed }));
	end);

	it("stays as it is if its file has another one", function ()
		assert.equal("a.example middle", sent("long.pem", { cafile = T.file("ca.pem") }));
	end);
end);

describe("an option of LuaSec", function ()
	before_each(h.start);
	after_each(h.finish);

	it("loads, each of ssl.config.options", function ()
		local count = 0;
		for name in pairs(ssl.config.options) do
			for _, mode in ipairs { "server", "client" } do
				local ctx, err = T.context({ cert = "ec", options = { name } }, mode);
				assert.truthy(ctx, name .. ": " .. tostring(err));
			end
			count = count + 1;
		end
		assert.truthy(count >= 53);
	end);

	it("may leave no protocol version, which ends each handshake", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, { tls_ctx = T.server { cert = "ec", options = { "no_ssl_mask" } }, tls_direct = true });
		local peer = T.connect_peer(port, {});
		assert.equal("tlsv1 alert protocol version", T.failure(peer));
		rec:wait("ondisconnect");
		assert.equal("no protocols available", rec:call("ondisconnect")[1]);
	end);
end);
