#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "backend.h"
#include "_cgo_export.h"

/*
 * Set in a forked child. Go's threads exist in the parent only, so any call
 * into Go would hang there.
 */
static volatile bool in_forked_child;
static const char forked[] = "net.server_go cannot be used in a forked process";

static void after_fork_in_child(void) { in_forked_child = true; }

static struct rlimit host_nofile;

/* Runs before Go's own initialisation, which raises the soft limit of open files. */
__attribute__((constructor(101))) static void remember_host(void)
{
	getrlimit(RLIMIT_NOFILE, &host_nofile);
}

/* Gives the host back what is its own. Nothing in this module can raise SIGPIPE. */
static void first_open(void)
{
	restore_handlers();
	setrlimit(RLIMIT_NOFILE, &host_nofile);
	pthread_atfork(NULL, NULL, after_fork_in_child);
}

bool may_call_go(void) { return !in_forked_child; }

/* The backend of the running function. Raises where Go cannot be called. */
struct backend *backend(lua_State *L)
{
	struct backend *b = lua_touserdata(L, lua_upvalueindex(1));
	if (in_forked_child)
		luaL_error(L, "%s", forked);
	if (b->io == 0)
		luaL_error(L, "net.server_go: the backend is closed");
	return b;
}

/* Returns nil, message. */
int fail(lua_State *L, const char *message)
{
	lua_pushnil(L);
	lua_pushstring(L, message);
	return 2;
}

