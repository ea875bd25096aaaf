/* What is known of a TLS session and the peer, in LuaSec's forms. */
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "_cgo_export.h"

/* Pushes a text from Go and frees it. */
void push_text(lua_State *L, struct sgo_text *text)
{
	lua_pushlstring(L, text->data, text->length);
	free(text->data);
	text->data = NULL;
}

/* Pushes the answer to a question about the session of o; false if there is none. */
static bool push_query(lua_State *L, struct backend *b, const struct object *o, enum sgo_tls_question question, int arg)
{
	struct sgo_text text = {0};
	if (o == NULL || !sgo_tls_query(b->io, o->handle, question, arg, &text))
		return false;
	push_text(L, &text);
	return true;
}

/* Pushes LuaSec's info table from lines of type and name, tab, value. */
static bool push_info(lua_State *L, struct backend *b, const struct object *o)
{
	if (!push_query(L, b, o, SGO_TLS_INFO, 0))
		return false;
	lua_createtable(L, 0, 10);
	const char *line = lua_tostring(L, -2), *end;
	for (; (end = strchr(line, '\n')); line = end + 1) {
		const char *tab = memchr(line, '\t', (size_t)(end - line));
		lua_pushlstring(L, line + 1, (size_t)(tab - line - 1));
		lua_pushlstring(L, tab + 1, (size_t)(end - tab - 1));
		if (*line == 'n') {
			lua_pushnumber(L, lua_tonumber(L, -1));
			lua_replace(L, -2);
		} else if (*line == 'b') {
			lua_pushboolean(L, end - tab > 1);
			lua_replace(L, -2);
		}
		lua_rawset(L, -3);
	}
	lua_remove(L, -2);
	return true;
}

/* What a method of a TLS socket says when there is no TLS (any more). */
static int no_session(lua_State *L, const struct object *o)
{
	return fail(L, o ? "not-implemented" : "not-connected");
}

/* info([field]) → LuaSec's information table, or one field of it. */
int tls_info(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	lua_settop(L, 2);
	if (!push_info(L, b, o))
		return no_session(L, o);
	if (lua_type(L, 2) == LUA_TSTRING) {
		lua_pushvalue(L, 2);
		lua_rawget(L, -2);
	}
	return 1;
}

/* Pushes LuaSec's certificate object for number n of the peer's chain; false at its end. Calls Lua. */
static bool push_certificate(lua_State *L, struct backend *b, int n)
{
	const struct object *o = check_object(L, b, 1);
	if (!push_query(L, b, o, SGO_TLS_CERTIFICATE, n))
		return false;
	lua_getglobal(L, "require");
	lua_pushliteral(L, "ssl");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "loadcertificate");
	lua_remove(L, -2);
	lua_insert(L, -2);
	lua_call(L, 1, 1);
	return true;
}

/* getpeercertificate([depth]) → certificate object, or nil. Depth counts from 1, as in LuaSec. */
int tls_peercertificate(lua_State *L)
{
	struct backend *b = backend(L);
	lua_Number n = luaL_optnumber(L, 2, 1);
	luaL_argcheck(L, n >= 1 && n <= INT32_MAX, 2, "invalid certificate index");
	if (push_certificate(L, b, (int)n - 1))
		return 1;
	struct object *o = check_object(L, b, 1);
	if (push_query(L, b, o, SGO_TLS_INFO, 0)) {
		lua_pushnil(L);
		return 1;
	}
	return no_session(L, o);
}

/* getpeerchain() → list of certificate objects, leaf first. */
int tls_peerchain(lua_State *L)
{
	struct backend *b = backend(L);
	lua_settop(L, 1);
	lua_newtable(L);
	for (int i = 0; push_certificate(L, b, i); i++)
		lua_rawseti(L, 2, i + 1);
	return 1;
}

/* getpeerverification() → true; or false and the errors, as list by depth + 1 or as one text. */
int tls_peerverification(lua_State *L)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (!push_query(L, b, o, SGO_TLS_VERIFICATION, 0)) {
		lua_pushnil(L);
		if (o == NULL) {
			lua_pushliteral(L, "not-connected");
		} else {
			lua_createtable(L, 1, 0);
			lua_createtable(L, 1, 0);
			lua_pushliteral(L, "Chain verification not supported");
			lua_rawseti(L, -2, 1);
			lua_rawseti(L, -2, 1);
		}
		return 2;
	}
	const char *line = lua_tostring(L, -1), *end = strchr(line, '\n');
	lua_pushboolean(L, end == NULL);
	if (end == NULL)
		return 1;
	if (b->prosody13 && end > line) { /* 0.12 takes tables only */
		lua_pushlstring(L, line, (size_t)(end - line));
		return 2;
	}
	lua_newtable(L);
	for (line = end + 1; (end = strchr(line, '\n')); line = end + 1) {
		int depth = (int)strtol(line, NULL, 10);
		const char *tab = memchr(line, '\t', (size_t)(end - line));
		lua_rawgeti(L, -1, depth + 1);
		if (lua_isnil(L, -1)) {
			lua_pop(L, 1);
			lua_newtable(L);
			lua_pushvalue(L, -1);
			lua_rawseti(L, -3, depth + 1);
		}
		lua_pushlstring(L, tab + 1, (size_t)(end - tab - 1));
		lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
		lua_pop(L, 1);
	}
	return 2;
}

static int push_string_or_nil(lua_State *L, enum sgo_tls_question question)
{
	struct backend *b = backend(L);
	struct object *o = check_object(L, b, 1);
	if (push_query(L, b, o, question, 0))
		return 1;
	if (o == NULL || !o->tls)
		return no_session(L, o);
	lua_pushnil(L);
	return 1;
}

int tls_peerfinished(lua_State *L) { return push_string_or_nil(L, SGO_TLS_FINISHED); }
int tls_finished(lua_State *L) { return push_string_or_nil(L, SGO_TLS_OWN_FINISHED); }
int tls_sniname(lua_State *L) { return push_string_or_nil(L, SGO_TLS_SERVER_NAME); }
int tls_alpn(lua_State *L) { return push_string_or_nil(L, SGO_TLS_ALPN); }

/* exportkeyingmaterial(label, length, context) → string, or nil and a reason. */
int tls_exportkeyingmaterial(lua_State *L)
{
	struct backend *b = backend(L);
	if (check_object(L, b, 1) == NULL)
		return no_session(L, NULL);
	size_t label_length, context_length = 0;
	const char *label = luaL_checklstring(L, 2, &label_length);
	lua_Number n = luaL_checknumber(L, 3);
	const char *context = luaL_optlstring(L, 4, NULL, &context_length);
	luaL_argcheck(L, n >= 1 && n <= 65535, 3, "length from 1 to 65535 expected");
	struct sgo_text key = {0};
	struct object *o = check_object(L, b, 1);
	if (o == NULL || sgo_tls_export(b->io, o->handle, (char *)label, label_length, (char *)context, context_length, (int)n, &key) < 0)
		return no_session(L, o);
	push_text(L, &key);
	return 1;
}
