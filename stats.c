/* stats(): what an operator wants to know. Prosody's own statistics get the same from metrics.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "_cgo_export.h"

/* Upper bounds of the buckets, in seconds; one more has what is beyond. */
const double timing_bounds[TIMING_BOUNDS] = {0.0001, 0.001, 0.01, 0.1, 1, 10};

/* As in the settings limit_..., and proxy_protocol_ports. */
const char *const limit_names[SGO_LIMITS] = {
	[SGO_LIMIT_CONNECTIONS] = "connections_per_address",
	[SGO_LIMIT_NEW_CONNECTIONS] = "new_connections_per_address",
	[SGO_LIMIT_ADDRESS_HANDSHAKES] = "handshakes_per_address",
	[SGO_LIMIT_HANDSHAKES] = "handshakes",
	[SGO_LIMIT_PROXY] = "proxy_protocol",
};

static void timing_add(struct timing *t, double seconds)
{
	size_t i = 0;
	while (i < TIMING_BOUNDS && seconds > timing_bounds[i])
		i++;
	t->buckets[i]++;
	t->count++;
	t->seconds += seconds;
	for (i = 0; i < READERS; i++)
		if (seconds > t->longest[i])
			t->longest[i] = seconds;
}

/* The longest since this reader asked last. */
double timing_take_longest(struct timing *t, enum reader reader)
{
	double longest = t->longest[reader];
	t->longest[reader] = 0;
	return longest;
}

/* A turn is what Lua does between two waits. */
void turn_begins(struct backend *b) { b->turn_began = monotonic_clock(); }

/* Returns the time. */
double turn_ends(struct backend *b)
{
	double now = monotonic_clock();
	timing_add(&b->turns, now - b->turn_began);
	return now;
}

/* Timers are about to run, the first of them late by so many seconds. */
void timers_late(struct backend *b, double seconds) { timing_add(&b->timer_lag, seconds); }

static void set_count(lua_State *L, const char *name, uint64_t n)
{
	lua_pushinteger(L, (lua_Integer)n);
	lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double n)
{
	lua_pushnumber(L, n);
	lua_setfield(L, -2, name);
}

/* Sets a field of the table at the top to { open =, total = }. */
static void set_objects(lua_State *L, const char *name, const struct sgo_stats *s, enum sgo_kind kind)
{
	lua_createtable(L, 0, 2);
	set_count(L, "open", s->opened[kind] - s->closed[kind]);
	set_count(L, "total", s->opened[kind]);
	lua_setfield(L, -2, name);
}

static void set_timing(lua_State *L, const char *name, struct timing *t)
{
	lua_createtable(L, 0, 4);
	set_count(L, "count", t->count);
	set_number(L, "seconds", t->seconds);
	set_number(L, "longest", timing_take_longest(t, READ_BY_STATS));
	lua_createtable(L, TIMING_BOUNDS + 1, 0);
	uint64_t n = 0;
	for (int i = 0; i <= TIMING_BOUNDS; i++) {
		lua_createtable(L, 0, 2);
		n += t->buckets[i];
		set_number(L, "le", i < TIMING_BOUNDS ? timing_bounds[i] : HUGE_VAL);
		set_count(L, "count", n);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "buckets");
	lua_setfield(L, -2, name);
}

/* Calls f for each line of count, tab, reason. */
void each_failure(lua_State *L, const char *lines, void (*f)(lua_State *, const char *reason, uint64_t n))
{
	const char *end;
	for (; (end = strchr(lines, '\n')); lines = end + 1) {
		char *tab;
		uint64_t n = strtoull(lines, &tab, 10);
		lua_pushlstring(L, tab + 1, (size_t)(end - tab - 1));
		f(L, lua_tostring(L, -1), n);
		lua_pop(L, 1);
	}
}

/* Below the reason at the top: the table of failures. */
static void set_failure(lua_State *L, const char *reason, uint64_t n)
{
	lua_pushinteger(L, (lua_Integer)n);
	lua_setfield(L, -3, reason);
}

