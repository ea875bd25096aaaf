-- Looks names up and fetches pages from inside the running Prosody, once, right after its start,
-- and writes what came back to the file e2e_report, as a JSON object with one member per probe.
module:set_global();

local array = require "util.array";
local http = require "net.http";
local json = require "util.json";
local hex = require "util.hex";
local promise = require "util.promise";
local sha256 = require "util.hashes".sha256;

local dns_port = module:get_option_number("e2e_dns_port");
local web_port = module:get_option_number("e2e_web_port");
local report_file = module:get_option_string("e2e_report");

-- With lua-unbound installed, Prosody answers require "net.adns" with net.unbound. This gets the real one.
local function load_adns()
	return assert(loadfile(assert(package.searchpath("net.adns", package.path))))();
end

-- A resolver that asks the test's name server. net.dns always says port 53; the socket it is given says another.
local function adns_resolver()
	local adns = load_adns();
	local resolver = adns.resolver();
	resolver._resolver:setnameserver("127.0.0.1");
	resolver._resolver:socket_wrapper_set(function (sock, owner)
		local handler, err = adns.new_async_socket(sock, owner);
		if not handler then return nil, err; end
		local setpeername = handler.setpeername;
		function handler:setpeername(address)
			return setpeername(self, address, dns_port);
		end
		return handler;
	end);
	return resolver;
end

local function records(answer, field)
	return array.map(answer or {}, function (record)
		local value = record[field];
		if field == "srv" then
			return ("%d %d %d %s"):format(value.priority, value.weight, value.port, (value.target:gsub("%.$", "")));
		end
		return tostring(value);
	end);
end

local function dns_probe(resolver, name, qtype)
	return function (done)
		resolver():lookup(function (answer, err)
			done({ records = records(answer, qtype:lower()); error = err and tostring(err) });
		end, name, qtype, "IN");
	end
end

local function http_probe(url, options)
	return function (done)
		http.request(url, options, function (body, code)
			body = body or "";
			local start = body:sub(1, 60):gsub("[^ -~]", "?");
			done({ code = code; length = #body; sha256 = hex.encode(sha256(body)); start = start });
		end);
	end
end

local function unbound_resolver()
	return require "net.unbound".resolver();
end

local web_by_address = "http://127.0.0.1:" .. web_port;
local web_by_name = "http://web.example.net:" .. web_port;

local probes = {
	adns_a = dns_probe(adns_resolver, "chat.example.net", "A");
	adns_srv = dns_probe(adns_resolver, "_xmpp-client._tcp.example.net", "SRV");
	unbound_a = dns_probe(unbound_resolver, "chat.example.net", "A");
	unbound_srv = dns_probe(unbound_resolver, "_xmpp-client._tcp.example.net", "SRV");
	http_get = http_probe(web_by_address .. "/page");
	http_get_by_name = http_probe(web_by_name .. "/page");
	http_post = http_probe(web_by_address .. "/digest", { body = ("0123456789abcdef"):rep(0x10000) });
	http_refused = http_probe("http://127.0.0.1:1/");
};

local function run(name, probe)
	return promise.new(function (resolve)
		probe(function (outcome)
			module:log("debug", "Probe %s: %s", name, json.encode(outcome));
			resolve(outcome);
		end);
	end):catch(function (err) return { error = tostring(err) }; end);
end

local function write_report(report)
	local file = assert(io.open(report_file .. ".new", "w"));
	file:write(json.encode(report));
	file:close();
	assert(os.rename(report_file .. ".new", report_file));
end

module:hook("server-started", function ()
	module:add_timer(0, function ()
		local report = {};
		for name, probe in pairs(probes) do
			run(name, probe):next(function (outcome)
				report[name] = outcome;
				write_report(report); -- at each step: a probe that hangs must not hide the others
			end);
		end
	end);
end);
