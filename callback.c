/*
 * The way into Lua. All calls to code that is not ours go through
 * call_protected, except where the reference leaves them unprotected
 * (watchfd, protect_listeners = false): their errors leave loop().
 */
#include "backend.h"

/*
 * Calls the function below nargs arguments at the top. On success its
 * nresults results replace them; on error, the message with a traceback.
 * message_handler: index of one below the function, or 0 for the traceback.
 */
static bool call_with(lua_State *L, struct backend *b, int nargs, int nresults, int message_handler)
{
	int function = lua_gettop(L) - nargs;
	bool pushed = message_handler == 0 && b->traceback_ref != LUA_NOREF;
	if (pushed) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, b->traceback_ref);
		lua_insert(L, function);
		message_handler = function;
	}
	uint64_t delivering = b->delivering;
	b->delivering = 0;
	bool ok = lua_pcall(L, nargs, nresults, message_handler) == LUA_OK;
	b->delivering = delivering;
	if (pushed)
		lua_remove(L, message_handler);
	return ok;
}

bool call_protected(lua_State *L, struct backend *b, int nargs, int nresults)
{
	return call_with(L, b, nargs, nresults, 0);
}

static void callback_failed(lua_State *L, struct backend *b, const char *name, int connection)
{
	lua_pushstring(L, name);
	lua_insert(L, -2);
	if (b->settings.fatal_errors) {
		log_object(L, connection, "error", "Closing due to error calling %s: %s", 2);
		struct object *o = check_object(L, b, connection); /* the logger may have closed it */
		if (o)
			destroy_object(L, b, connection, o);
	} else {
		log_object(L, connection, "error", "Error calling %s: %s", 2);
	}
}

/*
 * Calls listeners[name](connection, ...). At the top: the connection and
 * nargs arguments. Its one result replaces them: nil if there is no such
 * listener or it failed.
 */
void call_listener(lua_State *L, struct backend *b, const char *name, int nargs)
{
	int connection = lua_gettop(L) - nargs;
	luaL_checkstack(L, nargs + 8, "callback");
	lua_getfield(L, connection, "listeners");
	if (lua_isnil(L, -1)) {
		log_object(L, connection, "error", "Interface is missing listener callbacks", 0);
		goto nothing;
	}
	lua_getfield(L, -1, name);
	if (!lua_toboolean(L, -1)) {
		if (b->settings.verbose) {
			lua_pushstring(L, name);
			log_object(L, connection, "debug", "Missing listener '%s'", 1);
		}
		goto nothing;
	}
	/* connection, arguments, listeners, function */
	if (!b->settings.protect_listeners) {
		lua_insert(L, connection);
		lua_pop(L, 1);
		uint64_t delivering = b->delivering;
		b->delivering = 0; /* an error is no business of ours */
		lua_call(L, nargs + 1, 1);
		b->delivering = delivering;
		return;
	}
	lua_getfield(L, -2, "onerror");
	bool own_handler = !lua_isnil(L, -1);
	lua_replace(L, -3); /* onerror in the place of listeners */
	lua_pushvalue(L, connection);
	for (int i = 1; i <= nargs; i++)
		lua_pushvalue(L, connection + i);
	if (!call_with(L, b, nargs + 1, 1, own_handler ? connection + nargs + 1 : 0)) {
		callback_failed(L, b, name, connection);
		goto nothing;
	}
	lua_replace(L, connection);
	lua_settop(L, connection);
	return;
nothing:
	lua_settop(L, connection - 1);
	lua_pushnil(L);
}

/*
 * Calls the method that was assigned to the connection under the listener's
 * name (link does that), else the listener. At the top: the connection and
 * nargs arguments; pops them.
 */
void call_method_or_listener(lua_State *L, struct backend *b, const char *name, int nargs)
{
	int index = lua_gettop(L) - nargs;
	lua_pushstring(L, name);
	lua_rawget(L, index);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		call_listener(L, b, name, nargs);
		lua_pop(L, 1);
		return;
	}
	lua_pushvalue(L, index);
	lua_insert(L, index);
	lua_insert(L, index + 1);
	if (!call_protected(L, b, nargs + 1, 0)) {
		lua_pushstring(L, name);
		lua_insert(L, -2);
		log_object(L, index, "error", "Error calling %s: %s", 2);
	}
	lua_settop(L, index - 1);
}

/*
 * Calls listeners.ondisconnect(connection, reason). Returns false with an
 * error at the top that is not to be caught: the caller raises it once the
 * connection is cleared away.
 */
bool call_disconnect(lua_State *L, struct backend *b, int connection, const char *reason)
{
	if (b->settings.protect_listeners) {
		lua_pushvalue(L, connection);
		lua_pushstring(L, reason); /* NULL is nil */
		call_listener(L, b, "ondisconnect", 1);
		lua_pop(L, 1);
		return true;
	}
	lua_getfield(L, connection, "listeners");
	if (lua_istable(L, -1)) {
		lua_getfield(L, -1, "ondisconnect");
		lua_replace(L, -2);
	}
	if (!lua_toboolean(L, -1)) {
		lua_pop(L, 1);
		return true;
	}
	lua_pushvalue(L, connection);
	lua_pushstring(L, reason);
	return lua_pcall(L, 2, 0, 0) == LUA_OK;
}

/* Pushes logger.init(name) of Prosody, or outside Prosody nil: no logging. */
void push_logger(lua_State *L, struct backend *b, const char *name)
{
	if (b->logger_ref == LUA_NOREF) {
		lua_pushnil(L);
		return;
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->logger_ref);
	lua_pushstring(L, name);
	if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
		lua_pop(L, 1);
		lua_pushnil(L);
	}
}

/* Calls the log function below nargs arguments at the top, and pops all. A logger that fails has nobody to tell. */
static void log_with(lua_State *L, const char *level, const char *format, int nargs)
{
	int function = lua_gettop(L) - nargs;
	if (!lua_isfunction(L, function)) {
		lua_settop(L, function - 1);
		return;
	}
	luaL_checkstack(L, 4, "log");
	lua_pushstring(L, level);
	lua_insert(L, function + 1);
	lua_pushstring(L, format);
	lua_insert(L, function + 2);
	if (lua_pcall(L, nargs + 2, 0, 0) != LUA_OK)
		lua_pop(L, 1);
}

/* Logs with the logger of the object at index; pops nargs arguments. */
void log_object(lua_State *L, int index, const char *level, const char *format, int nargs)
{
	lua_getfield(L, index, "log");
	lua_insert(L, -nargs - 1);
	log_with(L, level, format, nargs);
}

void log_backend(lua_State *L, struct backend *b, const char *level, const char *format, int nargs)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->log_ref);
	lua_insert(L, -nargs - 1);
	log_with(L, level, format, nargs);
}
