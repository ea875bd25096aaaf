/* Methods of connections and servers; both share one metatable, as in the reference. */
#include <math.h>
#include <string.h>

#include "backend.h"
#include "_cgo_export.h"

/* The live object at argument 1 if it is a connection that still works. */
static struct object *live_connection(lua_State *L, struct backend *b)
{
	struct object *o = check_object(L, b, 1);
	return o && o->kind == CONNECTION && !o->ended ? o : NULL;
}

/*
 * For Prosody 13's max_send_buffer_size: whether n more bytes fit. The first
 * write into an empty buffer always does.
 */
static bool fits_send_buffer(struct backend *b, struct object *o, size_t n)
{
	double most = b->settings.max_send_buffer;
	if (most <= 0 || (double)(o->written - o->sent + n) <= most)
		return true;
	if (!o->held)
		flush_commands(b);
	o->sent = sgo_sent(b->io, o->handle);
	return o->written == o->sent || (double)(o->written - o->sent + n) <= most;
}

/* conn:write(data) → number of bytes, or nil/false and a reason. Never blocks. */
static int connection_write(lua_State *L)
{
	struct backend *b = backend(L);
	size_t n;
	const char *data = luaL_checklstring(L, 2, &n);
	struct object *o = live_connection(L, b);
	if (o == NULL || o->closing)
		return fail(L, "closed");
	if (!fits_send_buffer(b, o, n)) {
		if (!o->held)
			end_connection(L, b, 1, o, "no space left in buffer");
		lua_pushboolean(L, false);
		lua_pushliteral(L, "no space left in buffer");
		return 2;
	}
	if (!command_write(b, o, data, n))
		return fail(L, "not enough memory");
	lua_pushinteger(L, (lua_Integer)n);
	return 1;
}

static int connection_close(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (o)
		close_object(L, b, 1, o);
	return 0;
}

static int connection_destroy(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (o && !o->ended) /* in ondisconnect: it is about to happen */
		destroy_object(L, b, 1, o);
	return 0;
}

/* Stops accepting for a number of seconds, from now on; negative goes on. */
static void pause_server(struct backend *b, const struct object *o, double seconds)
{
	command_number(b, o, SGO_PAUSE_FOR, seconds);
	flush_commands(b);
}

/* Sends a command without argument, or for a server its counterpart. */
static int stop_or_go(lua_State *L, enum sgo_command_kind kind, double server_pause)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (o == NULL)
		return fail(L, "invalid fd");
	if (o->kind == SERVER) {
		pause_server(b, o, server_pause);
	} else if (o->kind == CONNECTION && !o->closing && !o->ended) {
		o->paused = kind == SGO_PAUSE;
		o->unwatched = false;
		command(b, o, kind);
	}
	lua_pushboolean(L, true);
	return 1;
}

static int connection_pause(lua_State *L) { return stop_or_go(L, SGO_PAUSE, HUGE_VAL); }
static int connection_resume(lua_State *L) { return stop_or_go(L, SGO_RESUME, -1); }

static int connection_pausefor(lua_State *L)
{
	struct backend *b = backend(L);
	double seconds = lua_isboolean(L, 2) ? -1 : check_seconds(L, 2);
	struct object *o = check_object(L, b, 1);
	if (o && o->kind == SERVER)
		pause_server(b, o, seconds);
	else if (o && !o->closing && !o->ended)
		command_terms(b, o, SGO_PAUSE_FOR, seconds);
	return 0;
}

static int connection_pause_writes(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = live_connection(L, b);
	if (o && !o->held && !o->closing) {
		o->held = true;
		command(b, o, SGO_HOLD_WRITES);
	}
	return 0;
}

static int connection_resume_writes(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = live_connection(L, b);
	if (o && o->held && !o->closing) {
		o->held = false;
		command(b, o, SGO_RELEASE_WRITES);
		mark_dirty(b, o);
	}
	return 0;
}

static bool flag(lua_State *L, int arg, bool current)
{
	return lua_isnoneornil(L, arg) ? current : lua_toboolean(L, arg);
}

/* Changes what a watch waits for. */
static int set_watch_flags(lua_State *L, struct backend *b, struct object *o, bool r, bool w)
{
	o->flags = (r ? 1 : 0) | (w ? 2 : 0);
	command_number(b, o, SGO_WATCH_FLAGS, o->flags);
	lua_pushboolean(L, true);
	return 1;
}

