/*
 * The Lua side's own declarations, file by file. The boundary to Go is
 * include/server_go.h.
 *
 * Every lua_CFunction of the module is a closure whose first upvalue is the
 * backend, a userdata. Global is only what a process has once: whether Go has
 * started (start.c), whether it was forked (module.c, daemon.c), and its signals
 * (host_signals.c, signal.c).
 */
#ifndef BACKEND_H
#define BACKEND_H

#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdbool.h>

#include "server_go.h"
#include "timer_queue.h"

/* RELAY: a connection through the methods of a socket object, see relay.c. To the I/O side it is a watch. */
enum kind { CONNECTION = 1, SERVER, WATCH, RELAY };

/*
 * What C knows of a live connection, server or watch. Its Lua table holds the
 * handle at [1], a TLS connection's context at [2], and is kept alive by the
 * table `objects`, at the index of the handle.
 */
struct object {
	uint64_t handle;
	uint64_t written; /* bytes ever written */
	uint64_t sent;    /* of these, known to have reached the kernel */
	uint64_t received;   /* bytes delivered to Lua */
	uint64_t tls_written, tls_received; /* the same when TLS started */
	struct relay *relay; /* RELAY only */
	int fd;
	enum kind kind;
	uint32_t flags;  /* WATCH, RELAY: as in sgo_watch */
	int32_t terms;   /* commands that changed how data is to be delivered */
	bool made;       /* whoever made it has come to the end: see object_made */
	bool connected;  /* onconnect was called */
	bool accepted;
	bool datagram;
	bool paused;     /* pause() is in force */
	bool unwatched;  /* set(false) is: the read timeout goes on */
	bool foreign;    /* made of a LuaSocket object, to be closed with it */
	bool held;       /* pause_writes is in force */
	bool closing;    /* close() was called, the output is being sent */
	bool ended;      /* ondisconnect was or is being called */
	bool dirty;      /* in backend.dirty */
	bool blocked;    /* block_reads() is in force */
	bool tls_started; /* starttls() was called, or TLS is direct */
	bool tls;         /* the handshake is complete */
};

/* Who reads the statistics: each has its own maxima. */
enum reader { READ_BY_STATS, READ_BY_METRICS, READERS };

/* How long something takes, as a histogram. */
#define TIMING_BOUNDS 6
struct timing {
	uint64_t buckets[TIMING_BOUNDS + 1], count;
	double seconds, longest[READERS];
};

struct backend {
	uint32_t io; /* number of the I/O side, 0 when closed */
	struct sgo_settings settings;
	bool prosody13;

	struct object **objects; /* by handle index - 1 */
	size_t nobjects, live;
	size_t unmade; /* of the live ones */
	struct sgo_buffer commands;
	struct sgo_buffer dirty; /* handles of the connections written to */
	size_t last_write;   /* offset + 1 of the last record if it is a write */

	struct sgo_event *events;
	int nevents, next_event;
	uint64_t delivering; /* handle of the event that is being delivered; 0 while code that is not ours may raise */

	bool quitting;
	double close_again, deadline; /* monotonic seconds */
	uint64_t id_state;

	struct timer_queue timers;

	struct sgo_wait wait; /* for what to wait before the next step */

	double turn_began;
	struct timing turns, timer_lag;

	/* registry references */
	int objects_ref, timers_ref, params_ref, signals_ref;
	int metatable_ref, relay_metatable_ref, socket_metatable_ref;
	int build_table_ref, disconnect_ref; /* functions to be called protected */
	int tls_socket_metatable_ref, context_metatable_ref, context_methods_ref;
	int contexts_ref;    /* weak: LuaSec's context → ours */
	int alpn_ref;        /* weak: our context → its ALPN function */
	int without_cas_ref; /* weak: LuaSec's context → the { cafile, capath } that it lacks */
	bool luasec_in_use;  /* somebody does TLS with LuaSec itself */
	int logger_ref, log_ref, traceback_ref;
	int nothing_ref; /* a Lua function that does nothing */
};

