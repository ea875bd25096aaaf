-- What the demo adds to a stock Prosody: accounts, a count of messages, and when it counted.
local usermanager = require "core.usermanager";
local now = require "util.time".now;
local host = module.host;

local function account(name, password)
	if not usermanager.user_exists(name, host) then
		assert(usermanager.create_user(name, password, host));
	end
end

-- Not before: the host has its authentication only then.
module:hook_global("server-started", function ()
	account("demo", "demo");
	account("guest", "guest");
	for number = 0, 31 do -- those of demo/clients
		account("user"..number, "bench");
	end
end);

local messages = module:metric("counter", "messages", "", "Messages that clients have sent", {}):with_labels();

for _, to in ipairs { "bare", "full", "host" } do
	module:hook("pre-message/"..to, function () messages:add(1); end, 1000);
end

local time = module:metric("gauge", "time", "seconds", "When these metrics were collected", {}):with_labels();

module:hook_global("stats-update", function () time:set(now()); end);
