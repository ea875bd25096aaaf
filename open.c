/* Functions that make servers and connections, and link. */
#include "backend.h"
#include "_cgo_export.h"

/*
 * Everything that is to be read from a caller's table is read before the
 * object exists: it may have a metatable, which may raise, or close things.
 */

/* Pushes the fields of the configuration at index config: read_size, tls_ctx, tls_direct, sni_hosts. */
static void push_configuration(lua_State *L, int config)
{
	static const char *const fields[] = {"read_size", "tls_ctx", "tls_direct", "sni_hosts"};
	if (!lua_isnil(L, config))
		luaL_checktype(L, config, LUA_TTABLE);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		if (lua_isnil(L, config))
			lua_pushnil(L);
		else
			lua_getfield(L, config, fields[i]);
	}
}

/* Returns nil, reason, and logs it: the caller may well not look. */
static int refuse(lua_State *L, struct backend *b, const char *function, const char *reason)
{
	lua_pushstring(L, function);
	lua_pushstring(L, reason);
	log_backend(L, b, "error", "%s: %s", 2);
	return fail(L, reason);
}

static void set_field(lua_State *L, int index, const char *name, int value)
{
	lua_pushvalue(L, value);
	lua_setfield(L, index, name);
}

/*
 * Pushes a server. At index addr: address, port, listeners, configuration and
 * its fields; at index socket, unless that is 0, the LuaSocket object.
 */
