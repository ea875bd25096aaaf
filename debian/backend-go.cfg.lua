-- Tells Prosody to use the network backend net.server_go, if it is installed.
-- Debian's package has this file in conf.avail. To switch over, link it into
-- conf.d and restart Prosody:
--
--     ln -s ../conf.avail/backend-go.cfg.lua /etc/prosody/conf.d/
--     systemctl restart prosody
--
-- The option is global, though conf.d is included behind VirtualHost lines:
-- each included file starts outside of any host.
--
-- If the module is removed, or was built for another Lua, this file does nothing
-- and Prosody is back on its own backend. "Lua" is what Prosody 13 calls Lua's own
-- names. The files are looked for one by one, because Lua 5.1 has no searchpath.
local lua = Lua or _G
for template in lua.package.cpath:gmatch("[^;]+") do
	local file = template:find("?", 1, true) and lua.io.open((template:gsub("%?", "net/server_go")))
	if file then
		file:close()
		network_backend = "go"
	end
end
