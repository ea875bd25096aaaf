/*
 * ssl.newcontext, which Prosody 0.12 calls for its TLS contexts. LuaSec's result is
 * what Prosody holds, but nobody does TLS with it, because our connections use the
 * context that is remembered for it. So LuaSec's is made without the CA
 * certificates, which take it 0.8 MB and 10 ms for each context. They are added
 * if a program does TLS with LuaSec after all, which begins with ssl.core.create.
 */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "backend.h"

/* Names of curves that LuaSec's OpenSSL may not know, and that matter for Go only. */
static void remove_new_curves(lua_State *L, int config)
{
	lua_getfield(L, config, "curveslist");
	const char *list = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
	if (strstr(list, "MLKEM")) {
		luaL_Buffer kept;
		luaL_buffinit(L, &kept);
		bool any = false;
		for (size_t n; *list; list += n + (list[n] == ':')) {
			n = strcspn(list, ":");
			const char *name = memmem(list, n, "MLKEM", 5);
			if (name)
				continue;
			if (any)
				luaL_addchar(&kept, ':');
			luaL_addlstring(&kept, list, n);
			any = true;
		}
		luaL_pushresult(&kept);
		if (!any) {
			lua_pop(L, 1);
			lua_pushnil(L);
		}
		lua_setfield(L, config, "curveslist");
	}
	lua_pop(L, 1);
}

static const char *const locations[] = {"cafile", "capath"};

/* Remembers for the context at index what CAs of the configuration at 1 it lacks. */
static void remember_cas(lua_State *L, struct backend *b, int context)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->without_cas_ref);
	lua_pushvalue(L, context);
	lua_createtable(L, 2, 0);
	for (int i = 0; i < 2; i++) {
		lua_getfield(L, 1, locations[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

/*
 * Whether the configuration at 1 names CAs that can be added to LuaSec's context
 * later. What LuaSec refuses it must refuse now, and a relative name may mean
 * another file then.
 */
static bool may_defer_cas(lua_State *L, struct backend *b)
{
	bool any = false, all = true;
	for (int i = 0; i < 2; i++) {
		lua_getfield(L, 1, locations[i]);
		bool absolute = lua_type(L, -1) == LUA_TSTRING && *lua_tostring(L, -1) == '/';
		any = any || absolute;
		all = all && (absolute || lua_isnil(L, -1));
		lua_pop(L, 1);
	}
	return any && all && !b->luasec_in_use;
}

/*
 * Makes LuaSec's context and ours of the nargs arguments. Pushes LuaSec's results; or
 * what is wrong, and returns false. It raises LuaSec's errors unless CAs are put off.
 */
static bool make_contexts(lua_State *L, struct backend *b, int nargs, bool defer_cas)
{
	lua_pushvalue(L, lua_upvalueindex(2));
	push_config(L, 1);
	remove_new_curves(L, nargs + 2);
	for (int i = 0; defer_cas && i < 2; i++) {
		lua_pushnil(L);
		lua_setfield(L, nargs + 2, locations[i]);
	}
	for (int i = 2; i <= nargs; i++)
		lua_pushvalue(L, i);
	int context = nargs + 1;
	if (!defer_cas)
		lua_call(L, nargs, LUA_MULTRET);
	else if (lua_pcall(L, nargs, LUA_MULTRET, 0) != LUA_OK)
		return false;
	if (!lua_toboolean(L, context))
		return false;
	if (!new_context(L, b, 1)) {
		lua_replace(L, nargs + 2); /* the reason */
		lua_pushnil(L);
		lua_replace(L, nargs + 1);
		lua_settop(L, nargs + 2);
		return false;
	}
	remember_context(L, b, context);
	if (defer_cas)
		remember_cas(L, b, context);
	return true;
}

/* ssl.newcontext(config). The second upvalue is LuaSec's function. */
static int wrapped_newcontext(lua_State *L)
{
	struct backend *b = lua_touserdata(L, lua_upvalueindex(1));
	int nargs = lua_gettop(L);
	luaL_checkstack(L, nargs + 20, "arguments");
	if (b->io == 0 || !may_call_go() || !lua_istable(L, 1)) {
		lua_pushvalue(L, lua_upvalueindex(2));
		lua_insert(L, 1);
		lua_call(L, nargs, LUA_MULTRET);
		return lua_gettop(L);
	}
	bool defer_cas = may_defer_cas(L, b);
	if (!make_contexts(L, b, nargs, defer_cas) && defer_cas) {
		lua_settop(L, nargs); /* LuaSec's error for the whole, if it has one, counts */
		make_contexts(L, b, nargs, false);
	}
	return lua_gettop(L) - nargs;
}

/*
 * Adds CAs to the context at the index; the table of what it lacks is above it. Tells
 * whether they could be read. What cannot be is not trusted.
 */
static bool add_cas_to(lua_State *L, int context)
{
	lua_getglobal(L, "require");
	lua_pushliteral(L, "ssl.context");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "locations");
	lua_pushvalue(L, context);
	lua_rawgeti(L, context + 1, 1);
	lua_rawgeti(L, context + 1, 2);
	return lua_pcall(L, 3, 1, 0) == LUA_OK && lua_toboolean(L, -1);
}

/*
 * Adds the CAs to all contexts that lack them, because SNI may choose any. Where that
 * fails, for want of memory or descriptors, it is tried again the next time.
 */
static void add_cas(lua_State *L, struct backend *b)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->without_cas_ref);
	int contexts = lua_gettop(L);
	for (lua_pushnil(L); lua_next(L, contexts); lua_settop(L, contexts + 1)) {
		if (!add_cas_to(L, contexts + 1))
			continue;
		lua_pushvalue(L, contexts + 1);
		lua_pushnil(L);
		lua_rawset(L, contexts);
	}
}

/* ssl.core.create(context), with which all TLS of LuaSec begins. */
static int wrapped_create(lua_State *L)
{
	struct backend *b = lua_touserdata(L, lua_upvalueindex(1));
	int nargs = lua_gettop(L);
	luaL_checkstack(L, 20, "arguments");
	if (b->io != 0) {
		b->luasec_in_use = true; /* nothing may be added to the table while it is walked through */
		add_cas(L, b);
		lua_settop(L, nargs);
	}
	lua_pushvalue(L, lua_upvalueindex(2));
	lua_insert(L, 1);
	lua_call(L, nargs, LUA_MULTRET);
	return lua_gettop(L);
}

/* Wraps a function of a module, where LuaSec is installed. The backend is at index 1. */
static void wrap_function(lua_State *L, const char *module, const char *name, lua_CFunction wrapper)
{
	int top = lua_gettop(L);
	lua_getglobal(L, "require");
	lua_pushstring(L, module);
	if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_istable(L, -1)) {
		lua_pushvalue(L, 1);
		lua_getfield(L, -2, name);
		if (lua_isfunction(L, -1)) {
			lua_pushcclosure(L, wrapper, 2);
			lua_setfield(L, -2, name);
		}
	}
	lua_settop(L, top);
}

void wrap_luasec(lua_State *L)
{
	wrap_function(L, "ssl", "newcontext", wrapped_newcontext);
	wrap_function(L, "ssl.core", "create", wrapped_create);
}
