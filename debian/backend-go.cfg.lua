-- Tells Prosody to use the network backend of the package prosody-backend-go.
-- To switch over, link this file into conf.d and restart Prosody:
--
--     ln -s ../conf.avail/backend-go.cfg.lua /etc/prosody/conf.d/
--     systemctl restart prosody
--
-- The option is global, though conf.d is included behind VirtualHost lines:
-- each included file starts outside of any host.
--
-- Once the package is removed this does nothing, and Prosody is back on its own
-- backend. "Lua" is what Prosody 13 calls Lua's own names.
local package = (Lua or _G).package
if package.searchpath("net.server_go", package.cpath) then
	network_backend = "go"
end
