/* set_config. */
#include "backend.h"
#include "_cgo_export.h"

/* set_config(network_settings). Keys that cannot be used have their default. */
int api_set_config(lua_State *L)
{
	struct backend *b = backend(L);
	struct sgo_error err = {{0}};
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checkstack(L, 20, "settings"); /* for Go, too, which must not allocate */
	b->settings.max_send_buffer = b->prosody13 ? 33554432 : 0;
	if (sgo_configure(b->io, L, 1, &b->settings, &err) == 0)
		return 0;
	lua_pushstring(L, err.text);
	log_backend(L, b, "error", "%s", 1);
	return fail(L, err.text);
}
