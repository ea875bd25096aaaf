-- Prosody's own rules, as far as they apply here.
codes = true
ignore = { "411/err", "421/err", "411/ok", "421/ok", "211/_ENV", "431/log", "143/table", "113/unpack" }
max_line_length = 150
std = "lua54"

files["test/lua/"] = {
	std = "+busted";
}
files["test/e2e/modules/"] = {
	globals = { "module" };
	read_globals = { "prosody", "require" };
}
files["demo/mod_demo.lua"] = {
	read_globals = { "module", "require" };
}
files["test/c/alloc.lua"] = {
	read_globals = { "arm", "disarm" };
}
-- Runs on every Lua.
files["test/lua/versions.lua"] = {
	std = "max";
}
files[".luacheckrc"] = { std = "luacheckrc" }
