/* hook_signal: signals as callbacks of the loop. */
#include "backend.h"
#include "_cgo_export.h"

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
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->signals_ref);
	lua_rawgeti(L, 3, number);
	bool hooked = !lua_isnil(L, 4), hook = !lua_isnil(L, 2);
	/* One that is not hooked has its handler: there is nothing to give back. */
	if ((hook || hooked) && sgo_hook_signal(b->io, number, hook, &err) < 0)
		return fail(L, err.text);
	lua_pushvalue(L, 2);
	lua_rawseti(L, 3, number);
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
	} else if (!call_protected(L, b, 0, 0)) {
		log_backend(L, b, "error", "Error calling onsignal: %s", 1);
	}
}
