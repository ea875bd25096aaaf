/*
 * TLS as Lua sees it: contexts, starttls, SNI and ALPN, and what is known of
 * the peer. A context here is a userdata with the number of Go's; Prosody 0.12
 * hands over LuaSec's contexts instead, which ssl.newcontext, wrapped below,
 * has remembered one of ours for.
 */
#define _GNU_SOURCE /* memmem */
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "_cgo_export.h"

struct context {
	uint32_t io;
	uint64_t id;
	bool dane;
};

static int context_gc(lua_State *L)
{
	struct context *c = lua_touserdata(L, 1);
	if (c->id != 0 && may_call_go())
		sgo_context_free(c->io, c->id);
	c->id = 0;
	return 0;
}

static void push_text(lua_State *L, struct sgo_text *text)
{
	lua_pushlstring(L, text->data, text->length);
	free(text->data);
	text->data = NULL;
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

/* Pushes a context for the configuration table at index, or false and pushes the reason. */
static bool new_context(lua_State *L, struct backend *b, int config)
{
	struct sgo_text notices = {0};
	struct sgo_error err;
	int status;
	luaL_checkstack(L, 40, "TLS context");
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
static void remember_context(lua_State *L, struct backend *b, int key)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->contexts_ref);
	lua_pushvalue(L, key);
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pop(L, 2);
}

/*
 * Pushes the context that the value at index stands for: one of ours, one of
 * tls_builder's, one of LuaSec's, or a plain configuration. Returns NULL, and
 * pushes the reason, if there is none.
 */
static struct context *push_context(lua_State *L, struct backend *b, int index)
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
	if (!new_context(L, b, index))
		return NULL;
	lua_pushvalue(L, -1);
	remember_context(L, b, index);
	return lua_touserdata(L, -1);
}

/* Whether the value at index can be used as a context; pushes the reason if not. */
bool check_context(lua_State *L, struct backend *b, int index)
{
	if (push_context(L, b, index) == NULL)
		return false;
	lua_pop(L, 1);
	return true;
}

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

static void push_copy(lua_State *L, int table)
{
	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, table)) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, -4);
	}
}

/* ssl.newcontext(config): LuaSec's, remembering a context of ours for its result. The second upvalue is LuaSec's function. */
static int wrapped_newcontext(lua_State *L)
{
	struct backend *b = lua_touserdata(L, lua_upvalueindex(1));
	bool ours = b->io != 0 && may_call_go() && lua_istable(L, 1);
	int nargs = lua_gettop(L);
	lua_pushvalue(L, lua_upvalueindex(2));
	if (ours) {
		push_copy(L, 1);
		remove_new_curves(L, lua_gettop(L));
	} else {
		lua_pushvalue(L, 1);
	}
	for (int i = 2; i <= nargs; i++)
		lua_pushvalue(L, i);
	lua_call(L, nargs, LUA_MULTRET);
	int context = nargs + 1;
	if (ours && lua_toboolean(L, context)) {
		if (!new_context(L, b, 1)) {
			lua_pushnil(L);
			lua_insert(L, -2);
			return 2;
		}
		remember_context(L, b, context);
	}
	return lua_gettop(L) - nargs;
}

/* Wraps ssl.newcontext, where LuaSec is installed. The backend is at index 1. */
void wrap_luasec(lua_State *L)
{
	int top = lua_gettop(L);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "ssl");
	if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_istable(L, -1)) {
		lua_pushvalue(L, 1);
		lua_getfield(L, -2, "newcontext");
		if (lua_isfunction(L, -1)) {
			lua_pushcclosure(L, wrapped_newcontext, 2);
			lua_setfield(L, -2, "newcontext");
		}
	}
	lua_settop(L, top);
}

