/*
 * A Lua module for test/lua/signal_storm.lua: signal handlers as other modules install
 * them (without SA_ONSTACK, with a large frame, with a hook of Lua's), and a
 * process that sends signals, each once the one before has been handled.
 */
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lua.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LARGEST 64 /* KiB */

/* What the sender and the handlers share. Times are monotonic, in ns. */
static struct {
	volatile long handled, hooked;
	volatile long misplaced; /* on another thread, or the frame was written to */
	volatile long long sent_at, worst;
} *shared;

static pid_t thread, sender;
static lua_State *hooked_state;

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void note(long long *worst_of_all)
{
	long long took = now() - shared->sent_at;
	if (took > *worst_of_all)
		*worst_of_all = took;
}

/* As util.signal and luaposix do it: Lua is told by a hook. */
static void hook(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	lua_sethook(L, NULL, 0, 0);
	note((long long *)&shared->worst);
	shared->hooked++;
}

static __attribute__((noinline)) void handle(int number, size_t size)
{
	volatile unsigned char frame[size];
	for (size_t i = 0; i < size; i++)
		frame[i] = (unsigned char)number;
	if (gettid() != thread)
		shared->misplaced++;
	if (hooked_state)
		lua_sethook(hooked_state, hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
	else
		note((long long *)&shared->worst);
	for (size_t i = 0; i < size; i++)
		if (frame[i] != (unsigned char)number)
			shared->misplaced++;
	shared->handled++;
}

static void handle_8(int number) { handle(number, 8 << 10); }
static void handle_64(int number) { handle(number, 64 << 10); }

/* install(number, KiB, onstack): a handler with such a frame, 8 or 64. */
static int install(lua_State *L)
{
	struct sigaction action = {.sa_handler = luaL_checkinteger(L, 2) == 64 ? handle_64 : handle_8};
	action.sa_flags = lua_toboolean(L, 3) ? SA_ONSTACK : 0;
	thread = gettid();
	if (sigaction((int)luaL_checkinteger(L, 1), &action, NULL) < 0)
		return luaL_error(L, "sigaction failed");
	return 0;
}

/* hook(on): from now on handlers set a hook of the calling Lua thread. */
static int set_hook(lua_State *L)
{
	hooked_state = lua_toboolean(L, 1) ? L : NULL;
	return 0;
}

/* Waits until *count has reached n, for 20 s at most. */
static void await(volatile long *count, long n)
{
	for (long long end = now() + 20000000000LL; *count < n && now() < end;)
		sched_yield();
	if (*count < n)
		_exit(1);
}

static _Noreturn void send(int number, long count, useconds_t pause, volatile long *done)
{
	pid_t host = getppid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (long i = 0; i < count; i++) {
		if (pause)
			usleep(pause);
		shared->sent_at = now();
		if (kill(host, number) < 0)
			_exit(1);
		await(done, i + 1);
	}
	_exit(0);
}

/* send(number, count, pause in us): starts the sender. */
static int start_sender(lua_State *L)
{
	int number = (int)luaL_checkinteger(L, 1);
	long count = (long)luaL_checkinteger(L, 2);
	useconds_t pause = (useconds_t)luaL_optinteger(L, 3, 0);
	memset(shared, 0, sizeof *shared);
	sender = fork();
	if (sender == 0)
		send(number, count, pause, hooked_state ? &shared->hooked : &shared->handled);
	lua_pushboolean(L, sender > 0);
	return 1;
}

/* finished() → nil while it sends; then whether each signal was handled */
static int finished(lua_State *L)
{
	int status;
	if (waitpid(sender, &status, WNOHANG) != sender)
		return 0;
	lua_pushboolean(L, status == 0);
	return 1;
}

/* seen() → signals handled, hooks run, of them misplaced, longest delay in seconds */
static int seen(lua_State *L)
{
	lua_pushinteger(L, shared->handled);
	lua_pushinteger(L, shared->hooked);
	lua_pushinteger(L, shared->misplaced);
	lua_pushnumber(L, (lua_Number)shared->worst * 1e-9);
	return 4;
}

int luaopen_storm(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"install", install}, {"hook", set_hook}, {"send", start_sender},
		{"finished", finished}, {"seen", seen}, {NULL, NULL},
	};
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return luaL_error(L, "no memory");
	luaL_newlib(L, functions);
	return 1;
}