static void set_handshakes(lua_State *L, const struct sgo_stats *s, const char *failures)
{
	lua_createtable(L, 0, 4);
	set_count(L, "server", s->server_handshakes);
	set_count(L, "client", s->client_handshakes);
	set_count(L, "running", s->running_handshakes);
	lua_newtable(L);
	each_failure(L, failures, set_failure);
	lua_setfield(L, -2, "failed");
	lua_setfield(L, -2, "handshakes");
}

static void set_refused(lua_State *L, const struct sgo_stats *s)
{
	lua_createtable(L, 0, SGO_LIMITS);
	for (int i = 0; i < SGO_LIMITS; i++)
		set_count(L, limit_names[i], s->refused[i]);
	lua_setfield(L, -2, "refused");
}

static void set_queues(lua_State *L, const struct backend *b, const struct sgo_stats *s)
{
	lua_createtable(L, 0, 5);
	set_count(L, "commands", b->commands.used);
	set_count(L, "events", (uint64_t)(b->nevents - b->next_event));
	set_count(L, "unsent", s->unsent);
	set_count(L, "undelivered", s->undelivered);
	set_count(L, "buffered", s->buffered);
	lua_setfield(L, -2, "queues");
}

const char *const driver_reasons[SGO_REASONS] = {
	[SGO_SETTING] = "setting", [SGO_PROCESSORS] = "processors", [SGO_FAN_OUT] = "fan-out",
	[SGO_HANDSHAKES] = "handshakes", [SGO_LOAD] = "load", [SGO_CALM] = "calm", [SGO_LATE] = "late",
};

static void set_driver(lua_State *L, const struct sgo_stats *s)
{
	uint64_t switches = 0;
	lua_createtable(L, 0, SGO_REASONS);
	for (int i = 0; i < SGO_REASONS; i++) {
		set_count(L, driver_reasons[i], s->changes[i]);
		switches += s->changes[i];
	}
	lua_setfield(L, -2, "switch_reasons");
	set_count(L, "switches", switches);
	set_number(L, "thread_seconds", (double)s->thread_time / 1e9);
	lua_pushstring(L, s->threaded ? "thread" : "inline");
	lua_setfield(L, -2, "stepping");
	if (switches > 0) {
		lua_pushstring(L, driver_reasons[s->reason]);
		lua_setfield(L, -2, "stepping_reason");
	}
}

/* stats() → table; docs/statistics.md says what is in it. */
int api_stats(lua_State *L)
{
	struct backend *b = backend(L);
	struct sgo_stats s;
	struct sgo_text failures = {0};
	sgo_stats(b->io, &s, &failures);
	luaL_checkstack(L, 12, "stats");
	push_text(L, &failures);
	const char *lines = lua_tostring(L, -1);

	lua_createtable(L, 0, 24);
	lua_createtable(L, 0, 4);
	set_objects(L, "accepted", &s, SGO_ACCEPTS);
	set_objects(L, "outgoing", &s, SGO_DIALS);
	set_objects(L, "adopted", &s, SGO_ADOPTS);
	set_objects(L, "datagram", &s, SGO_DATAGRAMS);
	lua_setfield(L, -2, "connections");
	set_objects(L, "servers", &s, SGO_LISTENERS);
	set_objects(L, "watches", &s, SGO_WATCHES);
	set_count(L, "timers", b->timers.live);
	set_count(L, "goroutines", s.goroutines);
	set_count(L, "threads", s.threads);
	set_count(L, "received", s.received);
	set_count(L, "sent", s.sent);
	set_count(L, "events", s.events);
	set_count(L, "accept_errors", s.accept_errors);
	set_refused(L, &s);
	set_count(L, "buffers_full", s.buffers_full);
	set_handshakes(L, &s, lines);
	set_queues(L, b, &s);
	set_timing(L, "turns", &b->turns);
	set_timing(L, "timer_lag", &b->timer_lag);
	set_driver(L, &s);
	set_count(L, "stalls", s.stalls);
	lua_pushstring(L, sgo_go_version());
	lua_setfield(L, -2, "go");
	return 1;
}