/* Pushes a metatable for contexts, and weak tables that go by them. */
void open_tls(lua_State *L, struct backend *b)
{
	lua_newtable(L);
	lua_pushcfunction(L, context_gc);
	lua_setfield(L, -2, "__gc");
	b->context_metatable_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	int *const refs[] = {&b->contexts_ref, &b->alpn_ref};
	for (size_t i = 0; i < 2; i++) {
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

/*
 * Pushes the table of the names that the connection's port answers to by
 * SNI: server.hosts, or the context's own. Pushes nil if there are none.
 */
static void push_hosts(lua_State *L, int connection)
{
	lua_getfield(L, connection, "_server");
	if (!lua_isnil(L, -1)) {
		lua_getfield(L, -1, "hosts");
		lua_remove(L, -2);
	}
	if (lua_isnil(L, -1)) {
		lua_getfield(L, connection, "tls_ctx");
		if (lua_istable(L, -1)) {
			lua_getfield(L, -1, "_sni_contexts");
			lua_remove(L, -2);
		}
		lua_remove(L, -2);
	}
	if (lua_istable(L, -1)) {
		lua_pushnil(L);
		if (lua_next(L, -2)) {
			lua_pop(L, 2);
			return;
		}
	}
	lua_pop(L, 1);
	lua_pushnil(L);
}

/* Pushes the ALPN function of the context at index, or nil. */
static void push_alpn_function(lua_State *L, struct backend *b, int context)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->alpn_ref);
	lua_pushvalue(L, context);
	lua_rawget(L, -2);
	lua_remove(L, -2);
}

static bool asks_hello(lua_State *L, struct backend *b, int connection, int context)
{
	push_hosts(L, connection);
	push_alpn_function(L, b, context);
	bool asks = !lua_isnil(L, -1) || !lua_isnil(L, -2);
	lua_pop(L, 2);
	return asks;
}

/* The integer field of the table at the top. */
static uint8_t tlsa_field(lua_State *L, const char *name)
{
	lua_getfield(L, -1, name);
	lua_Number n = lua_tonumber(L, -1);
	lua_pop(L, 1);
	return n >= 0 && n <= 255 ? (uint8_t)n : 255;
}

/* Hands the TLSA records of conn.extra to the I/O side. Pushes the name of the server to ask for. */
static void prepare_dane(lua_State *L, struct backend *b, int connection, uint64_t handle, bool enabled)
{
	lua_getfield(L, connection, "servername");
	lua_getfield(L, connection, "extra");
	if (!lua_istable(L, -1)) {
		lua_pop(L, 1);
		return;
	}
	if (lua_isnil(L, -2)) {
		lua_getfield(L, -1, "dane_hostname");
		lua_insert(L, -2);
	} else {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
	}
	lua_getfield(L, -1, "tlsa");
	lua_remove(L, -2);
	/* servername, name for DANE, records */
	size_t length;
	const char *name = lua_tolstring(L, -2, &length);
	if (!lua_istable(L, -1) || name == NULL) {
		lua_pop(L, 2);
		return;
	}
	if (!enabled) {
		log_object(L, connection, "debug", "Could not enable DANE on connection", 0);
		lua_pop(L, 2);
		return;
	}
	int n = 0;
	for (;; n++) {
		lua_rawgeti(L, -1, n + 1);
		if (!lua_istable(L, -1))
			break;
		lua_getfield(L, -1, "data");
		size_t data_length;
		const char *data = lua_tolstring(L, -1, &data_length);
		lua_insert(L, -2);
		if (data)
			sgo_add_tlsa(b->io, handle, (char *)name, length, tlsa_field(L, "use"), tlsa_field(L, "select"),
				tlsa_field(L, "match"), (char *)data, data_length);
		lua_pop(L, 2);
	}
	lua_pop(L, 2); /* what ended the list, and the list */
	lua_pushinteger(L, n);
	log_object(L, connection, "debug", "Enabling DANE with %d TLSA records", 1);
	lua_remove(L, -2); /* OpenSSL sends the name for DANE as SNI */
}

