/* Reading and writing through the methods of a relay's object. */
#include <string.h>

#include "relay.h"

/* The most that send is given at once. */
#define SEND_AT_ONCE (64 << 10)

/* Ends the connection, because a method raised the error at the top. */
static void method_failed(lua_State *L, struct backend *b, const char *name)
{
	lua_pushstring(L, name);
	lua_insert(L, -2);
	log_object(L, 1, "error", "Error calling %s of the socket object: %s", 2);
	struct object *o = live_relay(L, b);
	if (o)
		end_connection(L, b, 1, o, "error in socket object");
}

/* From now on within read_timeout, if the object is a socket. */
void relay_expect_more_input(lua_State *L, struct backend *b)
{
	struct object *o = live_relay(L, b);
	if (o && o->relay->is_socket && !o->closing)
		relay_expect_input(L, b, b->settings.read_timeout);
}

/* The descriptor is ready for the first time: fires onconnect. False if the connection is gone. */
static bool connected(lua_State *L, struct backend *b)
{
	struct object *o = live_relay(L, b);
	if (o == NULL || o->connected)
		return o != NULL;
	o->connected = true;
	if (o->sent == o->written)
		relay_stop_timer(L, b, o, WRITE_TIMER);
	relay_update_names(L, b);
	relay_expect_more_input(L, b);
	lua_pushvalue(L, 1);
	log_object(L, 1, "debug", "Connected (%s)", 1);
	lua_pushvalue(L, 1);
	call_listener(L, b, "onconnect", 0);
	lua_pop(L, 1);
	return live_relay(L, b) != NULL;
}

/* Reading. The results of receive are at 2, 3 and 4: data; or nil, an error, and what came before it. */

static size_t string_length(lua_State *L, int index)
{
	return lua_type(L, index) == LUA_TSTRING ? lua_objlen(L, index) : 0;
}

/* Hands the data to the listener, or a part and the error. */
static void incoming(lua_State *L, struct backend *b, bool whole)
{
	struct object *o = live_relay(L, b);
	if (o == NULL || o->closing || !connected(L, b))
		return;
	lua_pushvalue(L, 1);
	lua_pushvalue(L, whole ? 2 : 4);
	if (!whole)
		lua_pushvalue(L, 3);
	call_method_or_listener(L, b, "onincoming", whole ? 1 : 2);
}

/* So many bytes were delivered. When are more to be read? Output may have waited for them: see wants_read. */
void relay_wait_for_input(lua_State *L, struct backend *b, size_t delivered)
{
	struct object *o = live_relay(L, b);
	if (o == NULL)
		return;
	if (o->sent != o->written && !o->held)
		relay_watch(b, o, 2, o->closing ? 1 : 0);
	if (o->closing)
		return;
	double cost = o->relay->limit > 0 ? (double)delivered / o->relay->limit : 0;
	if (cost > 0.001) {
		relay_stop_timer(L, b, o, READ_TIMER);
		relay_pause_for(L, b, cost);
	} else if (o->flags & 1) {
		if (relay_is_dirty(L, b))
			relay_pause_for(L, b, 0);
		else
			relay_expect_more_input(L, b);
	}
}

/* Whether the error at index 3 only says what the object waits for. It then becomes "timeout". */
static bool waits(lua_State *L, struct backend *b)
{
	const char *error = lua_type(L, 3) == LUA_TSTRING ? lua_tostring(L, 3) : "";
	struct object *o = live_relay(L, b);
	if (o && strcmp(error, "wantread") == 0)
		relay_watch(b, o, 1, 0);
	else if (o && strcmp(error, "wantwrite") == 0)
		relay_watch(b, o, 2, 0);
	else
		return strcmp(error, "timeout") == 0;
	lua_pushliteral(L, "timeout");
	lua_replace(L, 3);
	return true;
}

static void read_failed(lua_State *L, struct backend *b)
{
	struct object *o = live_relay(L, b);
	if (o == NULL)
		return;
	const char *error = lua_type(L, 3) == LUA_TSTRING ? lua_tostring(L, 3) : "closed"; /* stays on the stack */
	bool end = o->connected && strcmp(error, "closed") == 0;
	lua_pushvalue(L, 3);
	log_object(L, 1, "debug", end ? "Connection closed by remote" : "Read error, closing (%s)", 1);
	o = live_relay(L, b);
	if (o)
		end_connection(L, b, 1, o, end && !b->prosody13 ? NULL : error);
}

int relay_onreadable(lua_State *L)
{
	struct backend *b = backend(L);
	lua_settop(L, 1);
	struct object *o = live_relay(L, b);
	if (o == NULL || !relay_push_method(L, "receive"))
		return 0;
	lua_getfield(L, 1, "read_size");
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_pushinteger(L, (lua_Integer)b->settings.read_size);
	}
	if (!call_protected(L, b, 2, 3)) {
		method_failed(L, b, "receive");
		return 0;
	}
	bool whole = lua_toboolean(L, 2);
	bool going_on = whole || waits(L, b);
	size_t n = string_length(L, whole ? 2 : 4);
	if (whole || n > 0)
		incoming(L, b, whole);
	if (going_on)
		relay_wait_for_input(L, b, n);
	else
		read_failed(L, b);
	return 0;
}