/* module.c */
struct backend *backend(lua_State *L);
void set_functions(lua_State *L, const luaL_Reg *functions);
int fail(lua_State *L, const char *message);
bool may_call_go(void);
double wall_clock(void);
double monotonic_clock(void);

/* start.c */
bool go_is_still_to_start(void);
bool start_go(char *text, size_t size);

/* host.c: what Go takes of the host */
bool host_has_room(char *text, size_t size);
bool reserve_threads(char *text, size_t size);
void backend_closed(void);

/* host_signals.c */
void hold_signals(sigset_t *mask);
void release_signals(const sigset_t *mask);
void keep_signals_from_go_threads(void);
void before_go_on_thread(void);
void restore_handlers(void);

/* step.c */
void step(lua_State *L, struct backend *b, double now);

/* daemon.c */
void fork_if_daemon(lua_State *L, bool prosody13);

/* commands.c: the log of commands for the I/O side */
void command(struct backend *b, const struct object *o, enum sgo_command_kind kind);
void command_number(struct backend *b, const struct object *o, enum sgo_command_kind kind, double value);
void command_terms(struct backend *b, struct object *o, enum sgo_command_kind kind, double value);
bool command_secure(struct backend *b, const struct object *o, enum sgo_command_kind kind, const struct sgo_secure *, const char *text);
void command_release(struct backend *b, uint64_t handle);
bool command_write(struct backend *b, struct object *o, const char *data, size_t length);
void mark_dirty(struct backend *b, struct object *o);
void flush_commands(struct backend *b);
void commands_applied(struct backend *b);
bool buffer_append(struct sgo_buffer *, const void *data, size_t length);
void buffer_free(struct sgo_buffer *);

/* object.c: connections, servers and watches as Lua sees them */
struct object *new_object(lua_State *L, struct backend *b, enum kind kind, const struct sgo_object *from);
int object_build_table(lua_State *L);
int object_disconnect(lua_State *L);
void object_made(struct backend *b, uint64_t handle);
void abandon_object(lua_State *L, struct backend *b, uint64_t handle);
void discard_unmade(lua_State *L, struct backend *b);
uint64_t handle_from(lua_Number n);
struct object *find_object(const struct backend *b, uint64_t handle);
struct object *check_object(lua_State *L, const struct backend *b, int arg);
void free_object(struct object *o);
bool push_object(lua_State *L, const struct backend *b, const struct object *o);
void end_connection(lua_State *L, struct backend *b, int index, struct object *o, const char *reason);
void destroy_object(lua_State *L, struct backend *b, int index, struct object *o);
void close_object(lua_State *L, struct backend *b, int index, struct object *o);
void set_names(lua_State *L, struct backend *b, int index, uint64_t handle);
void set_names_from(lua_State *L, int index, const char *text);
void set_id(lua_State *L, struct backend *b, int index, const char *prefix);
int object_tostring(lua_State *L);
int object_getfd(lua_State *L);
int foreign_fd(lua_State *L, int arg);
void check_listeners(lua_State *L, int arg);
bool check_callable(lua_State *L, int arg);
int read_mode(lua_State *L, int arg, int index);
double check_seconds(lua_State *L, int arg);
int check_port(lua_State *L, int arg);

/* callback.c: the way into Lua */
void call_listener(lua_State *L, struct backend *b, const char *name, int nargs);
bool call_disconnect(lua_State *L, struct backend *b, int connection, const char *reason);
bool call_protected(lua_State *L, struct backend *b, int nargs, int nresults);
void call_method_or_listener(lua_State *L, struct backend *b, const char *name, int nargs);
void log_object(lua_State *L, int index, const char *level, const char *format, int nargs);
void log_backend(lua_State *L, struct backend *b, const char *level, const char *format, int nargs);
void push_logger(lua_State *L, struct backend *b, const char *name);