/*
 * Starts TLS on the connection at index, with its field tls_ctx. direct: from
 * the start, so that onconnect waits for it. A context that cannot be used
 * ends the connection, by the way that other failures take.
 */
void start_tls(lua_State *L, struct backend *b, int connection, struct object *o, bool direct)
{
	int top = lua_gettop(L);
	uint64_t handle = o->handle;
	bool accepted = o->accepted;
	luaL_checkstack(L, 20, "starttls");
	o->blocked = o->paused = o->unwatched = false;
	o->tls_started = true;
	lua_pushboolean(L, false);
	lua_setfield(L, connection, "starttls");
	lua_getfield(L, connection, "tls_ctx");
	struct context *c = push_context(L, b, top + 1);
	struct sgo_secure start = {.context = c ? c->id : 0, .flags = direct ? SGO_START_DIRECT : 0};
	if (c) {
		if (accepted && asks_hello(L, b, connection, top + 2))
			start.flags |= SGO_START_ASK_HELLO;
		prepare_dane(L, b, connection, handle, c->dane);
		log_object(L, connection, "debug", "Prepared to start TLS", 0);
	} else {
		lua_pushvalue(L, -1);
		log_object(L, connection, "error", "Failed to initialize TLS: %s", 1);
	}
	size_t length = 0;
	const char *text = lua_tolstring(L, -1, &length); /* SNI, or the reason */
	start.length = (uint32_t)length;
	o = find_object(b, handle);
	if (o)
		command_secure(b, o, SGO_START_TLS, &start, text ? text : "");
	lua_settop(L, top);
}

/* Pushes the protocols of a hello as a list. */
static void push_protocols(lua_State *L, const char *at, const char *end)
{
	lua_newtable(L);
	for (int i = 1; at < end; i++) {
		size_t n = strnlen(at, (size_t)(end - at));
		lua_pushlstring(L, at, n);
		lua_rawseti(L, -2, i);
		at += n + 1;
	}
}