/* conn:set(r, w): watch for reading, writing; nil leaves as it is. */
static int connection_set(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (o == NULL || o->ended)
		return fail(L, "invalid fd");
	if (o->kind == WATCH || o->kind == RELAY)
		return set_watch_flags(L, b, o, flag(L, 2, o->flags & 1), flag(L, 3, o->flags & 2));
	if (o->kind == SERVER) {
		if (!lua_isnoneornil(L, 2))
			pause_server(b, o, lua_toboolean(L, 2) ? -1 : HUGE_VAL);
	} else if (!o->closing) {
		if (!lua_isnoneornil(L, 2)) {
			o->unwatched = !lua_toboolean(L, 2);
			o->paused = false; /* the timeout is off all the same */
			command_number(b, o, SGO_WATCH_READ, !o->unwatched);
		}
		if (!lua_isnoneornil(L, 3)) {
			command_number(b, o, SGO_WATCH_WRITE, lua_toboolean(L, 3));
			if (lua_toboolean(L, 3) && o->connected && !o->held)
				command_write(b, o, "", 0);
		}
	}
	lua_pushboolean(L, true);
	return 1;
}

/* conn:setflags(r, w): the same, but neither means not at all. */
static int connection_setflags(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (!lua_toboolean(L, 2) && !lua_toboolean(L, 3)) {
		lua_settop(L, 1);
		lua_pushboolean(L, false);
		lua_pushboolean(L, false);
	} else if (o && (o->kind == WATCH || o->kind == RELAY) && o->flags == 0) {
		return set_watch_flags(L, b, o, lua_toboolean(L, 2), lua_toboolean(L, 3));
	}
	return connection_set(L);
}

static int connection_del(lua_State *L)
{
	lua_settop(L, 1);
	return connection_setflags(L);
}

static int connection_set_mode(lua_State *L)
{
	struct backend *b = backend(L);
	check_object(L, b, 1);
	int mode = read_mode(L, 2, 2);
	lua_settop(L, 2);
	lua_setfield(L, 1, "read_size");
	struct object *o = check_object(L, b, 1);
	if (o) {
		command_terms(b, o, SGO_READ_MODE, mode);
		flush_commands(b); /* what comes from now on is read so */
	}
	return 0;
}

static int connection_setlimit(lua_State *L)
{
	struct backend *b = backend(L);
	double limit = luaL_checknumber(L, 2);
	luaL_argcheck(L, limit == limit, 2, "bytes per second expected");
	struct object *o = check_object(L, b, 1);
	if (o)
		command_terms(b, o, SGO_LIMIT, limit > 0 ? limit : 0);
	return 0;
}

/* conn:setreadtimeout(seconds | false | nil), and the same for writing. */
static int set_deadline(lua_State *L, enum sgo_command_kind kind)
{
	struct backend *b = backend(L);
	double seconds = NAN; /* the setting */
	if (lua_isboolean(L, 2) && !lua_toboolean(L, 2))
		seconds = -1;
	else if (!lua_isnoneornil(L, 2))
		seconds = check_seconds(L, 2);
	struct object *o = check_object(L, b, 1);
	if (o)
		command_number(b, o, kind, seconds);
	return 0;
}

static int connection_setreadtimeout(lua_State *L) { return set_deadline(L, SGO_READ_DEADLINE); }
static int connection_setwritetimeout(lua_State *L) { return set_deadline(L, SGO_WRITE_DEADLINE); }

/* The value of a socket option at arg as an integer: seconds for linger, negative for off. False if it is none. */
static bool option_value(lua_State *L, int arg, int *value)
{
	lua_Number n;
	if (lua_istable(L, arg)) { /* linger's { on = boolean, timeout = seconds } */
		lua_getfield(L, arg, "on");
		lua_getfield(L, arg, "timeout");
		n = lua_toboolean(L, -2) ? lua_tonumber(L, -1) : -1;
	} else if (lua_isboolean(L, arg)) {
		n = lua_toboolean(L, arg);
	} else if (lua_isnumber(L, arg)) {
		n = lua_tonumber(L, arg);
	} else {
		return false;
	}
	if (!(n >= INT32_MIN && n <= INT32_MAX))
		return false;
	*value = (int)n;
	return true;
}

