#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "_cgo_export.h"

static size_t handle_index(uint64_t handle) { return handle & 0xffffff; }

/* The handle that a Lua number stands for; 0 if it cannot be one. */
uint64_t handle_from(lua_Number n)
{
	if (!(n >= 1 && n < 9007199254740992.0) || n != (lua_Number)(uint64_t)n)
		return 0;
	return (uint64_t)n;
}

/* The live object of a handle, or NULL. */
struct object *find_object(const struct backend *b, uint64_t handle)
{
	size_t i = handle_index(handle);
	if (i == 0 || i > b->nobjects)
		return NULL;
	struct object *o = b->objects[i - 1];
	return o && o->handle == handle ? o : NULL;
}

/*
 * The object that argument arg stands for: NULL if it is closed, a Lua error
 * if it never was one of ours.
 */
struct object *check_object(lua_State *L, const struct backend *b, int arg)
{
	uint64_t handle = 0;
	if (lua_type(L, arg) == LUA_TTABLE) {
		lua_rawgeti(L, arg, 1);
		handle = lua_type(L, -1) == LUA_TNUMBER ? handle_from(lua_tonumber(L, -1)) : 0;
		lua_pop(L, 1);
	}
	if (handle == 0)
		luaL_argerror(L, arg, "connection, server or watch expected");
	return find_object(b, handle);
}

/* Pushes the Lua table of o; false, and nothing pushed, if o is NULL. */
bool push_object(lua_State *L, const struct backend *b, const struct object *o)
{
	if (o == NULL)
		return false;
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->objects_ref);
	lua_rawgeti(L, -1, (int)handle_index(o->handle));
	lua_remove(L, -2);
	return true;
}

void free_object(struct object *o)
{
	if (o)
		relay_free(o->relay);
	free(o);
}

static bool reserve_index(struct backend *b, size_t i)
{
	if (i <= b->nobjects)
		return true;
	size_t n = b->nobjects ? b->nobjects * 2 : 64;
	while (n < i)
		n *= 2;
	struct object **objects = realloc(b->objects, n * sizeof *objects);
	if (objects == NULL)
		return false;
	for (size_t j = b->nobjects; j < n; j++)
		objects[j] = NULL;
	b->objects = objects;
	b->nobjects = n;
	return true;
}

/* (handle) → the table of a new object, which the registry's `objects` has too. Raises without memory, having stored nothing. */
int object_build_table(lua_State *L)
{
	struct backend *b = lua_touserdata(L, lua_upvalueindex(1));
	uint64_t handle = handle_from(lua_tonumber(L, 1));
	lua_createtable(L, 1, 16);
	lua_insert(L, 1);
	lua_rawseti(L, 1, 1);
	lua_pushnumber(L, wall_clock());
	lua_setfield(L, 1, "created");
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->metatable_ref);
	lua_setmetatable(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->objects_ref);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, (int)handle_index(handle));
	lua_settop(L, 1);
	return 1;
}

/* Calls object_build_table; false, and an error message, if there is no memory. Neither pushes what could need any. */
static bool push_new_table(lua_State *L, const struct backend *b, uint64_t handle)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->build_table_ref);
	lua_pushnumber(L, (lua_Number)handle);
	return lua_pcall(L, 1, 1, 0) == LUA_OK;
}

/*
 * Pushes the Lua table of a new object and returns what C keeps of it; not
 * for long: whatever enters Lua, be it for memory, may close any object.
 * Raises, and releases the handle, if there is no memory. Whoever calls it is
 * to call object_made at its end.
 */
struct object *new_object(lua_State *L, struct backend *b, enum kind kind, const struct sgo_object *from)
{
	size_t i = handle_index(from->handle);
	struct object *o = calloc(1, sizeof *o);
	bool ready = o && reserve_index(b, i) && lua_checkstack(L, 8);
	if (!ready || !push_new_table(L, b, from->handle)) {
		free(o);
		sgo_release(b->io, from->handle);
		if (!ready)
			luaL_error(L, "not enough memory");
		lua_error(L);
	}
	*o = (struct object){.handle = from->handle, .kind = kind, .fd = from->fd, .datagram = from->datagram};
	b->objects[i - 1] = o;
	b->live++;
	b->unmade++;
	return o;
}

/* The object is complete: an error that its maker raises from now on does not end it. */
void object_made(struct backend *b, uint64_t handle)
{
	struct object *o = find_object(b, handle);
	if (o && !o->made) {
		o->made = true;
		b->unmade--;
	}
}

/* Destroys the objects whose makers raised before the end, for want of memory: nobody has them. */
void discard_unmade(lua_State *L, struct backend *b)
{
	int top = lua_gettop(L);
	for (size_t i = 0; b->unmade > 0 && i < b->nobjects; i++) {
		struct object *o = b->objects[i];
		if (o == NULL || o->made || !push_object(L, b, o))
			continue;
		o->foreign = false; /* the caller's socket stays the caller's */
		destroy_object(L, b, top + 1, o);
		lua_settop(L, top);
	}
}

/*
 * Ends the connection at which an error of ours, which is want of memory, left
 * the delivery of an event: nobody knows what it has been told of the event.
 */