/* one file for each group of functions */
extern const luaL_Reg connection_methods[];
extern const luaL_Reg socket_methods[];
extern const luaL_Reg tls_socket_methods[];
extern const luaL_Reg context_methods[];
extern const luaL_Reg open_functions[];
extern const luaL_Reg watch_functions[];
extern const luaL_Reg timer_functions[];
extern const luaL_Reg loop_functions[];
int api_set_config(lua_State *L);
int api_hook_signal(lua_State *L);
bool signals_arrived(const struct backend *b);
void deliver_signals(lua_State *L, struct backend *b);
void unhook_signals(const struct backend *b);
void run_timers(lua_State *L, struct backend *b);
uint64_t timer_start(lua_State *L, struct backend *b, double seconds, int function, int param);
void timer_cancel(lua_State *L, struct backend *b, uint64_t id);
void push_socket(lua_State *L, struct backend *b, uint64_t handle);
void push_tls_socket(lua_State *L, struct backend *b, uint64_t handle);

/* relay.c: connections through the methods of a socket object */
extern const luaL_Reg relay_methods[];
extern const char relay_tls_error[];
bool is_luasocket(lua_State *L, int index);
bool relay_init(struct object *o);
void relay_free(struct relay *r);
void relay_start(lua_State *L, struct backend *b, int index);
void relay_finish(lua_State *L, struct backend *b, int index, struct object *o);
void relay_stop_timers(lua_State *L, struct backend *b, struct object *o);

/* stats.c: what is counted for the operator; metrics.c publishes it */
extern const char *const limit_names[SGO_LIMITS];
extern const char *const limit_names[SGO_LIMITS];
extern const double timing_bounds[TIMING_BOUNDS];
extern const char *const driver_reasons[SGO_REASONS];
double timing_take_longest(struct timing *t, enum reader reader);
void turn_begins(struct backend *b);
double turn_ends(struct backend *b);
void timers_late(struct backend *b, double seconds);
void each_failure(lua_State *L, const char *lines, void (*f)(lua_State *, const char *reason, uint64_t n));
int api_stats(lua_State *L);
void open_metrics(lua_State *L);

/* context.c: TLS contexts */
struct context {
	uint32_t io;
	uint64_t id;
	bool dane;
};
void open_tls(lua_State *L, struct backend *b);
void push_config(lua_State *L, int config);
bool new_context(lua_State *L, struct backend *b, int config);
void remember_context(lua_State *L, struct backend *b, int key);
bool check_context(lua_State *L, struct backend *b, int index);
struct context *push_context(lua_State *L, struct backend *b, int index);
void keep_context(lua_State *L, int connection);
void push_alpn_function(lua_State *L, struct backend *b, int context);
int api_tls_builder(lua_State *L);

/* luasec.c: ssl.newcontext */
void wrap_luasec(lua_State *L);

/* tls.c: TLS on a connection */
void start_tls(lua_State *L, struct backend *b, int connection, struct object *o, bool direct);
void deliver_hello(lua_State *L, struct backend *b, int connection, struct object *o, const struct sgo_event *ev);
void deliver_secured(lua_State *L, struct backend *b, int connection, struct object *o, const struct sgo_event *ev);

/* peer.c: what is known of the session */
void push_text(lua_State *L, struct sgo_text *text);
int tls_info(lua_State *L);
int tls_peercertificate(lua_State *L);
int tls_peerchain(lua_State *L);
int tls_peerverification(lua_State *L);
int tls_peerfinished(lua_State *L);
int tls_finished(lua_State *L);
int tls_sniname(lua_State *L);
int tls_alpn(lua_State *L);
int tls_exportkeyingmaterial(lua_State *L);

#ifndef LUA_OK
#define LUA_OK 0
#endif
#if LUA_VERSION_NUM >= 502
#define lua_objlen lua_rawlen
#else
#define lua_pushglobaltable(L) lua_pushvalue(L, LUA_GLOBALSINDEX)
#endif

#endif
