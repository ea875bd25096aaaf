/* watchfd, and libevent's addevent on top of the same watches. */
#include <string.h>

#include "backend.h"
#include "_cgo_export.h"

static int check_fd(lua_State *L, int arg)
{
	if (lua_type(L, arg) != LUA_TNUMBER)
		return foreign_fd(L, arg);
	lua_Number fd = lua_tonumber(L, arg);
	return fd >= 0 && fd <= INT32_MAX && fd == (int)fd ? (int)fd : -1;
}

/* Pushes a watch of fd. One that cannot be polled gets *err; its watch is good for close() only. */
static int push_watch(lua_State *L, struct backend *b, int fd, uint32_t flags, uint64_t *made, struct sgo_error *err)
{
	struct sgo_object opened = {0};
	int status = sgo_watch(b->io, fd, flags, &opened, err);
	if (opened.handle == 0)
		return luaL_error(L, "watchfd: %s", err->text);
	new_object(L, b, WATCH, &opened)->flags = flags;
	set_id(L, b, lua_gettop(L), "fdwatch");
	*made = opened.handle;
	return status;
}

/* watchfd(fd, onreadable, onwritable) → handle. Its callbacks are not protected. */
static int api_watchfd(lua_State *L)
{
	struct backend *b = backend(L);
	int fd = check_fd(L, 1);
	uint32_t flags = (check_callable(L, 2) ? 1 : 0) | (check_callable(L, 3) ? 2 : 0);
	lua_settop(L, 3);
	struct sgo_error err;
	uint64_t handle;
	if (push_watch(L, b, fd, flags, &handle, &err) < 0) {
		lua_pushstring(L, err.text);
		log_object(L, 4, "debug", "Could not register in poller: %s", 1);
	}
	lua_pushvalue(L, 1);
	lua_setfield(L, 4, "conn");
	lua_pushvalue(L, 2);
	lua_setfield(L, 4, "onreadable");
	lua_pushvalue(L, 3);
	lua_setfield(L, 4, "onwritable");
	object_made(b, handle);
	return 1;
}

/* onreadable and onwritable of addevent; the second upvalue is the flags. */
static int onevent(lua_State *L)
{
	struct backend *b = backend(L);
	lua_settop(L, 1);
	lua_getfield(L, 1, "callback");
	lua_pushvalue(L, 1);
	lua_call(L, 1, 1);
	struct object *o = check_object(L, b, 1);
	if (o == NULL || !lua_toboolean(L, 2))
		return 0;
	bool leave = lua_type(L, 2) == LUA_TNUMBER && lua_tonumber(L, 2) == -1;
	o->flags = leave ? 0 : (uint32_t)lua_tointeger(L, lua_upvalueindex(2));
	command_number(b, o, SGO_WATCH_FLAGS, o->flags);
	return 0;
}

/* addevent(fd, mode, callback) → handle, or nil and a reason. */
static int api_addevent(lua_State *L)
{
	static const char *const modes[] = {"r", "w", "rw", NULL};
	static const char warning[] = "Using deprecated libevent emulation, please update code to use watchfd API instead";
	struct backend *b = backend(L);
	int fd = check_fd(L, 1);
	uint32_t flags = (uint32_t)luaL_checkoption(L, 2, NULL, modes) + 1;
	if (!check_callable(L, 3))
		luaL_argerror(L, 3, "function expected");
	lua_settop(L, 3);
	log_backend(L, b, "warn", warning, 0);
	struct sgo_error err;
	uint64_t handle;
	if (push_watch(L, b, fd, flags, &handle, &err) < 0) {
		struct object *o = check_object(L, b, 4);
		if (o)
			destroy_object(L, b, 4, o);
		return fail(L, err.text);
	}
	lua_pushvalue(L, 3);
	lua_setfield(L, 4, "callback");
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushinteger(L, flags);
	lua_pushcclosure(L, onevent, 2);
	lua_pushvalue(L, -1);
	lua_setfield(L, 4, "onreadable");
	lua_setfield(L, 4, "onwritable");
	object_made(b, handle);
	return 1;
}

const luaL_Reg watch_functions[] = {
	{"addevent", api_addevent},
	{"watchfd", api_watchfd},
	{NULL, NULL}
};