/* conn:setoption(name, value) → true, or false and a reason; names are LuaSocket's. */
static int connection_setoption(lua_State *L)
{
	struct backend *b = backend(L);
	check_object(L, b, 1);
	struct sgo_error err = {"closed"};
	size_t length = 0;
	int value = 0;
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &length) : "";
	lua_settop(L, 3);
	bool valid = option_value(L, 3, &value); /* a table's metamethods may close the connection */
	struct object *o = check_object(L, b, 1);
	if (!valid)
		strcpy(err.text, "invalid value for a socket option");
	else if (o && sgo_setoption(b->io, o->handle, (char *)name, length, value, &err) == 0) {
		lua_pushboolean(L, true);
		return 1;
	}
	lua_pushboolean(L, false);
	lua_pushstring(L, err.text);
	return 2;
}

/* As in the reference, a closed connection changes its listeners without telling them. */
static int connection_setlistener(lua_State *L)
{
	struct backend *b = backend(L);
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 3);
	if (check_object(L, b, 1)) {
		lua_pushvalue(L, 1);
		call_listener(L, b, "ondetach", 0);
	}
	lua_pushvalue(L, 2);
	lua_setfield(L, 1, "listeners");
	if (check_object(L, b, 1)) {
		lua_pushvalue(L, 1);
		lua_pushvalue(L, 3);
		call_listener(L, b, "onattach", 1);
	}
	return 0;
}

/* conn:on("incoming", ...): calls the listener onincoming. */
static int connection_on(lua_State *L)
{
	struct backend *b = backend(L);
	const char *what = luaL_checkstring(L, 2);
	if (check_object(L, b, 1) == NULL)
		return 0;
	const char *name = lua_pushfstring(L, "on%s", what);
	lua_replace(L, 2); /* kept there while it is in use */
	int nargs = lua_gettop(L) - 2;
	luaL_checkstack(L, nargs + 1, "arguments");
	lua_pushvalue(L, 1);
	for (int i = 1; i <= nargs; i++)
		lua_pushvalue(L, 2 + i);
	call_listener(L, b, name, nargs);
	return 1;
}

static int call_own_listener(lua_State *L, const char *name)
{
	struct backend *b = backend(L);
	if (check_object(L, b, 1) == NULL)
		return 0;
	call_listener(L, b, name, lua_gettop(L) - 1);
	return 1;
}

static int connection_onincoming(lua_State *L) { return call_own_listener(L, "onincoming"); }
static int connection_ondrain(lua_State *L) { return call_own_listener(L, "ondrain"); }

/* In the reference these read and write at once; here the I/O side does. */
static int connection_onreadable(lua_State *L)
{
	lua_settop(L, 1);
	lua_pushboolean(L, true);
	return connection_set(L);
}

static int connection_onwritable(lua_State *L)
{
	lua_settop(L, 1);
	lua_pushnil(L);
	lua_pushboolean(L, true);
	return connection_set(L);
}

static int log_message(lua_State *L, const char *level)
{
	check_object(L, backend(L), 1);
	const char *format = luaL_checkstring(L, 2);
	log_object(L, 1, level, format, lua_gettop(L) - 2);
	return 0;
}

static int connection_debug(lua_State *L) { return log_message(L, "debug"); }
static int connection_error(lua_State *L) { return log_message(L, "error"); }
static int connection_noise(lua_State *L)
{
	check_object(L, backend(L), 1);
	return backend(L)->settings.verbose ? log_message(L, "debug") : 0;
}

static int connection_server(lua_State *L)
{
	check_object(L, backend(L), 1);
	lua_getfield(L, 1, "_server");
	if (lua_isnil(L, -1))
		lua_pushvalue(L, 1);
	return 1;
}

/* Pushes field first, or if that is nil field second. */
static int either_field(lua_State *L, const char *first, const char *second)
{
	check_object(L, backend(L), 1);
	lua_getfield(L, 1, first);
	if (lua_isnil(L, -1))
		lua_getfield(L, 1, second);
	return 1;
}

static int connection_ip(lua_State *L) { return either_field(L, "peername", "sockname"); }
static int connection_port(lua_State *L) { return either_field(L, "peerport", "sockport"); }

static bool is_outgoing(lua_State *L)
{
	check_object(L, backend(L), 1);
	lua_getfield(L, 1, "_server");
	bool outgoing = lua_isnil(L, -1);
	lua_pop(L, 1);
	return outgoing;
}

