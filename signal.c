/* hook_signal: signals as callbacks of the loop. */
#define _GNU_SOURCE /* gettid */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend.h"

/* What the process does with each signal that is hooked: the latest hook counts. */
static struct {
	uint32_t owner;           /* number of the backend's I/O side; 0: none */
	_Atomic pid_t thread;     /* of the loop */
	struct sigaction before;  /* what it had been handled by */
	bool blocked;             /* whether it had been */
} hooks[NSIG];

/* Signals that have arrived and are not delivered, as a set of bits. */
static _Atomic uint64_t arrived;

static uint64_t bit(int number) { return UINT64_C(1) << (number - 1); }

/* On any thread of the host's. The loop's has to learn of it, as it may wait. */
static void note_signal(int number)
{
	int saved = errno;
	pid_t thread = hooks[number].thread;
	if (gettid() == thread || syscall(SYS_tgkill, getpid(), thread, number) < 0)
		atomic_fetch_or(&arrived, bit(number));
	errno = saved;
}

/*
 * Whether number can be hooked: not what no process can catch, nor what the
 * processor raises on the instruction at fault, as a loop is no place for that;
 * nor SIGURG, which is Go's, and libc's own two.
 */
static bool hookable(int number)
{
	switch (number) {
	case SIGKILL: case SIGSTOP: case SIGSEGV: case SIGBUS: case SIGFPE: case SIGILL: case SIGURG: case 32: case 33:
		return false;
	}
	return number > 0 && number < NSIG;
}

/* Blocks the signal on this thread, or unblocks it; returns whether it was blocked. */
static bool set_blocked(int number, bool blocked)
{
	sigset_t one, before;
	sigemptyset(&one);
	sigaddset(&one, number);
	pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &one, &before);
	return sigismember(&before, number) == 1;
}

static bool hook(const struct backend *b, int number)
{
	struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART | SA_ONSTACK}, before;
	hooks[number].thread = gettid();
	if (hooks[number].owner == 0) {
		if (sigaction(number, &action, &before) < 0)
			return false;
		hooks[number].before = before;
		hooks[number].blocked = set_blocked(number, false);
	}
	hooks[number].owner = b->io;
	return true;
}

static void unhook(const struct backend *b, int number)
{
	if (hooks[number].owner != b->io)
		return;
	sigaction(number, &hooks[number].before, NULL);
	if (hooks[number].blocked)
		set_blocked(number, true);
	hooks[number].owner = 0;
	atomic_fetch_and(&arrived, ~bit(number));
}

/* Gives back every signal that b has hooked. */
void unhook_signals(const struct backend *b)
{
	for (int number = 1; number < NSIG; number++)
		unhook(b, number);
}

/*
 * hook_signal(number, handler) → true, or nil and a reason. The handler runs
 * in the loop; nil gives the signal back.
 */
int api_hook_signal(lua_State *L)
{
	struct backend *b = backend(L);
	lua_Number value = luaL_checknumber(L, 1);
	int number = value >= 1 && value <= 64 && value == (int)value ? (int)value : 0;
	lua_settop(L, 2);
	if (!lua_isnil(L, 2))
		luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->signals_ref);
	lua_rawgeti(L, 3, number);
	lua_pushvalue(L, 2);
	lua_rawseti(L, 3, number); /* first, for it may raise */
	if (!hookable(number) || (!lua_isnil(L, 2) && !hook(b, number))) {
		lua_rawseti(L, 3, number);
		lua_pushnil(L);
		lua_pushfstring(L, "signal %d cannot be handled", number);
		return 2;
	}
	if (lua_isnil(L, 2))
		unhook(b, number);
	lua_pushboolean(L, true);
	return 1;
}

/* Of the signals that have arrived, those that b has hooked. */
static uint64_t arrived_for(const struct backend *b)
{
	uint64_t mine = 0;
	for (uint64_t rest = arrived; rest; rest &= rest - 1) {
		int number = __builtin_ctzll(rest) + 1;
		if (hooks[number].owner == b->io)
			mine |= bit(number);
	}
	return mine;
}

bool signals_arrived(const struct backend *b) { return arrived_for(b) != 0; }

static void call_signal_handler(lua_State *L, struct backend *b, int number)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->signals_ref);
	lua_rawgeti(L, -1, number);
	lua_remove(L, -2);
	if (lua_isnil(L, -1)) { /* given back meanwhile */
		lua_pop(L, 1);
	} else if (!call_protected(L, b, 0, 0)) {
		log_backend(L, b, "error", "Error calling onsignal: %s", 1);
	}
}

/* Calls the handlers of the signals that have arrived. */
void deliver_signals(lua_State *L, struct backend *b)
{
	for (uint64_t rest = arrived_for(b); rest; rest &= rest - 1) {
		int number = __builtin_ctzll(rest) + 1;
		atomic_fetch_and(&arrived, ~bit(number)); /* one that comes from now on is another */
		call_signal_handler(L, b, number);
	}
}
