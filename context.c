/*
 * TLS contexts. One here is a userdata with the number of Go's. Prosody 0.12
 * hands over LuaSec's contexts instead, which ssl.newcontext (luasec.c) has
 * remembered one of ours for; Prosody 13 makes them by tls_builder.
 */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "backend.h"
#include "_cgo_export.h"

static int context_gc(lua_State *L)
{
	struct context *c = lua_touserdata(L, 1);
	if (c->id != 0 && may_call_go())
		sgo_context_free(c->io, c->id);
	c->id = 0;
	return 0;
}

/* Logs lines of level, tab, text. */
static void log_notices(lua_State *L, struct backend *b, struct sgo_text *notices)
{
	push_text(L, notices);
	const char *line = lua_tostring(L, -1), *end;
	for (; (end = strchr(line, '\n')); line = end + 1) {
		const char *tab = memchr(line, '\t', (size_t)(end - line));
		lua_pushlstring(L, line, (size_t)(tab - line));
		lua_pushlstring(L, tab + 1, (size_t)(end - tab - 1));
		const char *level = lua_tostring(L, -2);
		log_backend(L, b, level, "%s", 1);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* Pushes the table that holds the n-th key pair of the configuration. */
static void push_pair(lua_State *L, int config, int n)
{
	if (n == 1) {
		lua_pushvalue(L, config);
		return;
	}
	lua_getfield(L, config, "certificates");
	lua_rawgeti(L, -1, n - 1);
	lua_remove(L, -2);
}

/*
 * Puts the result of the n-th pair's password function in its place and
 * leaves pair and function on the stack, for restore_passwords.
 */
static void ask_password(lua_State *L, struct backend *b, int config, int n)
{
	push_pair(L, config, n);
	lua_getfield(L, -1, "password");
	lua_pushvalue(L, -1);
	if (!call_protected(L, b, 0, 1) || lua_type(L, -1) != LUA_TSTRING) {
		lua_pop(L, 1);
		lua_pushliteral(L, "");
	}
	lua_setfield(L, -3, "password");
}

static void restore_passwords(lua_State *L, int top)
{
	for (; lua_gettop(L) > top; lua_pop(L, 1))
		lua_setfield(L, -2, "password");
}

/* What LuaSec's newcontext reads of its configuration. */
static const char *const config_fields[] = {
	"mode", "protocol", "certificates", "certificate", "key", "password", "cafile", "capath", "verify", "verifyext", "depth", "options",
	"ciphers", "ciphersuites", "dhparam", "curve", "curveslist", "alpn", "dane",
};

/* Pushes a copy of the configuration at index, with what it has by a metatable. */
void push_config(lua_State *L, int config)
{
	lua_newtable(L);
	int copy = lua_gettop(L);
	for (lua_pushnil(L); lua_next(L, config); lua_pop(L, 1)) {
		lua_pushvalue(L, -2);
		lua_pushvalue(L, -2);
		lua_rawset(L, copy);
	}
	for (size_t i = 0; i < sizeof config_fields / sizeof *config_fields; i++) {
		lua_getfield(L, config, config_fields[i]);
		lua_setfield(L, copy, config_fields[i]);
	}
}

/* Pushes a context for the configuration table at index, or false and pushes the reason. */
bool new_context(lua_State *L, struct backend *b, int config)
{
	luaL_checkstack(L, 40, "TLS context");
	push_config(L, config);
	config = lua_gettop(L);
	struct sgo_text notices = {0};
	struct sgo_error err;
	int status;
	struct context *c = lua_newuserdata(L, sizeof *c);
	*c = (struct context){.io = b->io};
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->context_metatable_ref);
	lua_setmetatable(L, -2);
	int context = lua_gettop(L);
	for (int asked = 0;; asked++) {
		status = sgo_context_new(b->io, L, config, &c->id, &notices, &err);
		if (status <= 0 || asked == 8)
			break;
		ask_password(L, b, config, status);
	}
	restore_passwords(L, context);
	if (notices.data)
		log_notices(L, b, &notices);
	if (status != 0) {
		lua_pushstring(L, status < 0 ? err.text : "error loading private key (too many passwords)");
		lua_remove(L, config);
		return false;
	}
	lua_getfield(L, config, "dane");
	c->dane = lua_toboolean(L, -1);
	lua_pop(L, 1);
	lua_getfield(L, config, "alpn");
	if (lua_isfunction(L, -1)) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, b->alpn_ref);
		lua_pushvalue(L, context);
		lua_pushvalue(L, -3);
		lua_rawset(L, -3);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	lua_remove(L, config);
	return true;
}

static bool is_context(lua_State *L, struct backend *b, int index)
{
	if (!lua_isuserdata(L, index) || !lua_getmetatable(L, index))
		return false;
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->context_metatable_ref);
	bool same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return same;
}

/* contexts[value at key] = value at the top; pops it. */
void remember_context(lua_State *L, struct backend *b, int key)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->contexts_ref);
	lua_pushvalue(L, key);
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pop(L, 2);
}

/*
 * Has the connection's table keep the context at the top: a command names it by
 * its number only, and may not be applied before the next turn.
 */
void keep_context(lua_State *L, int connection)
{
	lua_pushvalue(L, -1);
	lua_rawseti(L, connection, 2);
}

