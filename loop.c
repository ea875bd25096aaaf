/* loop(), and what each event means for Lua. */
#include <math.h>
#include <string.h>

#include "backend.h"
#include "_cgo_export.h"

/* The connection was found usable: names are known, onconnect is due. */
static void deliver_connected(lua_State *L, struct backend *b, int index, struct object *o)
{
	o->connected = true;
	if (!o->accepted) /* an accepted one has them */
		set_names(L, b, index, o->handle);
	lua_pushvalue(L, index);
	log_object(L, index, "debug", "Connected (%s)", 1);
	lua_pushvalue(L, index);
	call_listener(L, b, "onconnect", 0);
	lua_pop(L, 1);
}

static void deliver_accepted(lua_State *L, struct backend *b, const struct sgo_event *ev)
{
	static const char *const inherited[] = {"listeners", "read_size", "tls_ctx", "tls_direct"};
	struct object *server = find_object(b, ev->listener);
	if (!push_object(L, b, server)) {
		command_release(b, ev->handle);
		return;
	}
	struct sgo_object opened = {.handle = ev->handle, .fd = ev->fd};
	const size_t n = sizeof inherited / sizeof *inherited;
	int server_index = lua_gettop(L);
	lua_pushlstring(L, ev->bytes, ev->length); /* its own: a logger or finalizer may run the loop */
	const char *names = lua_tostring(L, -1);
	for (size_t i = 0; i < n; i++)
		lua_getfield(L, server_index, inherited[i]);
	new_object(L, b, CONNECTION, &opened)->accepted = true;
	int index = server_index + 2;
	lua_insert(L, index);
	for (size_t i = n; i > 0; i--)
		lua_setfield(L, index, inherited[i - 1]);
	lua_pushvalue(L, server_index);
	lua_setfield(L, index, "_server");
	push_socket(L, b, ev->handle);
	lua_setfield(L, index, "conn");
	set_id(L, b, index, "conn");
	set_names_from(L, index, names);
	lua_pushvalue(L, index);
	lua_pushvalue(L, server_index);
	log_object(L, index, "debug", "New connection %s on server %s", 2);
	lua_getfield(L, index, "tls_direct");
	struct object *o = find_object(b, ev->handle);
	if (o == NULL)
		return;
	object_made(b, ev->handle);
	command(b, o, SGO_START);
	if (lua_toboolean(L, -1))
		start_tls(L, b, index, o, true);
	else
		deliver_connected(L, b, index, o);
}

static void deliver_accept_failed(lua_State *L, struct backend *b, int index, const struct sgo_event *ev)
{
	lua_pushlstring(L, ev->bytes, ev->length);
	lua_pushnumber(L, b->settings.accept_retry_interval);
	log_object(L, index, "warn", "Error accepting new client: %s, server will be paused for %gs at most", 2);
}

static void deliver_data(lua_State *L, struct backend *b, int index, struct object *o, struct sgo_event *ev)
{
	if (o->closing || o->ended)
		return;
	if (o->paused || o->unwatched || o->blocked || (o->tls_started && !o->tls) || o->terms != ev->value) {
		ev->refused = 1; /* it will come again, after resume() or as it is wanted now */
		return;
	}
	o->received += ev->length;
	lua_pushvalue(L, index);
	lua_pushlstring(L, ev->bytes, ev->length);
	call_method_or_listener(L, b, "onincoming", 1);
}

static void deliver_drained(lua_State *L, struct backend *b, int index, struct object *o, const struct sgo_event *ev)
{
	o->sent = ev->sent;
	if (o->closing || o->ended || o->held || (o->tls_started && !o->tls))
		return;
	lua_pushvalue(L, index);
	call_method_or_listener(L, b, "ondrain", 0);
}

static void log_and_end(lua_State *L, struct backend *b, int index, uint64_t handle, const char *message, const char *reason)
{
	if (message)
		log_object(L, index, "debug", message, 0);
	struct object *o = find_object(b, handle);
	if (o)
		end_connection(L, b, index, o, reason);
}

static void deliver_read_timeout(lua_State *L, struct backend *b, int index, struct object *o)
{
	uint64_t handle = o->handle;
	if (o->closing || o->ended || o->paused)
		return;
	lua_pushvalue(L, index);
	call_listener(L, b, "onreadtimeout", 0);
	bool stay = lua_toboolean(L, -1);
	lua_pop(L, 1);
	o = find_object(b, handle);
	if (o == NULL || o->closing || o->ended)
		return;
	if (stay) {
		command_number(b, o, SGO_READ_DEADLINE, NAN);
	} else {
		log_and_end(L, b, index, handle, "Read timeout not handled, disconnecting", "read timeout");
	}
}