/* Writing. The results of send are at 2, 3 and 4: a number of bytes; or nil, an error, and a number of bytes. */

/* Everything is sent. */
static void drained(lua_State *L, struct backend *b, struct object *o)
{
	relay_watch(b, o, 0, 2);
	relay_stop_timer(L, b, o, WRITE_TIMER);
	if (o->closing) {
		end_connection(L, b, 1, o, NULL);
		return;
	}
	lua_pushvalue(L, 1);
	call_method_or_listener(L, b, "ondrain", 0);
}

/* The object has taken n bytes. What it took is moved away once it is the greater part. */
static void take(struct object *o, size_t n)
{
	struct sgo_buffer *output = &o->relay->output;
	o->sent += n;
	o->relay->taken += n;
	if (o->relay->taken == output->used) {
		buffer_free(output);
		o->relay->taken = 0;
	} else if (o->relay->taken >= output->used / 2) {
		output->used -= o->relay->taken;
		memmove(output->data, output->data + o->relay->taken, output->used);
		o->relay->taken = 0;
	}
}

/* How many of the n bytes that it was given send has taken. */
static size_t count_taken(lua_State *L, size_t n)
{
	bool whole = lua_toboolean(L, 2);
	if (whole && lua_type(L, 2) != LUA_TNUMBER)
		return n;
	lua_Number count = lua_tonumber(L, whole ? 2 : 4);
	return !(count > 0) ? 0 : count < (lua_Number)n ? (size_t)count : n;
}

/*
 * Pushes the next part of the output. Lua may change or free the output while
 * it makes the string, so the bytes are copied first; the position tells
 * whether they still are the next.
 */
static size_t push_part(lua_State *L, struct backend *b, uint64_t *position)
{
	char *copy = lua_newuserdata(L, SEND_AT_ONCE);
	struct object *o = live_relay(L, b);
	size_t n = o ? o->relay->output.used - o->relay->taken : 0;
	if (n > SEND_AT_ONCE)
		n = SEND_AT_ONCE;
	if (n > 0) {
		*position = o->sent;
		memcpy(copy, o->relay->output.data + o->relay->taken, n);
	}
	lua_pushlstring(L, copy, n);
	lua_remove(L, -2);
	return n;
}

/* Calls send with the next part of the output. Returns its length, or 0 if there is nothing more to do. */
static size_t call_send(lua_State *L, struct backend *b)
{
	uint64_t position;
	lua_settop(L, 1);
	if (!relay_push_method(L, "send")) {
		lua_pushnil(L);
		lua_pushliteral(L, "closed");
		lua_pushnil(L);
		return 1;
	}
	size_t n = push_part(L, b, &position);
	struct object *o = live_relay(L, b);
	if (o == NULL || n == 0 || o->sent != position || o->relay->sending)
		return 0;
	o->relay->sending = true;
	bool ok = call_protected(L, b, 2, 3);
	o = live_relay(L, b);
	if (o)
		o->relay->sending = false;
	if (!ok)
		method_failed(L, b, "send");
	return ok && o ? n : 0;
}

/* LuaSec cannot send before it has read: being writable says nothing, until input has come. */
static bool wants_read(lua_State *L)
{
	return !lua_toboolean(L, 2) && lua_type(L, 3) == LUA_TSTRING && strcmp(lua_tostring(L, 3), "wantread") == 0;
}

static void send_output(lua_State *L, struct backend *b)
{
	size_t n = call_send(L, b);
	struct object *o = live_relay(L, b);
	if (n == 0 || o == NULL)
		return;
	size_t count = count_taken(L, n);
	take(o, count);
	if (o->sent == o->written) {
		drained(L, b, o);
	} else if (wants_read(L)) {
		relay_watch(b, o, 1, 2);
	} else if (lua_toboolean(L, 2) || waits(L, b)) {
		if (count > 0)
			relay_expect_output_taken(L, b, 1, b->settings.send_timeout);
	} else {
		end_connection(L, b, 1, o, lua_type(L, 3) == LUA_TSTRING ? lua_tostring(L, 3) : NULL);
	}
}

/* What comes before sending. False if nothing is to be sent now. */
static bool about_to_send(lua_State *L, struct backend *b)
{
	if (!connected(L, b))
		return false;
	struct object *o = live_relay(L, b);
	if (o->held) {
		relay_watch(b, o, 0, 2);
		return false;
	}
	lua_pushvalue(L, 1);
	call_listener(L, b, "onpredrain", 0);
	lua_pop(L, 1);
	return true;
}

int relay_onwritable(lua_State *L)
{
	struct backend *b = backend(L);
	lua_settop(L, 1);
	struct object *o = live_relay(L, b);
	if (o == NULL || o->relay->sending || !(o->closing || about_to_send(L, b)))
		return 0;
	o = live_relay(L, b);
	if (o && o->sent == o->written)
		drained(L, b, o);
	else if (o)
		send_output(L, b);
	return 0;
}