static double clock_seconds(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double wall_clock(void) { return clock_seconds(CLOCK_REALTIME); }
double monotonic_clock(void) { return clock_seconds(CLOCK_MONOTONIC); }

/* Adds functions to the table at the top; the backend is at index 1. */
void set_functions(lua_State *L, const luaL_Reg *functions)
{
	for (; functions->name; functions++) {
		lua_pushvalue(L, 1);
		lua_pushcclosure(L, functions->func, 1);
		lua_setfield(L, -2, functions->name);
	}
}

/* Nothing may use the backend again. */
static void close_backend(struct backend *b)
{
	if (b->io != 0 && !in_forked_child) {
		unhook_signals(b);
		sgo_close(b->io);
	}
	if (b->io != 0)
		backend_closed();
	b->io = 0;
	for (size_t i = 0; i < b->nobjects; i++)
		free_object(b->objects[i]);
	free(b->objects);
	b->objects = NULL;
	b->nobjects = b->live = 0;
	b->nevents = b->next_event = 0;
	buffer_free(&b->commands);
	buffer_free(&b->dirty);
	timer_queue_free(&b->timers);
}

/* lua_close */
static int backend_gc(lua_State *L)
{
	close_backend(lua_touserdata(L, 1));
	return 0;
}

/* luaopen has failed. What it left in the registry would keep the backend, and be there twice after another try. */
static void undo_open(lua_State *L, struct backend *b)
{
	const int refs[] = {
		b->objects_ref, b->timers_ref, b->params_ref, b->signals_ref, b->metatable_ref, b->relay_metatable_ref, b->socket_metatable_ref,
		b->tls_socket_metatable_ref, b->context_metatable_ref, b->context_methods_ref, b->contexts_ref, b->alpn_ref,
		b->without_cas_ref, b->build_table_ref, b->disconnect_ref, b->nothing_ref, b->logger_ref, b->log_ref, b->traceback_ref,
	};
	if (b->io == 0) /* it has not got so far, or sgo_open has failed */
		backend_closed();
	close_backend(b);
	for (size_t i = 0; i < sizeof refs / sizeof *refs; i++)
		if (refs[i] > 0) /* 0: it was not come to */
			luaL_unref(L, LUA_REGISTRYINDEX, refs[i]);
}

static int api_get_backend(lua_State *L)
{
	lua_pushliteral(L, "go");
	return 1;
}

static int new_table_ref(lua_State *L)
{
	lua_newtable(L);
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* A reference to field `name` of module `module`, or LUA_NOREF. */
static int require_field(lua_State *L, const char *module, const char *name)
{
	int top = lua_gettop(L), ref = LUA_NOREF;
	lua_getglobal(L, "require");
	lua_pushstring(L, module);
	if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_istable(L, -1)) {
		lua_getfield(L, -1, name);
		if (lua_isfunction(L, -1))
			ref = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_settop(L, top);
	return ref;
}

static int traceback_ref(lua_State *L)
{
	int top = lua_gettop(L), ref = LUA_NOREF;
	lua_getglobal(L, "debug");
	if (lua_istable(L, -1)) {
		lua_getfield(L, -1, "traceback");
		if (lua_isfunction(L, -1))
			ref = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_settop(L, top);
	return ref;
}

/* A reference to a function of ours; the backend is at index 1. */
static int function_ref(lua_State *L, lua_CFunction function)
{
	lua_pushvalue(L, 1);
	lua_pushcclosure(L, function, 1);
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* A new metatable whose __index has the given methods; those of `more`, which may be NULL, come over them. */
static int metatable_ref(lua_State *L, const luaL_Reg *methods, const luaL_Reg *more)
{
	lua_newtable(L);
	lua_newtable(L);
	set_functions(L, methods);
	if (more)
		set_functions(L, more);
	lua_setfield(L, -2, "__index");
	lua_pushvalue(L, 1);
	lua_pushcclosure(L, object_tostring, 1);
	lua_setfield(L, -2, "__tostring");
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Raw access: Prosody logs the reading of a global that is not there. */
static bool is_server(lua_State *L)
{
	int top = lua_gettop(L);
	lua_pushglobaltable(L);
	lua_pushliteral(L, "prosody");
	lua_rawget(L, -2);
	if (lua_istable(L, -1)) {
		lua_pushliteral(L, "process_type");
		lua_rawget(L, -2);
	}
	bool yes = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "prosody") == 0;
	lua_settop(L, top);
	return yes;
}

/* Not for prosodyctl, whose log is the terminal. */
static void log_go_version(lua_State *L, struct backend *b)
{
	if (!is_server(L))
		return;
	lua_pushstring(L, sgo_go_version());
	log_backend(L, b, "info", "Built with %s", 1);
}

/* Go is up when it has answered, be it with an error. */
static uint32_t open_io(struct sgo_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint32_t io = sgo_open(err);
	pthread_once(&once, first_open);
	return io;
}

/* Pushes a backend with nothing in it. */
static struct backend *push_backend(lua_State *L, bool prosody13)
{
	struct backend *b = lua_newuserdata(L, sizeof *b);
	memset(b, 0, sizeof *b);
	b->wait.fd = -1;
	b->prosody13 = prosody13;
	lua_newtable(L);
	lua_pushcfunction(L, backend_gc);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	return b;
}

/* Opens the backend at index 1, and makes what it keeps in the registry. */
static void open_backend(lua_State *L, struct backend *b)
{
	struct sgo_error err = {{0}};
	b->io = open_io(&err);
	if (b->io == 0)
		luaL_error(L, "net.server_go: %s", err.text);
	if (getrandom(&b->id_state, sizeof b->id_state, GRND_NONBLOCK) < 0)
		b->id_state = (uint64_t)time(NULL); /* ids are for logs only */
	b->objects_ref = new_table_ref(L);
	b->timers_ref = new_table_ref(L);
	b->params_ref = new_table_ref(L);
	b->signals_ref = new_table_ref(L);
	b->metatable_ref = metatable_ref(L, connection_methods, NULL);
	b->relay_metatable_ref = metatable_ref(L, connection_methods, relay_methods);
	b->socket_metatable_ref = metatable_ref(L, socket_methods, NULL);
	b->tls_socket_metatable_ref = metatable_ref(L, tls_socket_methods, NULL);
	b->build_table_ref = function_ref(L, object_build_table);
	b->disconnect_ref = function_ref(L, object_disconnect);
	b->traceback_ref = traceback_ref(L);
	if (luaL_loadstring(L, "return") != LUA_OK)
		lua_error(L);
	b->nothing_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	b->logger_ref = require_field(L, "util.logger", "init");
	push_logger(L, b, "server_go");
	b->log_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	log_go_version(L, b);
	open_tls(L, b);
}

static void push_event_table(lua_State *L)
{
	lua_newtable(L);
	lua_pushliteral(L, "r");
	lua_setfield(L, -2, "EV_READ");
	lua_pushliteral(L, "w");
	lua_setfield(L, -2, "EV_WRITE");
	lua_pushliteral(L, "rw");
	lua_setfield(L, -2, "EV_READWRITE");
	lua_pushinteger(L, -1);
	lua_setfield(L, -2, "EV_LEAVE");
}

static const luaL_Reg general_functions[] = {
	{"get_backend", api_get_backend},
	{"set_config", api_set_config},
	{"hook_signal", api_hook_signal},
	{"stats", api_stats},
	{"tls_builder", api_tls_builder},
	{NULL, NULL}
};

/* (backend) → the module's table */
static int open_module(lua_State *L)
{
	open_backend(L, lua_touserdata(L, 1));
	lua_settop(L, 1);

	lua_newtable(L);
	set_functions(L, general_functions);
	set_functions(L, open_functions);
	set_functions(L, watch_functions);
	set_functions(L, loop_functions);
	lua_newtable(L);
	set_functions(L, timer_functions);
	lua_getfield(L, -1, "add_task");
	lua_pushvalue(L, -1);
	lua_setfield(L, 2, "add_task");
	lua_setfield(L, 2, "addtimer");
	lua_setfield(L, 2, "timer");
	push_event_table(L);
	lua_setfield(L, 2, "event");
	open_metrics(L);

	/* Defaults for C, as for Go. */
	lua_getfield(L, 2, "set_config");
	lua_newtable(L);
	lua_call(L, 1, 0);
	return 1;
}

/* require's arguments are the module's name, with "prosody." on Prosody 13, and its path. */
__attribute__((visibility("default"))) int luaopen_net_server_go(lua_State *L)
{
	if (in_forked_child)
		return luaL_error(L, "%s", forked);
	const char *name = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "";
	bool prosody13 = strncmp(name, "prosody.", 8) == 0;
	lua_settop(L, 0);
	fork_if_daemon(L, prosody13);
	struct backend *b = push_backend(L, prosody13);
	char text[256];
	if (!start_go(text, sizeof text))
		return luaL_error(L, "net.server_go: %s", text);
	lua_pushcfunction(L, open_module);
	lua_pushvalue(L, 1);
	if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
		undo_open(L, b);
		return lua_error(L);
	}
	return 1;
}

__attribute__((visibility("default"))) int luaopen_prosody_net_server_go(lua_State *L)
{
	return luaopen_net_server_go(L);
}