void abandon_object(lua_State *L, struct backend *b, uint64_t handle)
{
	int top = lua_gettop(L);
	struct object *o = find_object(b, handle);
	if (!push_object(L, b, o))
		sgo_release(b->io, handle); /* accepted, and no object was made of it */
	else if (o->kind == CONNECTION || o->kind == RELAY)
		end_connection(L, b, top + 1, o, "an event could not be delivered");
	lua_settop(L, top);
}

/* Sets the fields `id`, eight characters behind prefix, and `log`. */
void set_id(lua_State *L, struct backend *b, int index, const char *prefix)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	/* splitmix64: distinct for each, and not in a visible order */
	uint64_t z = b->id_state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	char id[32];
	int n = snprintf(id, sizeof id - 8, "%s", prefix);
	for (int i = 0; i < 8; i++, z >>= 6)
		id[n + i] = digits[z & 63];
	id[n + 8] = 0;
	lua_pushstring(L, id);
	lua_setfield(L, index, "id");
	push_logger(L, b, id);
	lua_setfield(L, index, "log");
}

static void set_name(lua_State *L, int index, const struct sgo_name *name, const char *host, const char *port)
{
	if (name->known) {
		lua_pushstring(L, name->host);
		lua_setfield(L, index, host);
		lua_pushinteger(L, name->port);
		lua_setfield(L, index, port);
	}
}

/* Sets the fields with the names of both ends, as far as they are known. */
void set_names(lua_State *L, struct backend *b, int index, uint64_t handle)
{
	struct sgo_names names;
	sgo_names(b->io, handle, &names);
	set_name(L, index, &names.peer, "peername", "peerport");
	set_name(L, index, &names.local, "sockname", "sockport");
}

/* Sets the fields host and port from two texts; returns the one behind them. */
static const char *set_name_from(lua_State *L, int index, const char *text, const char *host, const char *port)
{
	const char *number = text + strlen(text) + 1;
	if (*number) {
		lua_pushstring(L, text);
		lua_setfield(L, index, host);
		lua_pushinteger(L, (lua_Integer)strtol(number, NULL, 10));
		lua_setfield(L, index, port);
	}
	return number + strlen(number) + 1;
}

/* The same from the text of an event. */
void set_names_from(lua_State *L, int index, const char *text)
{
	text = set_name_from(L, index, text, "peername", "peerport");
	set_name_from(L, index, text, "sockname", "sockport");
}

/* getfd() → descriptor, -1 once it is closed. */
int object_getfd(lua_State *L)
{
	struct object *o = check_object(L, backend(L), 1);
	lua_pushinteger(L, o ? o->fd : -1);
	return 1;
}

int object_tostring(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	int fd = o ? o->fd : -1;
	lua_settop(L, 1);
	lua_getfield(L, 1, "peername");
	lua_getfield(L, 1, "peerport");
	lua_getfield(L, 1, "sockname");
	lua_getfield(L, 1, "sockport");
	const char *peer = lua_tostring(L, 2), *local = lua_tostring(L, 4);
	int peerport = (int)lua_tointeger(L, 3), localport = (int)lua_tointeger(L, 5);
	if (peer && local)
		lua_pushfstring(L, "FD %d (%s, %d, %s, %d)", fd, peer, peerport, local, localport);
	else if (peer || local)
		lua_pushfstring(L, "FD %d (%s, %d)", fd, local ? local : peer, local ? localport : peerport);
	else
		lua_pushfstring(L, "FD %d", fd);
	return 1;
}

/* Takes the field conn away. A LuaSocket object is closed; with TLS it is below ours. */
static void drop_socket(lua_State *L, struct backend *b, int index, bool foreign, bool tls)
{
	lua_getfield(L, index, "conn");
	lua_pushnil(L);
	lua_setfield(L, index, "conn");
	if (!foreign) {
		lua_pop(L, 1);
		return;
	}
	if (tls) {
		lua_rawgeti(L, -1, 2);
		lua_remove(L, -2);
	}
	lua_getfield(L, -1, "close");
	lua_insert(L, -2);
	if (!call_protected(L, b, 1, 0))
		log_object(L, index, "debug", "Closing the socket failed: %s", 1);
}

/* Forgets o at once, without ondisconnect; its handle dies. The Lua table is at index. */
void destroy_object(lua_State *L, struct backend *b, int index, struct object *o)
{
	uint64_t handle = o->handle;
	enum kind kind = o->kind;
	bool foreign = o->foreign, tls = o->tls;
	if (o->relay)
		relay_stop_timers(L, b, o);
	b->objects[handle_index(handle) - 1] = NULL;
	b->live--;
	b->unmade -= !o->made;
	free_object(o);
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->objects_ref);
	lua_pushnil(L);
	lua_rawseti(L, -2, (int)handle_index(handle));
	lua_pop(L, 1);
	if (kind == CONNECTION)
		command_release(b, handle);
	else
		sgo_release(b->io, handle); /* the port is free when close() returns */
	if (kind != WATCH)
		drop_socket(L, b, index, foreign, tls);
}