static void deliver_closed(lua_State *L, struct backend *b, int index, struct object *o, const struct sgo_event *ev)
{
	uint64_t handle = ev->handle;
	const char *format = o->tls_started && !o->tls ? "TLS handshake error: %s" : "Read error, closing (%s)";
	lua_pushlstring(L, ev->bytes, ev->length);
	const char *reason = lua_tostring(L, -1); /* stays on the stack */
	if (*reason == 0) {
		log_and_end(L, b, index, handle, "Closing now", NULL);
	} else if (ev->flag) {
		log_and_end(L, b, index, handle, "Connection closed by remote", b->prosody13 ? reason : NULL);
	} else {
		lua_pushvalue(L, -1);
		log_object(L, index, "debug", format, 1);
		log_and_end(L, b, index, handle, NULL, reason);
	}
}

/* Calls onreadable or onwritable of a watch, not protected: see callback.c. Those of a relay are ours. */
static void call_watch(lua_State *L, struct backend *b, int index, uint64_t handle, const char *callback)
{
	struct object *o = find_object(b, handle);
	if (o == NULL)
		return; /* closed by the other callback */
	if (o->kind == WATCH)
		b->delivering = 0;
	lua_getfield(L, index, callback);
	if (lua_toboolean(L, -1)) {
		lua_pushvalue(L, index);
		lua_call(L, 1, 0);
	} else {
		lua_pop(L, 1);
	}
}

static void deliver_ready(lua_State *L, struct backend *b, int index, const struct object *o, const struct sgo_event *ev)
{
	uint32_t value = (uint32_t)ev->value & o->flags;
	uint64_t handle = o->handle;
	if (value & 1)
		call_watch(L, b, index, handle, "onreadable");
	if (value & 2)
		call_watch(L, b, index, handle, "onwritable");
}

/* Lines for the log of the connection at index, or with 0 for the module's own. */
static void deliver_note(lua_State *L, struct backend *b, int index, const struct sgo_event *ev)
{
	lua_pushlstring(L, ev->bytes, ev->length); /* a logger may do anything, even loop() */
	const char *text = lua_tostring(L, -1), *end = text + ev->length, *next;
	const char *tab = memchr(text, '\t', ev->length);
	lua_pushlstring(L, text, (size_t)(tab - text));
	const char *level = lua_tostring(L, -1);
	for (const char *line = tab + 1; line < end; line = next + 1) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next ? next : end;
		lua_pushlstring(L, line, (size_t)(next - line));
		if (index)
			log_object(L, index, level, "%s", 1);
		else
			log_backend(L, b, level, "%s", 1);
	}
}

static void deliver_tls_started(lua_State *L, struct backend *b, int index, struct object *o)
{
	if (o->ended)
		return;
	if (!o->accepted && !o->connected)
		set_names(L, b, index, o->handle);
	log_object(L, index, "debug", "Starting TLS now", 0);
	lua_pushboolean(L, true);
	lua_setfield(L, index, "_tls");
	lua_pushvalue(L, index);
	call_listener(L, b, "onstarttls", 0);
	lua_pop(L, 1);
}

/* A nested loop() may replace the batch: what is needed of the event is copied. */
static void deliver(lua_State *L, struct backend *b, struct sgo_event *at)
{
	const struct sgo_event copy = *at, *ev = &copy;
	b->delivering = ev->handle;
	if (ev->kind == SGO_ACCEPTED) {
		deliver_accepted(L, b, ev);
		return;
	}
	if (ev->kind == SGO_NOTE && ev->handle == 0) {
		deliver_note(L, b, 0, ev);
		return;
	}
	struct object *o = find_object(b, ev->handle);
	if (!push_object(L, b, o))
		return; /* closed by Lua while the event was on its way */
	int index = lua_gettop(L);
	switch ((enum sgo_event_kind)ev->kind) {
	case SGO_ACCEPT_FAILED:
		deliver_accept_failed(L, b, index, ev);
		break;
	case SGO_CONNECTED:
		if (o->closing || o->ended)
			break;
		if (!ev->flag)
			command_write(b, o, "", 0); /* for onpredrain and ondrain, as in the reference */
		deliver_connected(L, b, index, o);
		break;
	case SGO_DATA:
		deliver_data(L, b, index, o, at);
		break;
	case SGO_DRAINED:
		deliver_drained(L, b, index, o, ev);
		break;
	case SGO_READ_TIMEOUT:
		deliver_read_timeout(L, b, index, o);
		break;
	case SGO_CLOSED:
		deliver_closed(L, b, index, o, ev);
		break;
	case SGO_READY:
		deliver_ready(L, b, index, o, ev);
		break;
	case SGO_TLS_STARTED:
		deliver_tls_started(L, b, index, o);
		break;
	case SGO_HELLO:
		if (!o->ended)
			deliver_hello(L, b, index, o, ev);
		break;
	case SGO_SECURED:
		if (o->ended)
			break;
		o->tls = true;
		deliver_secured(L, b, index, o, ev);
		o = find_object(b, ev->handle);
		if (o && o->connected && !o->closing)
			command_write(b, o, "", 0);
		break;
	case SGO_NOTE:
		deliver_note(L, b, index, ev);
		break;
	case SGO_ACCEPTED:
		break;
	}
}

