/* Functions that make servers and connections, and link. */
#include "backend.h"
#include "_cgo_export.h"

/* The read mode in the configuration at index config, which may be nil. */
static int configured_read_mode(lua_State *L, int config)
{
	if (lua_isnoneornil(L, config))
		return 0;
	luaL_checktype(L, config, LUA_TTABLE);
	lua_getfield(L, config, "read_size");
	int mode = read_mode(L, config, lua_gettop(L));
	lua_pop(L, 1);
	return mode;
}

/* For direct TLS: whether there is a context that can be used; pushes the reason if not. */
static bool check_server_tls(lua_State *L, struct backend *b, int config)
{
	if (lua_isnoneornil(L, config))
		return true;
	lua_getfield(L, config, "tls_direct");
	lua_getfield(L, config, "tls_ctx");
	bool direct = lua_toboolean(L, -2);
	if (direct && !check_context(L, b, lua_gettop(L)))
		return false;
	lua_pop(L, 2);
	return true;
}

/*
 * Pushes a server. At index addr: address, port, listeners, configuration;
 * at index socket, unless that is 0, the LuaSocket object.
 */
static int push_server(lua_State *L, struct backend *b, const struct sgo_object *from, int addr, int socket)
{
	static const char *const fields[][2] = {
		{"read_size", "read_size"}, {"tls_ctx", "tls_ctx"}, {"tls_direct", "tls_direct"}, {"sni_hosts", "hosts"},
	};
	struct object *o = new_object(L, b, SERVER, from);
	int server = lua_gettop(L);
	for (size_t i = 0; !lua_isnil(L, addr + 3) && i < sizeof fields / sizeof *fields; i++) {
		lua_getfield(L, addr + 3, fields[i][0]);
		lua_setfield(L, server, fields[i][1]);
	}
	lua_pushvalue(L, addr);
	lua_setfield(L, server, "sockname");
	lua_pushvalue(L, addr + 1);
	lua_setfield(L, server, "sockport");
	lua_pushvalue(L, addr + 2);
	lua_setfield(L, server, "listeners");
	if (socket)
		lua_pushvalue(L, socket);
	else
		push_socket(L, b, o->handle);
	lua_setfield(L, server, "conn");
	set_id(L, b, server, "serv");
	lua_pushvalue(L, server);
	log_object(L, server, "debug", "Server %s created", 1);
	return 1;
}

/* listen(addr, port, listeners, config) → server, or nil and a reason. */
static int api_listen(lua_State *L)
{
	struct backend *b = backend(L);
	size_t length;
	const char *addr = luaL_checklstring(L, 1, &length);
	int port = check_port(L, 2);
	check_listeners(L, 3);
	int mode = configured_read_mode(L, 4);
	lua_settop(L, 4);
	if (!check_server_tls(L, b, 4))
		return fail(L, lua_tostring(L, -1));
	struct sgo_object opened;
	struct sgo_error err;
	if (sgo_listen(b->io, (char *)addr, length, port, mode, &opened, &err) < 0)
		return fail(L, err.text);
	return push_server(L, b, &opened, 1, 0);
}

/* addserver(addr, port, listeners, read_size, tls_ctx): the older way to call listen. */
static int api_addserver(lua_State *L)
{
	read_mode(L, 4, 4);
	lua_settop(L, 5);
	lua_createtable(L, 0, 3);
	lua_pushvalue(L, 4);
	lua_setfield(L, 6, "read_size");
	lua_pushvalue(L, 5);
	lua_setfield(L, 6, "tls_ctx");
	lua_pushboolean(L, lua_toboolean(L, 5));
	lua_setfield(L, 6, "tls_direct");
	lua_replace(L, 4);
	return api_listen(L);
}

/* wrapserver(socket, addr, port, listeners, config) → server. */
static int api_wrapserver(lua_State *L)
{
	struct backend *b = backend(L);
	int fd = foreign_fd(L, 1);
	check_listeners(L, 4);
	int mode = configured_read_mode(L, 5);
	lua_settop(L, 5);
	if (!check_server_tls(L, b, 5))
		return fail(L, lua_tostring(L, -1));
	struct sgo_object opened;
	struct sgo_error err;
	if (sgo_serve(b->io, fd, mode, &opened, &err) < 0)
		return fail(L, err.text);
	return push_server(L, b, &opened, 2, 1);
}

/* Sets the fields that outgoing and adopted connections have in common. The arguments start at addr. */
static void set_client_fields(lua_State *L, struct backend *b, int client, int addr, int extra, const struct object *o)
{
	lua_pushvalue(L, addr + 2);
	lua_setfield(L, client, "listeners");
	lua_pushvalue(L, addr + 3);
	lua_setfield(L, client, "read_size");
	lua_pushvalue(L, addr + 4);
	lua_setfield(L, client, "tls_ctx");
	lua_pushvalue(L, extra);
	lua_setfield(L, client, "extra");
	if (!lua_isnil(L, extra)) {
		lua_getfield(L, extra, "servername"); /* extra may have a metatable */
		lua_setfield(L, client, "servername");
	}
	set_id(L, b, client, "conn");
	set_names(L, b, client, o);
	lua_getfield(L, client, "peername");
	if (lua_isnil(L, -1)) { /* not known before it is connected */
		lua_pushvalue(L, addr);
		lua_setfield(L, client, "peername");
		lua_pushvalue(L, addr + 1);
		lua_setfield(L, client, "peerport");
	}
	lua_pop(L, 1);
}

