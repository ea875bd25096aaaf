/*
 * What conn:socket() is where no LuaSocket object exists: connections that
 * the backend accepted or dialled, and ports that it opened. It has the
 * methods of LuaSocket that make sense beside a running loop; callers test
 * for any other, and find nil.
 */
#include "backend.h"
#include "_cgo_export.h"

static void push_with_metatable(lua_State *L, uint64_t handle, int metatable_ref)
{
	lua_createtable(L, 1, 0);
	lua_pushnumber(L, (lua_Number)handle);
	lua_rawseti(L, -2, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, metatable_ref);
	lua_setmetatable(L, -2);
}

void push_socket(lua_State *L, struct backend *b, uint64_t handle)
{
	push_with_metatable(L, handle, b->socket_metatable_ref);
}

/* The same with TLS: callers tell by the methods, as with LuaSec's sockets. */
void push_tls_socket(lua_State *L, struct backend *b, uint64_t handle)
{
	push_with_metatable(L, handle, b->tls_socket_metatable_ref);
	lua_pushnumber(L, monotonic_clock());
	lua_rawseti(L, -2, 3); /* for getstats; 2 is the socket below, if any */
}

/* Calls the method of the connection behind argument 1 with the same arguments. */
static int forward(lua_State *L, const char *method)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (!push_object(L, b, o))
		return fail(L, "closed");
	lua_replace(L, 1);
	lua_getfield(L, 1, method);
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

static int socket_send(lua_State *L) { return forward(L, "write"); }
static int socket_close(lua_State *L) { return forward(L, "close"); }
static int socket_setoption(lua_State *L) { return forward(L, "setoption"); }

/* The loop is the only reader; whatever arrives goes to onincoming. */
static int socket_receive(lua_State *L)
{
	return fail(L, check_object(L, backend(L), 1) ? "timeout" : "closed");
}

/* Sockets here never block. */
static int socket_settimeout(lua_State *L)
{
	check_object(L, backend(L), 1);
	lua_pushinteger(L, 1);
	return 1;
}

static int socket_dirty(lua_State *L)
{
	check_object(L, backend(L), 1);
	lua_pushboolean(L, false);
	return 1;
}

static int push_end(lua_State *L, bool peer)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (o == NULL)
		return fail(L, "closed");
	struct sgo_names names;
	sgo_names(b->io, o->handle, &names);
	const struct sgo_name *name = peer ? &names.peer : &names.local;
	if (!name->known)
		return fail(L, "Transport endpoint is not connected");
	lua_pushstring(L, name->host);
	lua_pushinteger(L, name->port);
	return 2;
}

static int socket_getpeername(lua_State *L) { return push_end(L, true); }
static int socket_getsockname(lua_State *L) { return push_end(L, false); }

/* want() → what LuaSec's would wait for: "write" while there is output, otherwise "read"; "nothing" after the end. */
static int tls_socket_want(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	bool unsent = o && sgo_sent(b->io, o->handle) != o->written;
	lua_pushstring(L, unsent ? "write" : o ? "read" : "nothing");
	return 1;
}

/* getstats() → bytes received and sent over TLS, and the socket's age in seconds. */
static int tls_socket_getstats(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (o == NULL)
		return fail(L, "closed");
	lua_Number received = (lua_Number)(o->received - o->tls_received);
	uint64_t sent = sgo_sent(b->io, o->handle);
	lua_pushnumber(L, received);
	lua_pushnumber(L, sent > o->tls_written ? (lua_Number)(sent - o->tls_written) : 0);
	lua_rawgeti(L, 1, 3);
	lua_pushnumber(L, monotonic_clock() - lua_tonumber(L, -1));
	lua_remove(L, -2);
	return 3;
}

#define SOCKET_METHODS \
	{"close", socket_close}, \
	{"dirty", socket_dirty}, \
	{"getfd", object_getfd}, \
	{"getpeername", socket_getpeername}, \
	{"getsockname", socket_getsockname}, \
	{"receive", socket_receive}, \
	{"send", socket_send}, \
	{"setoption", socket_setoption}, \
	{"settimeout", socket_settimeout}

const luaL_Reg socket_methods[] = {
	SOCKET_METHODS,
	{NULL, NULL}
};

const luaL_Reg tls_socket_methods[] = {
	SOCKET_METHODS,
	{"exportkeyingmaterial", tls_exportkeyingmaterial},
	{"getalpn", tls_alpn},
	{"getfinished", tls_finished},
	{"getpeercertificate", tls_peercertificate},
	{"getpeerchain", tls_peerchain},
	{"getpeerfinished", tls_peerfinished},
	{"getpeerverification", tls_peerverification},
	{"getsniname", tls_sniname},
	{"getstats", tls_socket_getstats},
	{"info", tls_info},
	{"want", tls_socket_want},
	{NULL, NULL}
};