/*
 * Pushes the context that the value at index stands for: one of ours, one of
 * tls_builder's, one of LuaSec's, or a new one of a plain configuration, which
 * may have changed since the last. Returns NULL, and pushes the reason, if there
 * is none.
 */
struct context *push_context(lua_State *L, struct backend *b, int index)
{
	if (is_context(L, b, index)) {
		lua_pushvalue(L, index);
		return lua_touserdata(L, -1);
	}
	if (lua_istable(L, index)) {
		lua_getfield(L, index, "_inner");
		if (is_context(L, b, lua_gettop(L)))
			return lua_touserdata(L, -1);
		lua_pop(L, 1);
	}
	if (lua_istable(L, index) || lua_isuserdata(L, index)) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, b->contexts_ref);
		lua_pushvalue(L, index);
		lua_rawget(L, -2);
		lua_remove(L, -2);
		if (!lua_isnil(L, -1))
			return lua_touserdata(L, -1);
		lua_pop(L, 1);
	}
	if (!lua_istable(L, index)) {
		lua_pushliteral(L, "unknown TLS context: make it with ssl.newcontext after net.server_go was loaded");
		return NULL;
	}
	return new_context(L, b, index) ? lua_touserdata(L, -1) : NULL;
}

/* Whether the value at index can be used as a context; pushes the reason if not. */
bool check_context(lua_State *L, struct backend *b, int index)
{
	if (push_context(L, b, index) == NULL)
		return false;
	lua_pop(L, 1);
	return true;
}

/* Pushes a metatable for contexts, and weak tables that go by them. */
void open_tls(lua_State *L, struct backend *b)
{
	lua_newtable(L);
	lua_pushcfunction(L, context_gc);
	lua_setfield(L, -2, "__gc");
	b->context_metatable_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	int *const refs[] = {&b->contexts_ref, &b->alpn_ref, &b->without_cas_ref};
	for (size_t i = 0; i < 3; i++) {
		lua_newtable(L);
		lua_newtable(L);
		lua_pushliteral(L, "k");
		lua_setfield(L, -2, "__mode");
		lua_setmetatable(L, -2);
		*refs[i] = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_newtable(L);
	set_functions(L, context_methods);
	b->context_methods_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	wrap_luasec(L);
}

/* The factory of util.sslconfig: (config, builder) → context, nil; or nil and a reason. */
static int build_context(lua_State *L)
{
	struct backend *b = backend(L);
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 2);
	if (!new_context(L, b, 1)) {
		lua_pushnil(L);
		lua_insert(L, -2);
		return 2;
	}
	lua_createtable(L, 0, 3);
	lua_insert(L, -2);
	lua_setfield(L, -2, "_inner");
	lua_pushvalue(L, 2);
	lua_setfield(L, -2, "_builder");
	lua_newtable(L);
	lua_setfield(L, -2, "_sni_contexts");
	lua_createtable(L, 0, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->context_methods_ref);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_pushnil(L);
	return 2;
}

/* tls_builder(basedir), for Prosody 13: a builder of util.sslconfig that makes our contexts. */
int api_tls_builder(lua_State *L)
{
	backend(L);
	lua_settop(L, 1);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "util.sslconfig");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "_new");
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushcclosure(L, build_context, 1);
	lua_pushvalue(L, 1);
	lua_call(L, 2, 1);
	return 1;
}

/* Calls method of the value at the top, below nargs arguments; all are replaced by nresults. */
static void call_method(lua_State *L, const char *method, int nargs, int nresults)
{
	lua_getfield(L, -nargs - 1, method);
	lua_insert(L, -nargs - 2);
	lua_call(L, nargs + 1, nresults);
}

/* context:set_sni_host(host, certificate, key) → true; or false and a reason. */
static int context_set_sni_host(lua_State *L)
{
	backend(L);
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checkstring(L, 2);
	lua_settop(L, 4);
	lua_getfield(L, 1, "_sni_contexts");
	lua_getfield(L, 1, "_builder");
	call_method(L, "clone", 0, 1);
	lua_createtable(L, 0, 2);
	lua_pushvalue(L, 3);
	lua_setfield(L, -2, "certificate");
	lua_pushvalue(L, 4);
	lua_setfield(L, -2, "key");
	call_method(L, "apply", 1, 1);
	call_method(L, "build", 0, 2);
	if (!lua_toboolean(L, -2)) {
		lua_pushboolean(L, false);
		lua_insert(L, -2);
		return 2;
	}
	lua_pop(L, 1);
	lua_getfield(L, -1, "_inner");
	lua_pushvalue(L, 2);
	lua_insert(L, -2);
	lua_settable(L, 5);
	lua_pushboolean(L, true);
	return 1;
}

static int context_remove_sni_host(lua_State *L)
{
	backend(L);
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checkstring(L, 2);
	lua_getfield(L, 1, "_sni_contexts");
	lua_pushvalue(L, 2);
	lua_pushnil(L);
	lua_settable(L, -3);
	return 0;
}

const luaL_Reg context_methods[] = {
	{"remove_sni_host", context_remove_sni_host},
	{"set_sni_host", context_set_sni_host},
	{NULL, NULL}
};

/* Pushes the ALPN function of the context at index, or nil. */
void push_alpn_function(lua_State *L, struct backend *b, int context)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->alpn_ref);
	lua_pushvalue(L, context);
	lua_rawget(L, -2);
	lua_remove(L, -2);
}
