/* What the files relay*.c share. relay.c says what a relay is. */
#ifndef RELAY_H
#define RELAY_H

#include "backend.h"

enum relay_timer { READ_TIMER, WRITE_TIMER, PAUSE_TIMER, RELAY_TIMERS };

struct relay {
	struct sgo_buffer output;      /* what was written */
	size_t taken;                  /* bytes of it that the object has taken */
	uint64_t timers[RELAY_TIMERS]; /* 0, or the id of a timer, which may be over */
	double limit;                  /* bytes per second, 0: none */
	bool is_socket; /* only sockets have timeouts by default: a pipe has no peer that may fall silent */
	bool sending;   /* the object's send is running */
};

/* relay.c: all of them expect the connection's table at index 1, unless they have an index */
struct object *live_relay(lua_State *L, struct backend *b);
void relay_watch(struct backend *b, struct object *o, uint32_t more, uint32_t less);
bool relay_push_method(lua_State *L, const char *name);
bool relay_is_dirty(lua_State *L, struct backend *b);
void relay_update_names(lua_State *L, struct backend *b);
void relay_stop_timer(lua_State *L, struct backend *b, struct object *o, enum relay_timer timer);
void relay_expect_input(lua_State *L, struct backend *b, double seconds);
void relay_expect_output_taken(lua_State *L, struct backend *b, int index, double seconds);
void relay_pause_for(lua_State *L, struct backend *b, double seconds);

/* relay_io.c: reading and writing */
void relay_expect_more_input(lua_State *L, struct backend *b);
void relay_wait_for_input(lua_State *L, struct backend *b, size_t delivered);
int relay_onreadable(lua_State *L);
int relay_onwritable(lua_State *L);

#endif
