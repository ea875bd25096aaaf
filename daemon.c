/*
 * `prosody -D`. Prosody forks to detach after its network backend is loaded,
 * and no thread survives a fork; so the fork is made while luaopen runs, before
 * Go starts. Everything else happens in the child, on the same terminal, until
 * Prosody calls pposix.daemonize(), which only detaches. The process that was
 * started waits: it exits with 0 then, or as the child does if that ends before.
 */
#define _GNU_SOURCE /* pipe2 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend.h"

static int to_parent = -1; /* pipe to the process that waits; -1: none does */
static int fork_error;

/* Returns false, reason: daemonize() answers like util.pposix's. */
static int not_daemonized(lua_State *L, const char *reason)
{
	lua_pushboolean(L, false);
	lua_pushstring(L, reason);
	return 2;
}

static bool stdio_to_null(void)
{
	return freopen("/dev/null", "r", stdin) && freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr);
}

/* daemonize() → true, or false and a reason */
static int daemonize(lua_State *L)
{
	if (fork_error)
		return not_daemonized(L, strerror(fork_error));
	if (to_parent < 0)
		return not_daemonized(L, "already-daemonized");
	if (setsid() < 0 || !stdio_to_null())
		return not_daemonized(L, strerror(errno));
	prctl(PR_SET_PDEATHSIG, 0);
	while (write(to_parent, "", 1) < 0 && errno == EINTR)
		;
	close(to_parent);
	to_parent = -1;
	lua_pushboolean(L, true);
	return 1;
}

static void restore_default_handlers(void)
{
	for (int number = 1; number < NSIG; number++) {
		struct sigaction action;
		if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN && action.sa_handler != SIG_DFL)
			signal(number, SIG_DFL);
	}
	signal(SIGCHLD, SIG_DFL); /* ignored, it would take the status away */
}

/* The process that was started. It is gone at a signal; the child then gets SIGTERM. */
static _Noreturn void wait_for(pid_t child, int end)
{
	char byte;
	ssize_t n;
	int status = 0;
	restore_default_handlers();
	do
		n = read(end, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		_exit(0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* Returns in the child only, unless it fails. */
static void fork_and_wait(void)
{
	int ends[2];
	pid_t parent = getpid(), child;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		fork_error = errno;
		return;
	}
	fflush(NULL); /* lest both print what is buffered */
	child = fork();
	if (child > 0) {
		close(ends[1]);
		wait_for(child, ends[0]);
	}
	fork_error = child < 0 ? errno : 0;
	close(ends[0]);
	if (child < 0) {
		close(ends[1]);
		return;
	}
	to_parent = ends[1];
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) /* it was killed meanwhile */
		raise(SIGTERM);
}

/*
 * Whether this is a Prosody that will daemonize, as mod_posix (0.12) and
 * util.startup (13) decide. If so, has it call the function that is given.
 */
static const char take_over[] =
	"local prosody13, daemonize = ...;\n"
	"local prosody = rawget(_G, 'prosody');\n"
	"if not prosody or prosody.process_type ~= 'prosody' then return false; end\n"
	"local wanted = prosody.opts.daemonize;\n"
	"if wanted == nil and not prosody13 then\n"
	"	wanted = require 'core.configmanager'.get('*', 'daemonize');\n"
	"end\n"
	"if wanted ~= true and wanted ~= 'true' and wanted ~= 1 then return false; end\n"
	"require 'util.pposix'.daemonize = daemonize;\n"
	"return true;\n";

static bool will_daemonize(lua_State *L, bool prosody13)
{
	int top = lua_gettop(L);
	bool yes = false;
	if (luaL_loadbuffer(L, take_over, sizeof take_over - 1, "=net.server_go") == 0) {
		lua_pushboolean(L, prosody13);
		lua_pushcfunction(L, daemonize);
		yes = lua_pcall(L, 2, 1, 0) == 0 && lua_toboolean(L, -1);
	}
	lua_settop(L, top);
	return yes;
}

/* To be called by luaopen. A daemon already, by its parent, util.pposix refuses by itself. */
void fork_if_daemon(lua_State *L, bool prosody13)
{
	if (go_is_still_to_start() && getppid() != 1 && will_daemonize(L, prosody13))
		fork_and_wait();
}
