/*
 * Relays: connections that wrapclient makes of an object which is not a plain
 * LuaSocket socket, but one of LuaSec's or a table with a socket's methods
 * (mod_inotify_reload). Only the object knows what its bytes mean, so the I/O
 * side does no more than poll its descriptor, as for a watch. Everything is
 * read and written on the Lua thread by the object's own receive and send, in
 * the steps of server_epoll.lua.
 */
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "relay.h"

const char relay_tls_error[] = "TLS needs a LuaSocket socket";

/*
 * Whether the value at index is one of LuaSocket's own sockets. Its metatable
 * tells, because no table and no other library's object can have it.
 */
bool is_luasocket(lua_State *L, int index)
{
	static const char *const classes[] = {
		"tcp{master}", "tcp{client}", "tcp{server}", "udp{connected}", "udp{unconnected}",
		"unix{master}", "unix{client}", "unix{server}", /* up to LuaSocket 3.0-rc1 */
		"unixstream{master}", "unixstream{client}", "unixstream{server}",
		"unixdgram{connected}", "unixdgram{unconnected}",
	};
	bool is = false;
	if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
		return false;
	for (size_t i = 0; !is && i < sizeof classes / sizeof *classes; i++) {
		lua_getfield(L, LUA_REGISTRYINDEX, classes[i]);
		is = lua_rawequal(L, -1, -2);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return is;
}

/* Makes o, which is new, a relay. False without memory. */
bool relay_init(struct object *o)
{
	struct stat status;
	o->relay = calloc(1, sizeof *o->relay);
	if (o->relay == NULL)
		return false;
	o->relay->is_socket = fstat(o->fd, &status) == 0 && S_ISSOCK(status.st_mode);
	o->flags = 3;
	return true;
}

void relay_free(struct relay *r)
{
	if (r)
		buffer_free(&r->output);
	free(r);
}

/* The relay at argument 1 if it is still alive, or NULL. */
struct object *live_relay(lua_State *L, struct backend *b)
{
	struct object *o = check_object(L, b, 1);
	return o && o->relay && !o->ended ? o : NULL;
}

/* Polls for more, and for less: bit 0 readable, bit 1 writable. */
void relay_watch(struct backend *b, struct object *o, uint32_t more, uint32_t less)
{
	uint32_t flags = (o->flags | more) & ~less;
	if (flags == o->flags)
		return;
	o->flags = flags;
	command_number(b, o, SGO_WATCH_FLAGS, flags);
}

/* The object's methods. */

/* Pushes a method of the object and the object itself; false, and nothing pushed, if it has no such method. */
bool relay_push_method(lua_State *L, const char *name)
{
	lua_getfield(L, 1, "conn");
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return false;
	}
	lua_getfield(L, -1, name);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 2);
		return false;
	}
	lua_insert(L, -2);
	return true;
}

/* Whether the object has input in a buffer of its own, which polling does not show. */
bool relay_is_dirty(lua_State *L, struct backend *b)
{
	if (!relay_push_method(L, "dirty"))
		return false;
	bool dirty = call_protected(L, b, 1, 1) && lua_toboolean(L, -1);
	lua_pop(L, 1);
	return dirty;
}

static void set_name(lua_State *L, struct backend *b, const char *method, const char *host, const char *port)
{
	int top = lua_gettop(L);
	if (relay_push_method(L, method) && call_protected(L, b, 1, 2) && lua_toboolean(L, -2)) {
		if (!lua_toboolean(L, -1)) {
			lua_pop(L, 1);
			lua_pushinteger(L, 0);
		}
		lua_setfield(L, 1, port);
		lua_setfield(L, 1, host);
	}
	lua_settop(L, top);
}

/* Sets the fields with the names of both ends, as far as the object knows them. */
void relay_update_names(lua_State *L, struct backend *b)
{
	set_name(L, b, "getpeername", "peername", "peerport");
	set_name(L, b, "getsockname", "sockname", "sockport");
}

/* Timers. Their functions have the connection's table at argument 3. */

void relay_stop_timer(lua_State *L, struct backend *b, struct object *o, enum relay_timer timer)
{
	timer_cancel(L, b, o->relay->timers[timer]);
	o->relay->timers[timer] = 0;
}

void relay_stop_timers(lua_State *L, struct backend *b, struct object *o)
{
	for (int i = 0; i < RELAY_TIMERS; i++)
		relay_stop_timer(L, b, o, i);
}

/* Has f called after so many seconds, for the connection's table at index; negative or infinite: never. */
static void start_timer(lua_State *L, struct backend *b, int index, enum relay_timer timer, double seconds, lua_CFunction f)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushcclosure(L, f, 1);
	struct object *o = check_object(L, b, index);
	if (o && o->relay) {
		relay_stop_timer(L, b, o, timer);
		if (seconds >= 0 && seconds < HUGE_VAL)
			o->relay->timers[timer] = timer_start(L, b, seconds, lua_gettop(L), index);
	}
	lua_pop(L, 1);
}

/* Leaves only the connection's table on the stack, at index 1. */
static struct object *timed_relay(lua_State *L, struct backend *b)
{
	lua_settop(L, 3);
	lua_replace(L, 1);
	lua_settop(L, 1);
	return live_relay(L, b);
}

static int read_timed_out(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = timed_relay(L, b);
	if (o == NULL || o->closing)
		return 0;
	lua_pushvalue(L, 1);
	call_listener(L, b, "onreadtimeout", 0);
	if (lua_toboolean(L, -1)) {
		lua_pushnumber(L, b->settings.read_timeout); /* until the next */
		return 1;
	}
	log_object(L, 1, "debug", "Read timeout not handled, disconnecting", 0);
	o = live_relay(L, b);
	if (o)
		end_connection(L, b, 1, o, "read timeout");
	return 0;
}

static int write_timed_out(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = timed_relay(L, b);
	if (o)
		end_connection(L, b, 1, o, o->connected ? "write timeout" : "connection timeout");
	return 0;
}

void relay_expect_input(lua_State *L, struct backend *b, double seconds)
{
	start_timer(L, b, 1, READ_TIMER, seconds, read_timed_out);
}

void relay_expect_output_taken(lua_State *L, struct backend *b, int index, double seconds)
{
	start_timer(L, b, index, WRITE_TIMER, seconds, write_timed_out);
}

static int go_on_reading(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = timed_relay(L, b);
	if (o == NULL || o->closing)
		return 0;
	relay_watch(b, o, 1, 0);
	if (relay_is_dirty(L, b))
		relay_onreadable(L);
	else
		relay_expect_more_input(L, b);
	return 0;
}

/* Does not read for so many seconds. */
void relay_pause_for(lua_State *L, struct backend *b, double seconds)
{
	struct object *o = live_relay(L, b);
	if (o == NULL || o->closing)
		return;
	relay_watch(b, o, 0, 1);
	start_timer(L, b, 1, PAUSE_TIMER, seconds, go_on_reading);
}

/* The connection at index is complete. */
void relay_start(lua_State *L, struct backend *b, int index)
{
	struct object *o = check_object(L, b, index);
	if (o && o->relay && o->relay->is_socket)
		relay_expect_output_taken(L, b, index, b->settings.connect_timeout);
}

/* close() was called with output unsent: sending it is all that remains to be done. */
void relay_finish(lua_State *L, struct backend *b, int index, struct object *o)
{
	o->held = false;
	relay_watch(b, o, 2, 1);
	relay_stop_timer(L, b, o, READ_TIMER);
	relay_stop_timer(L, b, o, PAUSE_TIMER);
	relay_expect_output_taken(L, b, index, b->settings.send_timeout);
}
