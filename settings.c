/* set_config and hook_signal: what Prosody configures. */
#include "backend.h"
#include "_cgo_export.h"

/* set_config(network_settings). Keys that cannot be used have their default. */
int api_set_config(lua_State *L)
{
	struct backend *b = backend(L);
	struct sgo_error err = {{0}};
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checkstack(L, 8, "settings");
	if (sgo_configure(b->io, L, 1, &b->settings, &err) == 0)
		return 0;
	lua_pushstring(L, err.text);
	log_backend(L, b, "error", "%s", 1);
	return fail(L, err.text);
}

/*
 * hook_signal(number, handler) → true, or nil and a reason. The handler runs
 * in the loop; nil gives the signal back.
 */
int api_hook_signal(lua_State *L)
{
	struct backend *b = backend(L);
	struct sgo_error err;
	lua_Number value = luaL_checknumber(L, 1);
	int number = value >= 1 && value <= 64 && value == (int)value ? (int)value : 0;
	lua_settop(L, 2);
	if (!lua_isnil(L, 2))
		luaL_checktype(L, 2, LUA_TFUNCTION);
	if (sgo_hook_signal(b->io, number, !lua_isnil(L, 2), &err) < 0)
		return fail(L, err.text);
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->signals_ref);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, number);
	lua_pushboolean(L, true);
	return 1;
}

void call_signal_handler(lua_State *L, struct backend *b, int number)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->signals_ref);
	lua_rawgeti(L, -1, number);
	lua_remove(L, -2);
	if (lua_isnil(L, -1)) { /* given back meanwhile */
		lua_pop(L, 1);
	} else if (call_protected(L, b, 0, 0) == false) {
		log_backend(L, b, "error", "Error calling onsignal: %s", 1);
	}
}