static void check_extra(lua_State *L, int arg)
{
	if (!lua_isnoneornil(L, arg))
		luaL_checktype(L, arg, LUA_TTABLE);
}

/*
 * addclient(addr, port, listeners, read_size, tls_ctx, typ, extra)
 * → connection, socket object; or nil and a reason.
 */
static int api_addclient(lua_State *L)
{
	struct backend *b = backend(L);
	size_t length, kind_length;
	const char *addr = luaL_checklstring(L, 1, &length);
	int port = check_port(L, 2);
	check_listeners(L, 3);
	int mode = read_mode(L, 4, 4);
	const char *kind = luaL_optlstring(L, 6, "", &kind_length);
	check_extra(L, 7);
	lua_settop(L, 7);
	if (lua_toboolean(L, 5) && !check_context(L, b, 5))
		return fail(L, lua_tostring(L, -1));
	struct sgo_object opened;
	struct sgo_error err;
	if (sgo_dial(b->io, (char *)addr, length, port, (char *)kind, kind_length, mode, &opened, &err) < 0)
		return fail(L, err.text);
	struct object *o = new_object(L, b, CONNECTION, &opened);
	set_client_fields(L, b, 8, 1, 7, o);
	push_socket(L, b, opened.handle);
	lua_pushvalue(L, -1);
	lua_setfield(L, 8, "conn");
	lua_pushvalue(L, 8);
	log_object(L, 8, "debug", "Client %s created", 1);
	if (lua_toboolean(L, 5))
		start_tls(L, b, 8, o, true);
	return 2;
}

/* wrapclient(socket, addr, port, listeners, read_size, tls_ctx, extra) → connection, or nil and a reason. */
static int api_wrapclient(lua_State *L)
{
	struct backend *b = backend(L);
	int fd = foreign_fd(L, 1);
	check_listeners(L, 4);
	int mode = read_mode(L, 5, 5);
	check_extra(L, 7);
	lua_settop(L, 7);
	if (lua_toboolean(L, 6) && !check_context(L, b, 6))
		return fail(L, lua_tostring(L, -1));
	struct sgo_object opened;
	struct sgo_error err;
	if (sgo_adopt(b->io, fd, mode, &opened, &err) < 0)
		return fail(L, err.text);
	struct object *o = new_object(L, b, CONNECTION, &opened);
	set_client_fields(L, b, 8, 2, 7, o);
	lua_pushvalue(L, 1);
	lua_setfield(L, 8, "conn");
	if (lua_toboolean(L, 6))
		start_tls(L, b, 8, o, true);
	return 1;
}

/* Calls method of the connection at index with the argument at the top, if there is one. */
static void call_method(lua_State *L, int index, const char *method, int nargs)
{
	lua_getfield(L, index, method);
	lua_insert(L, -nargs - 1);
	lua_pushvalue(L, index);
	lua_insert(L, -nargs - 1);
	lua_call(L, nargs + 1, 0);
}

/* from:onincoming(data) of a link; its second upvalue is `to`. */
static int link_onincoming(lua_State *L)
{
	backend(L);
	lua_settop(L, 2);
	lua_pushvalue(L, lua_upvalueindex(2));
	call_method(L, 1, "pause", 0);
	lua_pushvalue(L, 2);
	call_method(L, 3, "write", 1);
	return 0;
}

/* to:ondrain() of a link; its second upvalue is `from`. */
static int link_ondrain(lua_State *L)
{
	backend(L);
	lua_settop(L, 0);
	lua_pushvalue(L, lua_upvalueindex(2));
	call_method(L, 1, "resume", 0);
	return 0;
}

static void set_link_callback(lua_State *L, int index, const char *field, lua_CFunction f, int other)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushvalue(L, other);
	lua_pushcclosure(L, f, 2);
	lua_setfield(L, index, field);
}

/* link(from, to, read_size): everything that from receives is written to `to`. */
static int api_link(lua_State *L)
{
	struct backend *b = backend(L);
	check_object(L, b, 1);
	check_object(L, b, 2);
	read_mode(L, 3, 3);
	lua_settop(L, 3);
	lua_getfield(L, 2, "id");
	log_object(L, 1, "debug", "Linking to %s", 1);
	set_link_callback(L, 1, "onincoming", link_onincoming, 2);
	set_link_callback(L, 2, "ondrain", link_ondrain, 1);
	call_method(L, 1, "set_mode", 1);
	lua_pushboolean(L, true);
	call_method(L, 1, "set", 1);
	lua_pushnil(L);
	lua_pushboolean(L, true);
	call_method(L, 2, "set", 2);
	return 0;
}

const luaL_Reg open_functions[] = {
	{"addclient", api_addclient},
	{"addserver", api_addserver},
	{"link", api_link},
	{"listen", api_listen},
	{"wrapclient", api_wrapclient},
	{"wrapserver", api_wrapserver},
	{NULL, NULL}
};
