-- Has net.http fetch what the test asks for, and answers with what came of it, as JSON:
-- GET /fetch?url=URL, or GET /fetch?url=URL&post=SIZE to send so many bytes.
local hex = require "util.hex";
local http = require "net.http";
local json = require "util.json";
local promise = require "util.promise";
local sha256 = require "util.hashes".sha256;

module:depends("http");

local function outcome(body, code)
	body = body or "";
	return json.encode({
		code = code;
		length = #body;
		sha256 = hex.encode(sha256(body));
		start = body:sub(1, 60):gsub("[^ -~]", "?");
	});
end

local function fetch(event)
	local asked = http.formdecode(event.request.url.query);
	local options = { body = asked.post and ("0123456789abcdef"):rep(tonumber(asked.post) / 16) };
	return promise.new(function (resolve)
		http.request(asked.url, options, function (body, code)
			resolve(outcome(body, code));
		end);
	end);
end

module:provides("http", {
	name = "fetch";
	route = { GET = fetch };
});