static bool list_has(lua_State *L, int list, int value)
{
	bool found = false;
	lua_pushvalue(L, value);
	for (int i = 1; !found; i++) {
		lua_rawgeti(L, list, i);
		if (lua_isnil(L, -1)) {
			lua_pop(L, 1);
			break;
		}
		found = lua_rawequal(L, -1, -2);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return found;
}

/*
 * Calls the context's ALPN function with the client's list. Its answer, a
 * string or a list, is in order of preference. Pushes the first that was
 * offered, or an empty string.
 */
static void push_chosen_protocol(lua_State *L, struct backend *b, int connection, int offered)
{
	lua_pushvalue(L, offered);
	if (!call_protected(L, b, 1, 1)) {
		log_object(L, connection, "error", "Error calling the ALPN callback: %s", 1);
		lua_pushnil(L);
	}
	if (lua_type(L, -1) == LUA_TSTRING) {
		lua_createtable(L, 1, 0);
		lua_insert(L, -2);
		lua_rawseti(L, -2, 1);
	}
	int wanted = lua_gettop(L);
	for (int i = 1; lua_istable(L, wanted); i++) {
		lua_rawgeti(L, wanted, i);
		if (lua_isnil(L, -1))
			break;
		if (lua_type(L, -1) == LUA_TSTRING && list_has(L, offered, lua_gettop(L)))
			return;
		lua_pop(L, 1);
	}
	lua_pushliteral(L, "");
}

/* Answers a client's hello: which context by SNI, which protocol by ALPN. */
void deliver_hello(lua_State *L, struct backend *b, int connection, struct object *o, const struct sgo_event *ev)
{
	struct sgo_secure answer = {0};
	size_t name_length = strnlen(ev->bytes, ev->length);
	size_t length = 0;
	const char *protocol = "";
	push_hosts(L, connection);
	int hosts = lua_gettop(L);
	lua_pushlstring(L, ev->bytes, name_length);
	if (lua_istable(L, hosts) && name_length > 0)
		lua_gettable(L, hosts); /* unknown: nil, refused */
	else
		lua_getfield(L, connection, "tls_ctx");
	struct context *c = lua_isnil(L, -1) ? NULL : push_context(L, b, lua_gettop(L));
	if (c) {
		answer.context = c->id;
		const char *protocols = ev->bytes + name_length + 1, *end = ev->bytes + ev->length;
		push_protocols(L, protocols, end);
		int offered = lua_gettop(L);
		push_alpn_function(L, b, offered - 1);
		if (!lua_isnil(L, -1) && protocols < end) {
			push_chosen_protocol(L, b, connection, offered);
			protocol = lua_tolstring(L, -1, &length);
			answer.flags = SGO_ANSWER_CHOSEN;
			answer.length = (uint32_t)length;
		}
	}
	o = find_object(b, ev->handle);
	if (o)
		command_secure(b, o, SGO_ANSWER_HELLO, &answer, protocol);
}

/* Pushes the answer to a question about the session of o; false if there is none. */
static bool push_query(lua_State *L, struct backend *b, const struct object *o, enum sgo_tls_question question, int arg)
{
	struct sgo_text text = {0};
	if (o == NULL || !sgo_tls_query(b->io, o->handle, question, arg, &text))
		return false;
	push_text(L, &text);
	return true;
}

/* Pushes LuaSec's info table from lines of type and name, tab, value. */
static bool push_info(lua_State *L, struct backend *b, const struct object *o)
{
	if (!push_query(L, b, o, SGO_TLS_INFO, 0))
		return false;
	lua_createtable(L, 0, 10);
	const char *line = lua_tostring(L, -2), *end;
	for (; (end = strchr(line, '\n')); line = end + 1) {
		const char *tab = memchr(line, '\t', (size_t)(end - line));
		lua_pushlstring(L, line + 1, (size_t)(tab - line - 1));
		lua_pushlstring(L, tab + 1, (size_t)(end - tab - 1));
		if (*line == 'n') {
			lua_pushnumber(L, lua_tonumber(L, -1));
			lua_replace(L, -2);
		} else if (*line == 'b') {
			lua_pushboolean(L, end - tab > 1);
			lua_replace(L, -2);
		}
		lua_rawset(L, -3);
	}
	lua_remove(L, -2);
	return true;
}

/* The handshake is complete. */
void deliver_secured(lua_State *L, struct backend *b, int connection, struct object *o)
{
	uint64_t handle = o->handle;
	if (push_info(L, b, o)) {
		lua_getfield(L, -1, "protocol");
		lua_getfield(L, -2, "cipher");
		log_object(L, connection, "debug", "TLS handshake complete (%s with %s)", 2);
		lua_pop(L, 1);
	}
	push_tls_socket(L, b, handle);
	lua_getfield(L, connection, "conn");
	lua_rawseti(L, -2, 2); /* a LuaSocket object below is closed with it */
	lua_setfield(L, connection, "conn");
	lua_pushvalue(L, connection);
	lua_pushliteral(L, "ssl-handshake-complete");
	call_listener(L, b, "onstatus", 1);
	lua_pop(L, 1);
}

/* What a method of a TLS socket says when there is no TLS (any more). */
static int no_session(lua_State *L, const struct object *o)
{
	return fail(L, o ? "not-implemented" : "not-connected");
}

/* info([field]) → LuaSec's information table, or one field of it. */
int tls_info(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	lua_settop(L, 2);
	if (!push_info(L, b, o))
		return no_session(L, o);
	if (lua_type(L, 2) == LUA_TSTRING) {
		lua_pushvalue(L, 2);
		lua_rawget(L, -2);
	}
	return 1;
}

/* Pushes LuaSec's certificate object for number n of the peer's chain; false at its end. */
static bool push_certificate(lua_State *L, struct backend *b, const struct object *o, int n)
{
	if (!push_query(L, b, o, SGO_TLS_CERTIFICATE, n))
		return false;
	lua_getglobal(L, "require");
	lua_pushliteral(L, "ssl");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "loadcertificate");
	lua_remove(L, -2);
	lua_insert(L, -2);
	lua_call(L, 1, 1);
	return true;
}

