/*
 * A host whose memory runs out: Lua with an allocator that fails at the n-th
 * call, for each n in turn, in a process of its own each.
 *
 *     alloc_host SCRIPT SCENARIO [FIRST [LAST]]
 *
 * The script gets SCENARIO, n and how many calls in a row are to fail (Lua
 * itself tries twice). It calls arm(n, fails) where counting begins, and
 * disarm() → calls that failed. It returns true, false if no call failed (n is
 * beyond the end), or raises what is wrong. A process that crashes, takes
 * longer than LONGEST or leaves memory behind has failed too.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONGEST = 30 /* seconds */, AT_ONCE = 4, REPORTS = 10 };
enum { PASSED = 0, FAILED = 1, BEYOND = 2 };

static long calls, first_failure, failures_left, failed;
static size_t live;

static void *allocate(void *data, void *old, size_t old_size, size_t size)
{
	(void)data;
	if (old == NULL)
		old_size = 0;
	if (size > old_size && first_failure && ++calls >= first_failure && failures_left > 0) {
		failures_left--;
		failed++;
		return NULL;
	}
	live += size - old_size;
	if (size == 0) {
		free(old);
		return NULL;
	}
	void *new = realloc(old, size);
	if (new == NULL)
		abort();
	return new;
}

static int l_arm(lua_State *L)
{
	long n = (long)luaL_checkinteger(L, 1);
	failures_left = (long)luaL_checkinteger(L, 2);
	calls = failed = 0;
	first_failure = n;
	return 0;
}

static int l_disarm(lua_State *L)
{
	first_failure = 0;
	lua_pushinteger(L, failed);
	return 1;
}

static int run(const char *script, const char *scenario, int n, int fails)
{
	lua_State *L = lua_newstate(allocate, NULL);
	luaL_openlibs(L);
	lua_register(L, "arm", l_arm);
	lua_register(L, "disarm", l_disarm);
	lua_getglobal(L, "debug");
	lua_getfield(L, -1, "traceback");
	if (luaL_loadfile(L, script) != LUA_OK) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		return FAILED;
	}
	lua_pushstring(L, scenario);
	lua_pushinteger(L, n);
	lua_pushinteger(L, fails);
	int status = lua_pcall(L, 3, 1, 2);
	first_failure = 0;
	if (status != LUA_OK) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		return FAILED;
	}
	bool beyond = !lua_toboolean(L, -1);
	lua_close(L);
	if (live)
		fprintf(stderr, "%zu bytes left after lua_close\n", live);
	return live ? FAILED : beyond ? BEYOND : PASSED;
}

static struct {
	pid_t pid;
	int n, fails;
} running[AT_ONCE];
static int reports, last_n;

/* Waits for one of the processes. Returns its place, to be used again. */
static int wait_for_one(const char *scenario)
{
	int status, place = 0;
	pid_t pid = wait(&status);
	while (running[place].pid != pid)
		place++;
	running[place].pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == BEYOND) {
		if (last_n == 0 || running[place].n < last_n)
			last_n = running[place].n;
	} else if (status != 0) {
		fprintf(stderr, "%s: with %d failures from call %d on: %s %d\n", scenario, running[place].fails, running[place].n,
			WIFSIGNALED(status) ? "signal" : "exit status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		reports++;
	}
	return place;
}

int main(int argc, char **argv)
{
	static const int fails[] = {2, 5};
	int place = 0, started = 0;
	int n = argc > 3 ? atoi(argv[3]) : 1, end = argc > 4 ? atoi(argv[4]) : 1000000;
	for (; n <= end && last_n == 0 && reports < REPORTS; n++) {
		for (size_t i = 0; i < sizeof fails / sizeof *fails; i++) {
			if (started++ >= AT_ONCE)
				place = wait_for_one(argv[2]);
			else
				place = started - 1;
			running[place].n = n;
			running[place].fails = fails[i];
			running[place].pid = fork();
			if (running[place].pid == 0) {
				alarm(LONGEST);
				_exit(run(argv[1], argv[2], n, fails[i]));
			}
		}
	}
	for (int left = started < AT_ONCE ? started : AT_ONCE; left > 0; left--)
		wait_for_one(argv[2]);
	printf("%s: %d calls, %d failures\n", argv[2], (last_n ? last_n : n) - 1, reports);
	return reports != 0;
}