/* (connection, pointer to the reason): calls ondisconnect. */
int object_disconnect(lua_State *L)
{
	struct backend *b = lua_touserdata(L, lua_upvalueindex(1));
	const char *reason = lua_touserdata(L, 2);
	lua_settop(L, 1);
	luaL_checkstack(L, 20, "ondisconnect");
	return call_disconnect(L, b, 1, reason) ? 0 : lua_error(L);
}

/* The same protected, so that no error, of memory for one, keeps a connection from being destroyed. */
static bool disconnect(lua_State *L, struct backend *b, int index, const char *reason)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->disconnect_ref);
	lua_pushvalue(L, index);
	if (reason)
		lua_pushlightuserdata(L, (void *)reason);
	else
		lua_pushnil(L);
	return lua_pcall(L, 2, 0, 0) == LUA_OK;
}

/* Fires ondisconnect, once, and destroys. reason may be NULL. */
void end_connection(lua_State *L, struct backend *b, int index, struct object *o, const char *reason)
{
	uint64_t handle = o->handle;
	if (o->ended)
		return;
	o->ended = true;
	bool ok = disconnect(L, b, index, reason);
	o = find_object(b, handle);
	if (o)
		destroy_object(L, b, index, o);
	if (!ok)
		lua_error(L);
}

static int write_after_close(lua_State *L) { return fail(L, "closed"); }

static bool output_unsent(struct backend *b, struct object *o)
{
	if (o->sent == o->written)
		return false;
	if (o->dirty || o->relay)
		return true; /* it is still in the log, or here */
	o->sent = sgo_sent(b->io, o->handle);
	return o->sent != o->written;
}

void close_object(lua_State *L, struct backend *b, int index, struct object *o)
{
	if (o->kind == SERVER || o->kind == WATCH) {
		destroy_object(L, b, index, o);
		return;
	}
	if (o->closing || o->ended)
		return;
	uint64_t handle = o->handle;
	bool unsent = output_unsent(b, o);
	if (unsent) {
		o->closing = true;
		if (o->relay)
			relay_finish(L, b, index, o);
		else
			command(b, o, SGO_FINISH);
	}
	lua_pushcfunction(L, write_after_close);
	lua_pushvalue(L, -1);
	lua_setfield(L, index, "write");
	lua_setfield(L, index, "send");
	log_object(L, index, "debug", unsent ? "Close after writing remaining buffered data" : "Closing now", 0);
	o = find_object(b, handle);
	if (o && !unsent)
		end_connection(L, b, index, o, NULL);
}

/* Argument checks that several functions share. */

/* The descriptor of the socket object at arg; negative if it is closed. */
int foreign_fd(lua_State *L, int arg)
{
	if (lua_type(L, arg) != LUA_TUSERDATA && lua_type(L, arg) != LUA_TTABLE)
		luaL_argerror(L, arg, "socket object expected");
	lua_getfield(L, arg, "getfd");
	if (lua_isnil(L, -1))
		luaL_argerror(L, arg, "socket object with the method getfd expected");
	lua_pushvalue(L, arg);
	lua_call(L, 1, 1);
	lua_Number fd = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
	lua_pop(L, 1);
	return fd >= 0 && fd <= INT32_MAX ? (int)fd : -1;
}

void check_listeners(lua_State *L, int arg)
{
	if (!lua_isnoneornil(L, arg))
		luaL_checktype(L, arg, LUA_TTABLE);
}

/* Whether there is a function at arg, or what can be called like one; nil and false are none, all else is an error. */
bool check_callable(lua_State *L, int arg)
{
	if (!lua_toboolean(L, arg))
		return false;
	if (lua_type(L, arg) != LUA_TFUNCTION) {
		if (!luaL_getmetafield(L, arg, "__call"))
			luaL_argerror(L, arg, "function expected");
		lua_pop(L, 1);
	}
	return true;
}

/* The read mode at index; errors name argument arg. */
int read_mode(lua_State *L, int arg, int index)
{
	if (lua_isnoneornil(L, index))
		return 0;
	if (lua_isnumber(L, index)) {
		lua_Number n = lua_tonumber(L, index);
		if (n >= 1)
			return n < INT32_MAX ? (int)n : INT32_MAX;
	} else if (lua_type(L, index) == LUA_TSTRING) {
		const char *mode = lua_tostring(L, index);
		mode += *mode == '*';
		if (*mode == 'a')
			return SGO_READ_ANY;
		if (*mode == 'l')
			return SGO_READ_LINES;
	}
	return luaL_argerror(L, arg, "read size: a positive number, \"*a\" or \"*l\" expected");
}

/* The port number at arg, or -1 for one that is none: Go names the error. */
int check_port(lua_State *L, int arg)
{
	lua_Number port = luaL_checknumber(L, arg);
	return port >= 0 && port <= 65535 && port == (int)port ? (int)port : -1;
}

/* The number of seconds at arg; it may be infinite or negative. */
double check_seconds(lua_State *L, int arg)
{
	double seconds = luaL_checknumber(L, arg);
	luaL_argcheck(L, seconds == seconds, arg, "a number of seconds expected, got NaN");
	return seconds;
}
