/* TLS on a connection: starttls, SNI and ALPN, the end of the handshake. */
#include <string.h>

#include "backend.h"
#include "_cgo_export.h"

/* Pushes the named field of the table at index, if it is a table that is not empty; otherwise nil. */
static void push_filled(lua_State *L, int index, const char *name)
{
	if (lua_istable(L, index)) {
		lua_getfield(L, index, name);
		if (lua_istable(L, -1)) {
			lua_pushnil(L);
			if (lua_next(L, -2)) {
				lua_pop(L, 2);
				return;
			}
		}
		lua_pop(L, 1);
	}
	lua_pushnil(L);
}

/*
 * Pushes the table of the names that the connection's port answers to by SNI:
 * server.hosts or, where Prosody 13 leaves that empty, the context's own.
 * Pushes nil if there are none.
 */
static void push_hosts(lua_State *L, int connection)
{
	lua_getfield(L, connection, "_server");
	push_filled(L, lua_gettop(L), "hosts");
	lua_remove(L, -2);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_getfield(L, connection, "tls_ctx");
	push_filled(L, lua_gettop(L), "_sni_contexts");
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
	sgo_enable_dane(b->io, handle, (char *)name, length); /* without records the name counts, too */
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
			sgo_add_tlsa(b->io, handle, tlsa_field(L, "use"), tlsa_field(L, "select"), tlsa_field(L, "match"),
				(char *)data, data_length);
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
	lua_pushboolean(L, false);
	lua_setfield(L, connection, "starttls");
	lua_getfield(L, connection, "tls_ctx");
	struct context *c = push_context(L, b, top + 1);
	struct sgo_secure start = {.context = c ? c->id : 0, .flags = direct ? SGO_START_DIRECT : 0};
	if (c) {
		keep_context(L, connection);
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
	/* Only now, for all of the above may raise: both sides agree on what is TLS. */
	o = find_object(b, handle);
	if (o && !o->tls_started) {
		o->blocked = o->paused = o->unwatched = false;
		o->tls_started = true;
		o->tls_written = o->written;
		o->tls_received = o->received;
		if (!command_secure(b, o, SGO_START_TLS, &start, text ? text : ""))
			end_connection(L, b, connection, o, "not enough memory");
	}
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
	lua_pushlstring(L, ev->bytes, ev->length); /* its own: what is called below may run the loop */
	const char *hello = lua_tostring(L, -1);
	size_t name_length = strlen(hello);
	size_t length = 0;
	const char *protocol = "";
	push_hosts(L, connection);
	int hosts = lua_gettop(L);
	lua_pushlstring(L, hello, name_length);
	if (lua_istable(L, hosts) && name_length > 0)
		lua_gettable(L, hosts); /* unknown: nil, refused */
	else
		lua_getfield(L, connection, "tls_ctx");
	struct context *c = lua_isnil(L, -1) ? NULL : push_context(L, b, lua_gettop(L));
	if (c) {
		keep_context(L, connection);
		answer.context = c->id;
		const char *protocols = hello + name_length + 1, *end = hello + ev->length;
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

/* The handshake is complete. */
void deliver_secured(lua_State *L, struct backend *b, int connection, struct object *o, const struct sgo_event *ev)
{
	uint64_t handle = o->handle;
	lua_pushlstring(L, ev->bytes, ev->length); /* its own, as above */
	const char *protocol = lua_tostring(L, -1);
	lua_pushstring(L, protocol);
	lua_pushstring(L, protocol + strlen(protocol) + 1);
	log_object(L, connection, "debug", "TLS handshake complete (%s with %s)", 2);
	push_tls_socket(L, b, handle);
	lua_getfield(L, connection, "conn");
	lua_rawseti(L, -2, 2); /* a LuaSocket object below is closed with it */
	lua_setfield(L, connection, "conn");
	lua_pushvalue(L, connection);
	lua_pushliteral(L, "ssl-handshake-complete");
	call_listener(L, b, "onstatus", 1);
	lua_pop(L, 1);
}
