/*
 * The statistics as metrics of Prosody's own: core.statsmanager fires the
 * event stats-update before it reads or sends what there is, and modules such
 * as mod_http_openmetrics show it. Nothing happens where it is not on.
 */
#include "backend.h"
#include "_cgo_export.h"

/* A family of metrics. label: the name of its one label, or NULL. */
struct family {
	const char *type, *name, *unit, *help, *label;
};

static const struct family
	connections = {"gauge", "connections", "", "Open connections", "kind"},
	connections_opened = {"counter", "connections_opened", "", "Connections that there have been", "kind"},
	servers = {"gauge", "servers", "", "Listening sockets", NULL},
	watches = {"gauge", "watches", "", "Watched file descriptors of others", NULL},
	timers = {"gauge", "timers", "", "Timers", NULL},
	goroutines = {"gauge", "goroutines", "", "Goroutines of the Go runtime", NULL},
	threads = {"gauge", "threads", "", "Threads of the Go runtime", NULL},
	received = {"counter", "received", "bytes", "Bytes received from the network", NULL},
	sent = {"counter", "sent", "bytes", "Bytes handed to the kernel to be sent", NULL},
	unsent = {"gauge", "unsent", "bytes", "Output that the kernel has not taken yet", NULL},
	undelivered = {"gauge", "undelivered", "bytes", "Input that Prosody has not taken yet", NULL},
	buffered = {"gauge", "buffered", "bytes", "Memory of the buffers that unsent and undelivered bytes are in", NULL},
	buffers_full = {"counter", "buffers_full", "", "Connections closed because all buffers together held too much", NULL},
	events = {"counter", "events", "", "Events delivered to Prosody", NULL},
	accept_errors = {"counter", "accept_errors", "", "Connections that could not be accepted", NULL},
	refused = {"counter", "refused", "", "Connections and TLS handshakes refused by a limit", "limit"},
	handshakes = {"counter", "tls_handshakes", "", "TLS handshakes completed", "role"},
	handshake_failures = {"counter", "tls_handshake_failures", "", "TLS handshakes failed", "reason"},
	handshakes_running = {"gauge", "tls_handshakes_running", "", "TLS handshakes under way", NULL},
	turn = {"histogram", "turn", "seconds", "Time that Prosody's callbacks take between two waits for events", NULL},
	longest_turn = {"gauge", "longest_turn", "seconds", "Longest turn since the last collection", NULL},
	timer_lag = {"histogram", "timer_lag", "seconds", "Time by which timers run late", NULL},
	longest_timer_lag = {"gauge", "longest_timer_lag", "seconds", "Longest delay of a timer since the last collection", NULL},
	threaded = {"gauge", "io_thread", "", "1 while a thread of its own does the I/O, 0 while Prosody's does", NULL},
	switches = {"counter", "io_thread_switches", "", "Changes of who does the I/O", "reason"},
	thread_time = {"counter", "io_thread", "seconds", "Time with a thread of its own for the I/O", NULL},
	stalls = {"counter", "stalls", "", "Times that the I/O side did not move for 5 s", NULL};