/*
 * Delivers the rest of the batch. An error may leave in the midst of it; the
 * next call of loop() goes on behind the event that raised.
 */
static void deliver_batch(lua_State *L, struct backend *b)
{
	int top = lua_gettop(L);
	while (b->next_event < b->nevents) {
		deliver(L, b, &b->events[b->next_event++]);
		b->delivering = 0;
		lua_settop(L, top);
	}
}

/* Clears away what an error for want of memory, which left the latest loop() or the maker of an object, left unfinished. */
static void clear_away(lua_State *L, struct backend *b)
{
	uint64_t handle = b->delivering;
	b->delivering = 0;
	if (handle)
		abandon_object(L, b, handle);
	if (b->unmade)
		discard_unmade(L, b);
}

/* Takes the handle at offset `at` out of the list of written connections. */
static struct object *take_dirty(struct backend *b, size_t at)
{
	uint64_t handle;
	memcpy(&handle, b->dirty.data + at, sizeof handle);
	memset(b->dirty.data + at, 0, sizeof handle);
	struct object *o = find_object(b, handle);
	if (o)
		o->dirty = false;
	return o;
}

/*
 * Tells the listeners that their output is about to be sent; they may add to
 * it, without being told again. An error may leave from here: those not yet
 * told are told in the next turn.
 */
static void call_predrain(lua_State *L, struct backend *b)
{
	int top = lua_gettop(L);
	size_t at, told = b->dirty.used;
	for (at = 0; at < told; at += sizeof(uint64_t)) {
		struct object *o = take_dirty(b, at);
		if (o && o->connected && !o->held && !o->ended && push_object(L, b, o)) {
			call_listener(L, b, "onpredrain", 0);
			lua_settop(L, top);
		}
	}
	for (; at < b->dirty.used; at += sizeof(uint64_t))
		take_dirty(b, at);
	b->dirty.used = 0;
}

/* Closes, or destroys, everything. */
static void close_all(lua_State *L, struct backend *b, bool destroy)
{
	int top = lua_gettop(L);
	for (size_t i = 0; i < b->nobjects; i++) {
		struct object *o = b->objects[i];
		if (!push_object(L, b, o))
			continue;
		if (destroy) {
			destroy_object(L, b, top + 1, o);
		} else {
			lua_getfield(L, top + 1, "close");
			lua_pushvalue(L, top + 1);
			if (!call_protected(L, b, 1, 0))
				log_object(L, top + 1, "error", "Error calling close: %s", 1);
		}
		lua_settop(L, top);
	}
}

static int api_closeall(lua_State *L)
{
	close_all(L, backend(L), false);
	return 0;
}

/* setquitting(true) ends loop() when everything is closed; nil or false takes it back. */
static int api_setquitting(lua_State *L)
{
	struct backend *b = backend(L);
	b->quitting = lua_toboolean(L, 1);
	if (b->quitting) {
		double now = monotonic_clock(), most = b->settings.shutdown_deadline;
		b->close_again = now + 1;
		b->deadline = most >= 0 ? now + most : HUGE_VAL;
		close_all(L, b, false);
	}
	return 0;
}

/* What is late in closing is asked again each second, and ended at the deadline. */
static void go_on_quitting(lua_State *L, struct backend *b)
{
	double now = monotonic_clock();
	if (now >= b->deadline) {
		close_all(L, b, true);
	} else if (now >= b->close_again) {
		b->close_again = now + 1;
		close_all(L, b, false);
	}
}

/*
 * loop(once) → "quitting" after setquitting(true), else nil. With once it
 * runs expired timers, waits for events and delivers them, one time.
 */
static int api_loop(lua_State *L)
{
	struct backend *b = backend(L);
	bool once = lua_toboolean(L, 1);
	lua_settop(L, 0);
	luaL_checkstack(L, 32, "loop");
	turn_begins(b);
	do {
		clear_away(L, b);
		deliver_batch(L, b); /* what an error left */
		run_timers(L, b);
		if (b->quitting)
			go_on_quitting(L, b);
		call_predrain(L, b);
		step(L, b, turn_ends(b));
		turn_begins(b);
		deliver_signals(L, b);
		deliver_batch(L, b);
	} while (!once && !(b->quitting && b->live == 0));
	if (!b->quitting)
		return 0;
	flush_commands(b); /* closes what the last callbacks released */
	lua_pushliteral(L, "quitting");
	return 1;
}

const luaL_Reg loop_functions[] = {
	{"closeall", api_closeall},
	{"loop", api_loop},
	{"setquitting", api_setquitting},
	{NULL, NULL}
};
