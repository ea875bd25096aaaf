/* How the Lua thread hands over to the I/O side, and waits. */
#define _GNU_SOURCE /* epoll_pwait's sigset_t */
#include <errno.h>
#include <math.h>
#include <sys/epoll.h>
#include <time.h>

#include "backend.h"
#include "_cgo_export.h"

/* How long it is from now until then, in ns for sgo_step. */
static int64_t wait_until(double now, double then)
{
	const double longest = 1e9; /* seconds; more than that is no limit */
	double seconds = then - now;
	return seconds <= 0 ? 0 : seconds < longest ? (int64_t)(seconds * 1e9) : -1;
}

/* When loop() has something to do though nothing happens, in monotonic seconds. */
static double next_task(const struct backend *b)
{
	double due = timer_queue_next(&b->timers), again = HUGE_VAL;
	if (b->quitting)
		again = b->live == 0 ? 0 : b->close_again;
	return due < again ? due : again;
}

/*
 * Handlers of signals tell Lua by a hook, which runs at Lua's next instruction.
 * There may be none for long: here is one. What the hook raises leaves loop().
 */
static void let_hook_run(lua_State *L, struct backend *b)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, b->nothing_ref);
	lua_call(L, 0, 0);
}

/* Waits as the I/O side asks for, with the host's signal mask, and returns what sgo_waited does. */
static int wait_for_io(struct backend *b, const struct sgo_wait *wait, const sigset_t *mask, struct sgo_error *err)
{
	struct epoll_event ready[SGO_READY_EVENTS];
	int n = epoll_pwait(wait->fd, ready, SGO_READY_EVENTS, wait->milliseconds, mask);
	if (n < 0)
		n = errno == EINTR ? 0 : -errno;
	return sgo_waited(b->io, ready, n, &b->events, err);
}

/*
 * Has the I/O side work, and waits until loop() has something to do. now is in
 * monotonic seconds. A signal ends the wait; so does one that comes before it
 * begins, from hold_signals on.
 */
void step(lua_State *L, struct backend *b, double now)
{
	struct sgo_error err;
	struct sgo_wait wait;
	sigset_t mask;
	hold_signals(&mask);
	if (lua_gethook(L)) {
		release_signals(&mask);
		let_hook_run(L, b);
		now = monotonic_clock();
		hold_signals(&mask);
	}
	if (b->next_event < b->nevents) { /* left by an error that the caller of a nested loop() caught */
		release_signals(&mask);
		return;
	}
	b->next_event = b->nevents = 0;
	/* Only now, because the hook may add a timer, or quit. */
	int64_t most = signals_arrived(b) ? 0 : wait_until(now, next_task(b));
	int n = sgo_step(b->io, &b->commands, most, &wait, &b->events, &err);
	commands_applied(b);
	if (n == SGO_WAIT)
		n = wait_for_io(b, &wait, &mask, &err);
	release_signals(&mask);
	if (n < 0) {
		const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000}; /* it may not pass at once */
		lua_pushstring(L, err.text);
		log_backend(L, b, "error", "I/O error: %s", 1);
		nanosleep(&pause, NULL);
		return;
	}
	b->nevents = n;
}