static int push_server(lua_State *L, struct backend *b, const struct sgo_object *from, int addr, int socket)
{
	new_object(L, b, SERVER, from)->foreign = socket != 0;
	int server = lua_gettop(L);
	set_field(L, server, "sockname", addr);
	set_field(L, server, "sockport", addr + 1);
	set_field(L, server, "listeners", addr + 2);
	set_field(L, server, "read_size", addr + 4);
	set_field(L, server, "tls_ctx", addr + 5);
	set_field(L, server, "tls_direct", addr + 6);
	set_field(L, server, "hosts", addr + 7);
	if (socket)
		lua_pushvalue(L, socket);
	else
		push_socket(L, b, from->handle);
	lua_setfield(L, server, "conn");
	set_id(L, b, server, "serv");
	lua_pushvalue(L, server);
	log_object(L, server, "debug", "Server %s created", 1);
	object_made(b, from->handle);
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
	lua_settop(L, 4);
	push_configuration(L, 4);
	int mode = read_mode(L, 4, 5);
	if (lua_toboolean(L, 7) && !check_context(L, b, 6))
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

/* wrapserver(socket, addr, port, listeners, config) → server, or nil and a reason. */
static int api_wrapserver(lua_State *L)
{
	struct backend *b = backend(L);
	int fd = foreign_fd(L, 1);
	check_listeners(L, 4);
	lua_settop(L, 5);
	push_configuration(L, 5);
	int mode = read_mode(L, 5, 6);
	if (!is_luasocket(L, 1))
		return refuse(L, b, "wrapserver", "only a LuaSocket socket can be served");
	if (lua_toboolean(L, 8) && !check_context(L, b, 7))
		return fail(L, lua_tostring(L, -1));
	struct sgo_object opened;
	struct sgo_error err;
	if (sgo_serve(b->io, fd, mode, &opened, &err) < 0)
		return fail(L, err.text);
	return push_server(L, b, &opened, 2, 1);
}

/* Checks the argument extra and pushes its field servername. It may have a metatable. */
static void push_servername(lua_State *L, int extra)
{
	if (lua_isnil(L, extra)) {
		lua_pushnil(L);
		return;
	}
	luaL_checktype(L, extra, LUA_TTABLE);
	lua_getfield(L, extra, "servername");
}

/*
 * Pushes an outgoing or adopted connection. At index addr: address, port,
 * listeners, read_size, tls_ctx; at index 7 extra, at 8 its servername.
 */
static void push_client(lua_State *L, struct backend *b, enum kind kind, const struct sgo_object *from, int addr)
{
	struct object *o = new_object(L, b, kind, from);
	int client = lua_gettop(L);
	if (kind == RELAY && !relay_init(o)) {
		destroy_object(L, b, client, o);
		luaL_error(L, "not enough memory");
	}
	set_field(L, client, "listeners", addr + 2);
	set_field(L, client, "read_size", addr + 3);
	set_field(L, client, "tls_ctx", addr + 4);
	set_field(L, client, "extra", 7);
	set_field(L, client, "servername", 8);
	set_id(L, b, client, "conn");
	set_names(L, b, client, from->handle);
	lua_getfield(L, client, "peername");
	if (lua_isnil(L, -1)) { /* not known before it is connected */
		set_field(L, client, "peername", addr);
		set_field(L, client, "peerport", addr + 1);
	}
	lua_pop(L, 1);
}

/* Lets the I/O side begin, with TLS if there is a context at index context. */
static void start_client(lua_State *L, struct backend *b, int client, uint64_t handle, int context)
{
	struct object *o = find_object(b, handle);
	if (o && lua_toboolean(L, context))
		start_tls(L, b, client, o, true);
	o = find_object(b, handle);
	if (o)
		command(b, o, SGO_START);
	object_made(b, handle);
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
	lua_settop(L, 7);
	push_servername(L, 7);
	if (lua_toboolean(L, 5) && !check_context(L, b, 5))
		return fail(L, lua_tostring(L, -1));
	struct sgo_object opened;
	struct sgo_error err;
	if (sgo_dial(b->io, (char *)addr, length, port, (char *)kind, kind_length, mode, &opened, &err) < 0)
		return fail(L, err.text);
	push_client(L, b, CONNECTION, &opened, 1);
	push_socket(L, b, opened.handle);
	set_field(L, 9, "conn", 10);
	lua_pushvalue(L, 9);
	log_object(L, 9, "debug", "Client %s created", 1);
	start_client(L, b, 9, opened.handle, 5);
	return 2;
}

/* The socket object at argument 1 belongs to the connection at index 9 from now on. */
static void set_conn(lua_State *L, struct backend *b, uint64_t handle)
{
	set_field(L, 9, "conn", 1);
	struct object *o = find_object(b, handle);
	if (o)
		o->foreign = true;
}

/* wrapclient of an object that is no LuaSocket socket: its own methods go on being used. */
static int wrap_object(lua_State *L, struct backend *b, int fd)
{
	struct sgo_object opened = {0};
	struct sgo_error err;
	if (lua_toboolean(L, 6))
		return refuse(L, b, "wrapclient", relay_tls_error);
	lua_getfield(L, 1, "receive");
	if (lua_isnil(L, -1))
		return refuse(L, b, "wrapclient", "socket object with the method receive expected");
	lua_getfield(L, 1, "settimeout");
	if (!lua_isnil(L, -1)) {
		lua_pushvalue(L, 1);
		lua_pushinteger(L, 0);
		lua_call(L, 2, 0); /* it must not block */
	}
	lua_settop(L, 8);
	int status = sgo_watch(b->io, fd, 3, &opened, &err);
	if (status < 0) {
		sgo_release(b->io, opened.handle);
		return fail(L, fd < 0 ? "invalid fd" : err.text);
	}
	push_client(L, b, RELAY, &opened, 2);
	set_conn(L, b, opened.handle);
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->relay_metatable_ref);
	lua_setmetatable(L, 9);
	relay_start(L, b, 9);
	object_made(b, opened.handle);
	return 1;
}

/* wrapclient(socket, addr, port, listeners, read_size, tls_ctx, extra) → connection, or nil and a reason. */
static int api_wrapclient(lua_State *L)
{
	struct backend *b = backend(L);
	int fd = foreign_fd(L, 1);
	check_listeners(L, 4);
	int mode = read_mode(L, 5, 5);
	lua_settop(L, 7);
	push_servername(L, 7);
	if (!is_luasocket(L, 1))
		return wrap_object(L, b, fd);
	if (lua_toboolean(L, 6) && !check_context(L, b, 6))
		return fail(L, lua_tostring(L, -1));
	struct sgo_object opened;
	struct sgo_error err;
	if (sgo_adopt(b->io, fd, mode, &opened, &err) < 0)
		return fail(L, err.text);
	push_client(L, b, CONNECTION, &opened, 2);
	set_conn(L, b, opened.handle);
	start_client(L, b, 9, opened.handle, 6);
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
