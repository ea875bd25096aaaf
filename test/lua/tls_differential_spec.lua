-- Both backends, each in a process of its own, with openssl at the other end
-- of every configuration in tls_differential.lua: the same info, verification,
-- reasons and callbacks. What differs is listed here, with its reason.

local h = require "harness";
local openssl = require "openssl_texts";
local differential = require "tls_differential";

local known = {
	{
		why = "crypto/tls has one alert, bad_certificate, for what a verification of ours refuses";
		key = "other"; go = "^sslv3 alert bad certificate$";
		epoll = {
			"^sslv3 alert unsupported certificate$", "^sslv3 alert certificate expired$", "^tlsv1 alert unknown ca$",
			"^sslv3 alert certificate unknown$",
		};
	};
	{
		why = "crypto/tls sends unrecognized_name when there is no certificate at all, whatever the client could do";
		case = "no certificate at all"; key = "other"; go = "^tlsv1 unrecognized name$";
	};
	{
		why = "OpenSSL without a certificate runs out of suites or versions, crypto/tls of signatures";
		case = "no certificate at all"; key = "reason"; go = "^no suitable signature algorithm$";
	};
	{
		why = "crypto/tls has its own order of suites, which prefers AES-128 with hardware for it, in spite of cipher_server_preference";
		case = "HIGH, server's preference"; key = "info";
	};
	{
		why = "as above";
		case = "no protocol restriction"; key = "info"; go = "TLS_AES_128_GCM_SHA256";
	};
	{
		why = "as above";
		case = "curve P-384 only"; key = "info"; go = "AES_?128[_-]GCM";
	};
	{
		why = "crypto/tls considers CBC suites with SHA-256 insecure; HIGH leaves them out here";
		case = "suite ECDHE-ECDSA-AES128-SHA256";
	};
	{
		why = "0.12 walks through the errors by pairs(), so they are a table with us always";
		key = "verification"; epoll = { "^%a" }; go = "^%d ";
	};
	{
		why = "crypto/tls understands an alert before any hello";
		case = "gets a fatal alert"; key = "reason"; go = "^sslv3 alert handshake failure$";
	};
	{
		why = "crypto/tls looks at the major version of a first record only as far as it must";
		case = "gets a record of a future version"; key = "reason";
	};
	{
		why = "an SSLv2 hello is nothing special";
		case = "server: gets an SSLv2 hello"; key = "reason"; go = "^wrong version number$";
	};
	{
		why = "a hello that cannot be read is one thing to crypto/tls";
		case = "gets a hello that is none"; key = "reason";
	};
	{
		why = "OpenSSL reads a subjectAltName with a byte behind it, and finds a name that its CA may not give; here it is invalid";
		case = "client certificate hidden"; key = "verification"; go = "invalid or inconsistent certificate extension";
	};
	{
		why = "a close_notify instead of a hello is an end";
		case = "server: gets a close_notify"; key = "reason"; go = "^closed$";
	};
	{
		why = "later OpenSSLs have another text for it than 3.0, and the same alert";
		case = "gets an oversized record"; key = "reason"; go = "^packet length too long$"; epoll = { "^data length too long$" };
		since = { 3, 2 };
	};
};

local function applies(entry)
	return not entry.since or openssl.since(entry.since[1], entry.since[2]);
end

local function fits(entry, name, difference)
	if not applies(entry) then return false; end
	if entry.case and not name:find(entry.case, 1, true) then return false; end
	if entry.key and entry.key ~= difference.key then return false; end
	if entry.go and not difference.go:find(entry.go) then return false; end
	for _, pattern in ipairs(entry.epoll or {}) do
		if difference.epoll:find(pattern) then return true; end
	end
	return not entry.epoll;
end

describe("both backends", function ()
	if not h.go then
		pending("are compared when BACKEND is go");
		return;
	end

	local epoll, go;
	local used = {};

	lazy_setup(function ()
		epoll, go = differential.results("epoll"), differential.results("go");
	end);

	local names = {};
	for _, case in ipairs(differential.cases) do
		local name = case.name;
		assert(not names[name], name);
		names[name] = true;
		it("agree, " .. name, function ()
			assert.truthy(epoll[name] and epoll[name].calls, "nothing from epoll");
			assert.truthy(go[name] and go[name].calls, "nothing from go");
			assert.is_nil(go[name].leftover);
			local unexplained = {};
			for _, difference in ipairs(differential.differences(epoll[name], go[name])) do
				local explained = false;
				for _, entry in ipairs(known) do
					if fits(entry, name, difference) then
						explained, used[entry] = true, true;
					end
				end
				if not explained then
					table.insert(unexplained, ("%s: %s with epoll, %s with go"):format(
						difference.key, difference.epoll, difference.go));
				end
			end
			assert.same({}, unexplained);
		end);
	end

	it("differ where it is said that they do", function ()
		for _, entry in ipairs(known) do
			if applies(entry) and not (entry.key == "verification" and h.prosody == 13) then
				assert.truthy(used[entry], (entry.case or entry.go) .. ": " .. entry.why);
			end
		end
	end);
end);