static int connection_clientport(lua_State *L)
{
	lua_getfield(L, 1, is_outgoing(L) ? "sockport" : "peerport");
	return 1;
}

/* A server has no peer: its own port is the answer. */
static int connection_serverport(lua_State *L)
{
	if (!is_outgoing(L)) {
		lua_getfield(L, 1, "sockport");
		return 1;
	}
	return either_field(L, "peerport", "sockport");
}

static int connection_socket(lua_State *L)
{
	check_object(L, backend(L), 1);
	lua_getfield(L, 1, "conn");
	return 1;
}

/* True once TLS has started. */
static int connection_ssl(lua_State *L)
{
	check_object(L, backend(L), 1);
	lua_getfield(L, 1, "_tls");
	return 1;
}

/*
 * conn:starttls(context): what was written goes in the clear, the rest and
 * all that arrives from now on belong to TLS. nil keeps the context it has.
 */
static int connection_starttls(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = live_connection(L, b);
	if (o == NULL || o->closing || o->tls_started)
		return 0;
	lua_settop(L, 2);
	if (lua_toboolean(L, 2))
		lua_setfield(L, 1, "tls_ctx");
	o = live_connection(L, b);
	if (o && !o->closing && !o->tls_started)
		start_tls(L, b, 1, o, false);
	return 0;
}

/* conn:block_reads(): nothing more is delivered before starttls(). */
static int connection_block_reads(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = live_connection(L, b);
	if (o && !o->closing && !o->tls_started) {
		o->blocked = true;
		command(b, o, SGO_BLOCK_READS);
	}
	return 0;
}

static int connection_sslctx(lua_State *L)
{
	check_object(L, backend(L), 1);
	lua_getfield(L, 1, "tls_ctx");
	return 1;
}

static int connection_set_sslctx(lua_State *L)
{
	check_object(L, backend(L), 1);
	lua_settop(L, 2);
	lua_setfield(L, 1, "tls_ctx");
	return 0;
}

static int connection_updatenames(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = live_connection(L, b);
	if (o)
		set_names(L, b, 1, o->handle);
	return 0;
}

/* What the settings say is applied when a connection is made. */
static int connection_defaultoptions(lua_State *L)
{
	check_object(L, backend(L), 1);
	return 0;
}

/* net.adns calls it, and replaces `send` itself. */
static int connection_set_send(lua_State *L)
{
	check_object(L, backend(L), 1);
	return 0;
}

const luaL_Reg connection_methods[] = {
	{"add", connection_set},
	{"block_reads", connection_block_reads},
	{"clientport", connection_clientport},
	{"close", connection_close},
	{"debug", connection_debug},
	{"defaultoptions", connection_defaultoptions},
	{"del", connection_del},
	{"destroy", connection_destroy},
	{"error", connection_error},
	{"getfd", object_getfd},
	{"ip", connection_ip},
	{"noise", connection_noise},
	{"on", connection_on},
	{"ondrain", connection_ondrain},
	{"onincoming", connection_onincoming},
	{"onreadable", connection_onreadable},
	{"onwritable", connection_onwritable},
	{"pause", connection_pause},
	{"pause_writes", connection_pause_writes},
	{"pausefor", connection_pausefor},
	{"port", connection_port},
	{"resume", connection_resume},
	{"resume_writes", connection_resume_writes},
	{"send", connection_write},
	{"server", connection_server},
	{"serverport", connection_serverport},
	{"set", connection_set},
	{"set_mode", connection_set_mode},
	{"set_send", connection_set_send},
	{"set_sslctx", connection_set_sslctx},
	{"setflags", connection_setflags},
	{"setlimit", connection_setlimit},
	{"setlistener", connection_setlistener},
	{"setoption", connection_setoption},
	{"setreadtimeout", connection_setreadtimeout},
	{"setwritetimeout", connection_setwritetimeout},
	{"socket", connection_socket},
	{"ssl", connection_ssl},
	{"ssl_exportkeyingmaterial", tls_exportkeyingmaterial},
	{"ssl_info", tls_info},
	{"ssl_peercertificate", tls_peercertificate},
	{"ssl_peerfinished", tls_peerfinished},
	{"ssl_peerverification", tls_peerverification},
	{"sslctx", connection_sslctx},
	{"starttls", connection_starttls},
	{"updatenames", connection_updatenames},
	{"write", connection_write},
	{NULL, NULL}
};
