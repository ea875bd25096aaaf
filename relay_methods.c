/* Methods of relays, in the place of connection_methods' own. */
#include "relay.h"

static bool fits(const struct backend *b, const struct object *o, size_t n)
{
	double most = b->settings.max_send_buffer;
	return most <= 0 || o->sent == o->written || (double)(o->written - o->sent + n) <= most;
}

/* conn:write(data): as that of other connections. */
static int relay_write(lua_State *L)
{
	struct backend *b = backend(L);
	size_t n;
	const char *data = luaL_checklstring(L, 2, &n);
	struct object *o = live_relay(L, b);
	if (o == NULL || o->closing)
		return fail(L, "closed");
	if (!fits(b, o, n)) {
		if (!o->held)
			end_connection(L, b, 1, o, "no space left in buffer");
		lua_pushboolean(L, false);
		lua_pushliteral(L, "no space left in buffer");
		return 2;
	}
	if (!buffer_append(&o->relay->output, data, n))
		return fail(L, "not enough memory");
	o->written += n;
	if (!o->held) {
		relay_watch(b, o, 2, 0);
		relay_expect_output_taken(L, b, 1, b->settings.send_timeout);
	}
	lua_pushinteger(L, (lua_Integer)n);
	return 1;
}

static int relay_pause(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = live_relay(L, b);
	if (o == NULL)
		return fail(L, "invalid fd");
	relay_stop_timer(L, b, o, READ_TIMER);
	relay_stop_timer(L, b, o, PAUSE_TIMER);
	relay_watch(b, o, 0, 1);
	lua_pushboolean(L, true);
	return 1;
}

static int relay_resume(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = live_relay(L, b);
	if (o == NULL)
		return fail(L, "invalid fd");
	if (!o->closing) {
		relay_watch(b, o, 1, 0);
		relay_wait_for_input(L, b, 0);
	}
	lua_pushboolean(L, true);
	return 1;
}

static int relay_pausefor(lua_State *L)
{
	struct backend *b = backend(L);
	double seconds = lua_isboolean(L, 2) ? -1 : check_seconds(L, 2);
	struct object *o = live_relay(L, b);
	if (o && seconds < 0)
		relay_stop_timer(L, b, o, PAUSE_TIMER);
	else
		relay_pause_for(L, b, seconds);
	return 0;
}

static int relay_pause_writes(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = live_relay(L, b);
	if (o && !o->held && !o->closing) {
		o->held = true;
		relay_watch(b, o, 0, 2);
		relay_stop_timer(L, b, o, WRITE_TIMER);
	}
	return 0;
}

static int relay_resume_writes(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = live_relay(L, b);
	if (o && o->held && !o->closing) {
		o->held = false;
		if (o->sent != o->written) {
			relay_watch(b, o, 2, 0);
			relay_expect_output_taken(L, b, 1, b->settings.send_timeout);
		}
	}
	return 0;
}

static int relay_setlimit(lua_State *L)
{
	struct backend *b = backend(L);
	double limit = luaL_checknumber(L, 2);
	struct object *o = live_relay(L, b);
	if (o)
		o->relay->limit = limit > 0 ? limit : 0;
	return 0;
}

static int relay_set_mode(lua_State *L)
{
	check_object(L, backend(L), 1);
	read_mode(L, 2, 2);
	lua_settop(L, 2);
	lua_setfield(L, 1, "read_size");
	return 0;
}

/* The seconds at argument 2: false is never, nil the setting. */
static double timeout_argument(lua_State *L, double setting)
{
	if (lua_isboolean(L, 2) && !lua_toboolean(L, 2))
		return -1;
	return lua_isnoneornil(L, 2) ? setting : check_seconds(L, 2);
}

static int relay_setreadtimeout(lua_State *L)
{
	struct backend *b = backend(L);
	double seconds = timeout_argument(L, b->settings.read_timeout);
	if (live_relay(L, b))
		relay_expect_input(L, b, seconds);
	return 0;
}

static int relay_setwritetimeout(lua_State *L)
{
	struct backend *b = backend(L);
	double seconds = timeout_argument(L, b->settings.send_timeout);
	if (live_relay(L, b))
		relay_expect_output_taken(L, b, 1, seconds);
	return 0;
}

static int relay_updatenames(lua_State *L)
{
	struct backend *b = backend(L);
	if (live_relay(L, b))
		relay_update_names(L, b);
	return 0;
}

/* Calls a method of the object with the arguments from 2 on. */
static int ask_object(lua_State *L, const char *method)
{
	int nargs = lua_gettop(L) - 1;
	if (check_object(L, backend(L), 1) == NULL)
		return fail(L, "not-connected");
	if (!relay_push_method(L, method))
		return fail(L, "not-implemented");
	luaL_checkstack(L, nargs, "arguments");
	for (int i = 2; i <= nargs + 1; i++)
		lua_pushvalue(L, i);
	lua_call(L, nargs + 1, LUA_MULTRET);
	return lua_gettop(L) - nargs - 1;
}

static int relay_info(lua_State *L) { return ask_object(L, "info"); }
static int relay_peercertificate(lua_State *L) { return ask_object(L, "getpeercertificate"); }
static int relay_peerverification(lua_State *L) { return ask_object(L, "getpeerverification"); }
static int relay_peerfinished(lua_State *L) { return ask_object(L, "getpeerfinished"); }
static int relay_exportkeyingmaterial(lua_State *L) { return ask_object(L, "exportkeyingmaterial"); }

/* conn:setoption(name, value) → what the object's own returns; false and a reason if that fails. */
static int relay_setoption(lua_State *L)
{
	struct backend *b = backend(L);
	lua_settop(L, 3);
	if (live_relay(L, b) == NULL || !relay_push_method(L, "setoption")) {
		lua_pushboolean(L, false);
		lua_pushliteral(L, "closed");
		return 2;
	}
	lua_pushvalue(L, 2);
	lua_pushvalue(L, 3);
	if (call_protected(L, b, 3, 2))
		return 2;
	lua_pushboolean(L, false);
	lua_insert(L, -2);
	return 2;
}

/* Our TLS needs a LuaSocket socket. The connection ends, lest what was to be encrypted is sent in the clear. */
static int relay_starttls(lua_State *L)
{
	struct backend *b = backend(L);
	if (live_relay(L, b) == NULL)
		return 0;
	lua_pushstring(L, relay_tls_error);
	log_object(L, 1, "error", "Failed to initialize TLS: %s", 1);
	struct object *o = live_relay(L, b);
	if (o)
		end_connection(L, b, 1, o, relay_tls_error);
	return 0;
}

const luaL_Reg relay_methods[] = {
	{"onreadable", relay_onreadable},
	{"onwritable", relay_onwritable},
	{"pause", relay_pause},
	{"pause_writes", relay_pause_writes},
	{"pausefor", relay_pausefor},
	{"resume", relay_resume},
	{"resume_writes", relay_resume_writes},
	{"send", relay_write},
	{"set_mode", relay_set_mode},
	{"setlimit", relay_setlimit},
	{"setoption", relay_setoption},
	{"setreadtimeout", relay_setreadtimeout},
	{"setwritetimeout", relay_setwritetimeout},
	{"ssl_exportkeyingmaterial", relay_exportkeyingmaterial},
	{"ssl_info", relay_info},
	{"ssl_peercertificate", relay_peercertificate},
	{"ssl_peerfinished", relay_peerfinished},
	{"ssl_peerverification", relay_peerverification},
	{"starttls", relay_starttls},
	{"updatenames", relay_updatenames},
	{"write", relay_write},
	{NULL, NULL}
};
