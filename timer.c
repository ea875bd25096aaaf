/* util.timer's functions. */
#include "backend.h"

/* The timer id at arg; 0, which is no timer, for what cannot be one. */
static uint64_t timer_id(lua_State *L, int arg)
{
	return lua_type(L, arg) == LUA_TNUMBER ? handle_from(lua_tonumber(L, arg)) : 0;
}

static void set_timer(lua_State *L, int table_ref, uint64_t id, int value)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, table_ref);
	if (value)
		lua_pushvalue(L, value);
	else
		lua_pushnil(L);
	lua_rawseti(L, -2, timer_queue_index(id));
	lua_pop(L, 1);
}

static void forget_timer(lua_State *L, struct backend *b, uint64_t id)
{
	set_timer(L, b->timers_ref, id, 0);
	set_timer(L, b->params_ref, id, 0);
}

/* Has the function at one index called with the parameter at another. Returns 0 if there are too many timers. */
uint64_t timer_start(lua_State *L, struct backend *b, double seconds, int function, int param)
{
	uint64_t id = timer_queue_add(&b->timers, monotonic_clock(), seconds);
	if (id == 0)
		return 0;
	/* Either may raise. Then the timer has no function, and run_timers drops it. */
	if (!lua_isnoneornil(L, param))
		set_timer(L, b->params_ref, id, param);
	set_timer(L, b->timers_ref, id, function);
	return id;
}

/* Stops a timer; one that is over, and 0, is no error. */
void timer_cancel(lua_State *L, struct backend *b, uint64_t id)
{
	if (id != 0 && timer_queue_stop(&b->timers, id))
		forget_timer(L, b, id);
}

/* add_task(delay, f, param) → id. */
static int timer_add_task(lua_State *L)
{
	struct backend *b = backend(L);
	double delay = check_seconds(L, 1);
	if (!check_callable(L, 2))
		luaL_argerror(L, 2, "function expected");
	uint64_t id = timer_start(L, b, delay, 2, 3);
	if (id == 0)
		return fail(L, "no room for another timer");
	lua_pushnumber(L, (lua_Number)id);
	return 1;
}

static int invalid_id(lua_State *L)
{
	return lua_isnoneornil(L, 1) || lua_type(L, 1) == LUA_TNUMBER ? 0 : fail(L, "invalid timer id");
}

/* stop(id). A timer that has fired or never was is no error. */
static int timer_stop(lua_State *L)
{
	struct backend *b = backend(L);
	timer_cancel(L, b, timer_id(L, 1));
	return invalid_id(L);
}

/* reschedule(id, delay) */
static int timer_reschedule(lua_State *L)
{
	struct backend *b = backend(L);
	double delay = check_seconds(L, 2);
	timer_queue_reschedule(&b->timers, timer_id(L, 1), monotonic_clock(), delay);
	return invalid_id(L);
}

/* to_absolute_time(t): monotonic → wall clock */
static int timer_to_absolute_time(lua_State *L)
{
	lua_pushnumber(L, luaL_checknumber(L, 1) - monotonic_clock() + wall_clock());
	return 1;
}

/* Runs the timers that have expired by now. */
void run_timers(lua_State *L, struct backend *b)
{
	uint64_t id;
	int top = lua_gettop(L);
	double late = timer_queue_tick(&b->timers, monotonic_clock());
	if (late < 0)
		return;
	timers_late(b, late);
	double now = wall_clock();
	while ((id = timer_queue_pop(&b->timers)) != 0) {
		int nargs = 2;
		lua_rawgeti(L, LUA_REGISTRYINDEX, b->timers_ref);
		lua_rawgeti(L, -1, timer_queue_index(id));
		lua_remove(L, -2);
		if (lua_isnil(L, -1)) {
			timer_queue_stop(&b->timers, id);
			forget_timer(L, b, id);
			lua_settop(L, top);
			continue;
		}
		lua_pushnumber(L, now);
		lua_pushnumber(L, (lua_Number)id);
		lua_rawgeti(L, LUA_REGISTRYINDEX, b->params_ref);
		lua_rawgeti(L, -1, timer_queue_index(id));
		lua_remove(L, -2);
		if (lua_isnil(L, -1))
			lua_pop(L, 1);
		else
			nargs = 3;
		bool ok = call_protected(L, b, nargs, 1);
		bool repeat = ok && lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) == lua_tonumber(L, -1);
		if (repeat)
			timer_queue_repeat(&b->timers, id, lua_tonumber(L, -1));
		else if (timer_queue_stop(&b->timers, id))
			forget_timer(L, b, id);
		if (!ok)
			log_backend(L, b, "error", "Error in timer: %s", 1);
		lua_settop(L, top);
	}
}

const luaL_Reg timer_functions[] = {
	{"add_task", timer_add_task},
	{"reschedule", timer_reschedule},
	{"stop", timer_stop},
	{"to_absolute_time", timer_to_absolute_time},
	{NULL, NULL}
};
