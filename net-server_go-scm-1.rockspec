-- For `luarocks make`, in this folder: builds the module for the Lua that LuaRocks
-- runs for, and installs it where that Lua's require looks.
rockspec_format = "3.0"
package = "net-server_go"
version = "scm-1"
source = {
	url = "git+https://net-server-go.invalid/net.server_go.git"; -- the field is required; make does not fetch
}
description = {
	summary = "A network backend for the Prosody XMPP server, written in Go";
	license = "MIT";
}
supported_platforms = { "linux" }
dependencies = {
	"lua >= 5.1, < 5.5";
}
build = {
	type = "make";
	build_target = "so";
	variables = {
		-- LuaRocks names its Lua by path only: make asks that Lua what it is.
		LUA_VERSION = [[$(shell $(LUA) -e 'io.write(jit and "luajit" or _VERSION:sub(5))')]];
		cmoddir = "$(LIBDIR)/net";
	};
}