/* getpeercertificate([depth]) → certificate object, or nil. Depth counts from 1, as in LuaSec. */
int tls_peercertificate(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	lua_Number n = luaL_optnumber(L, 2, 1);
	luaL_argcheck(L, n >= 1 && n <= INT32_MAX, 2, "invalid certificate index");
	if (push_certificate(L, b, o, (int)n - 1))
		return 1;
	if (push_query(L, b, o, SGO_TLS_INFO, 0)) {
		lua_pushnil(L);
		return 1;
	}
	return no_session(L, o);
}

/* getpeerchain() → list of certificate objects, leaf first. */
int tls_peerchain(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	lua_settop(L, 1);
	lua_newtable(L);
	for (int i = 0; push_certificate(L, b, o, i); i++)
		lua_rawseti(L, 2, i + 1);
	return 1;
}

/* getpeerverification() → true; or false and the errors, as list by depth + 1 or as one text. */
int tls_peerverification(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (!push_query(L, b, o, SGO_TLS_VERIFICATION, 0)) {
		lua_pushnil(L);
		if (o == NULL) {
			lua_pushliteral(L, "not-connected");
		} else {
			lua_createtable(L, 1, 0);
			lua_createtable(L, 1, 0);
			lua_pushliteral(L, "Chain verification not supported");
			lua_rawseti(L, -2, 1);
			lua_rawseti(L, -2, 1);
		}
		return 2;
	}
	const char *line = lua_tostring(L, -1), *end = strchr(line, '\n');
	lua_pushboolean(L, end == NULL);
	if (end == NULL)
		return 1;
	if (b->prosody13 && end > line) { /* 0.12 takes tables only */
		lua_pushlstring(L, line, (size_t)(end - line));
		return 2;
	}
	lua_newtable(L);
	for (line = end + 1; (end = strchr(line, '\n')); line = end + 1) {
		int depth = (int)strtol(line, NULL, 10);
		const char *tab = memchr(line, '\t', (size_t)(end - line));
		lua_rawgeti(L, -1, depth + 1);
		if (lua_isnil(L, -1)) {
			lua_pop(L, 1);
			lua_newtable(L);
			lua_pushvalue(L, -1);
			lua_rawseti(L, -3, depth + 1);
		}
		lua_pushlstring(L, tab + 1, (size_t)(end - tab - 1));
		lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
		lua_pop(L, 1);
	}
	return 2;
}

static int push_string_or_nil(lua_State *L, enum sgo_tls_question question)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (push_query(L, b, o, question, 0))
		return 1;
	if (o == NULL || !o->tls)
		return no_session(L, o);
	lua_pushnil(L);
	return 1;
}

int tls_peerfinished(lua_State *L) { return push_string_or_nil(L, SGO_TLS_FINISHED); }
int tls_sniname(lua_State *L) { return push_string_or_nil(L, SGO_TLS_SERVER_NAME); }
int tls_alpn(lua_State *L) { return push_string_or_nil(L, SGO_TLS_ALPN); }

/* exportkeyingmaterial(label, length, context) → string, or nil and a reason. */
int tls_exportkeyingmaterial(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	size_t label_length, context_length = 0;
	const char *label = luaL_checklstring(L, 2, &label_length);
	lua_Number n = luaL_checknumber(L, 3);
	const char *context = luaL_optlstring(L, 4, NULL, &context_length);
	luaL_argcheck(L, n >= 1 && n <= 65535, 3, "length from 1 to 65535 expected");
	struct sgo_text key = {0};
	if (o == NULL || sgo_tls_export(b->io, o->handle, (char *)label, label_length, (char *)context, context_length, (int)n, &key) < 0)
		return no_session(L, o);
	push_text(L, &key);
	return 1;
}