static void push_buckets(lua_State *L)
{
	lua_createtable(L, 0, 1);
	lua_createtable(L, TIMING_BOUNDS, 0);
	for (int i = 0; i < TIMING_BOUNDS; i++) {
		lua_pushnumber(L, timing_bounds[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "buckets");
}

/* Pushes the metric of family f with the value of its label. At index 1: statsmanager.metric. */
static void push_metric(lua_State *L, const struct family *f, const char *label_value)
{
	lua_pushvalue(L, 1);
	lua_pushstring(L, f->type);
	lua_pushfstring(L, "prosody_net_server_go_%s", f->name);
	lua_pushstring(L, f->unit);
	lua_pushstring(L, f->help);
	lua_newtable(L);
	if (f->label) {
		lua_pushstring(L, f->label);
		lua_rawseti(L, -2, 1);
	}
	push_buckets(L); /* for histograms; the others do not look */
	lua_call(L, 6, 1);
	lua_getfield(L, -1, "with_labels");
	lua_insert(L, -2);
	if (f->label)
		lua_pushstring(L, label_value);
	lua_call(L, f->label ? 2 : 1, 1);
}

static void set_labelled(lua_State *L, const struct family *f, const char *label_value, double n)
{
	push_metric(L, f, label_value);
	lua_getfield(L, -1, "set");
	lua_insert(L, -2);
	lua_pushnumber(L, n);
	lua_call(L, 2, 0);
}

static void set(lua_State *L, const struct family *f, double n) { set_labelled(L, f, NULL, n); }

static void set_objects(lua_State *L, const char *kind, const struct sgo_stats *s, enum sgo_kind k)
{
	set_labelled(L, &connections, kind, (double)(s->opened[k] - s->closed[k]));
	set_labelled(L, &connections_opened, kind, (double)s->opened[k]);
}

/*
 * Prosody's histograms take one sample at a time. Ours have been counted by
 * then, so they are set where the internal provider keeps them; what keeps
 * none, as statsd's, has the longest only.
 */
static void set_timing(lua_State *L, const struct family *f, const struct family *longest, struct timing *t)
{
	uint64_t n = 0;
	push_metric(L, f, NULL);
	for (int i = 0; i <= TIMING_BOUNDS; i++) {
		n += t->buckets[i];
		lua_rawgeti(L, -1, i + 1);
		if (lua_istable(L, -1)) {
			lua_pushnumber(L, (double)n);
			lua_setfield(L, -2, "count");
		}
		lua_pop(L, 1);
	}
	lua_pushnumber(L, t->seconds);
	lua_setfield(L, -2, "_sum");
	lua_pushnumber(L, (double)t->count);
	lua_setfield(L, -2, "_count");
	lua_pop(L, 1);
	set(L, longest, timing_take_longest(t, READ_BY_METRICS));
}

static void set_failure(lua_State *L, const char *reason, uint64_t n)
{
	set_labelled(L, &handshake_failures, reason, (double)n);
}

/* Argument 1 is statsmanager.metric. */
static int set_all(lua_State *L)
{
	struct backend *b = backend(L);
	struct sgo_stats s;
	struct sgo_text failures = {0};
	sgo_stats(b->io, &s, &failures);
	luaL_checkstack(L, 20, "metrics");
	push_text(L, &failures);
	set_objects(L, "accepted", &s, SGO_ACCEPTS);
	set_objects(L, "outgoing", &s, SGO_DIALS);
	set_objects(L, "adopted", &s, SGO_ADOPTS);
	set_objects(L, "datagram", &s, SGO_DATAGRAMS);
	set(L, &servers, (double)(s.opened[SGO_LISTENERS] - s.closed[SGO_LISTENERS]));
	set(L, &watches, (double)(s.opened[SGO_WATCHES] - s.closed[SGO_WATCHES]));
	set(L, &timers, (double)b->timers.live);
	set(L, &goroutines, (double)s.goroutines);
	set(L, &threads, (double)s.threads);
	set(L, &received, (double)s.received);
	set(L, &sent, (double)s.sent);
	set(L, &unsent, (double)s.unsent);
	set(L, &undelivered, (double)s.undelivered);
	set(L, &buffered, (double)s.buffered);
	set(L, &buffers_full, (double)s.buffers_full);
	set(L, &events, (double)s.events);
	set(L, &accept_errors, (double)s.accept_errors);
	for (int i = 0; i < SGO_LIMITS; i++)
		set_labelled(L, &refused, limit_names[i], (double)s.refused[i]);
	set_labelled(L, &handshakes, "server", (double)s.server_handshakes);
	set_labelled(L, &handshakes, "client", (double)s.client_handshakes);
	set(L, &handshakes_running, (double)s.running_handshakes);
	each_failure(L, lua_tostring(L, 2), set_failure);
	set_timing(L, &turn, &longest_turn, &b->turns);
	set_timing(L, &timer_lag, &longest_timer_lag, &b->timer_lag);
	set(L, &threaded, s.threaded);
	for (int i = 0; i < SGO_REASONS; i++)
		set_labelled(L, &switches, driver_reasons[i], (double)s.changes[i]);
	set(L, &thread_time, (double)s.thread_time / 1e9);
	set(L, &stalls, (double)s.stalls);
	return 0;
}

/* The handler of stats-update. An error would end Prosody's collection for good, so it goes to the log. */
static int on_stats_update(lua_State *L)
{
	struct backend *b = lua_touserdata(L, lua_upvalueindex(1));
	lua_settop(L, 0);
	if (b->io == 0 || !may_call_go())
		return 0;
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, 1, b->prosody13 ? "prosody.core.statsmanager" : "core.statsmanager");
	if (!lua_istable(L, 2))
		return 0;
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushcclosure(L, set_all, 1);
	lua_getfield(L, 2, "metric");
	if (!call_protected(L, b, 1, 0))
		log_backend(L, b, "warn", "Updating the statistics failed: %s", 1);
	return 0;
}

/*
 * Asks prosody.events for stats-update, if Prosody is around. Raw access:
 * Prosody logs the reading of a global that is not there. The backend is at index 1.
 */
void open_metrics(lua_State *L)
{
	int top = lua_gettop(L);
	lua_pushglobaltable(L);
	lua_pushliteral(L, "prosody");
	lua_rawget(L, -2);
	if (lua_istable(L, -1))
		lua_getfield(L, -1, "events");
	if (lua_istable(L, -1))
		lua_getfield(L, -1, "add_handler");
	if (lua_isfunction(L, -1)) {
		lua_pushliteral(L, "stats-update");
		lua_pushvalue(L, 1);
		lua_pushcclosure(L, on_stats_update, 1);
		lua_call(L, 2, 0);
	}
	lua_settop(L, top);
}
