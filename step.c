/* How the Lua thread hands over to the I/O side, and waits. */
#define _GNU_SOURCE /* epoll_pwait's sigset_t */
#include <errno.h>
#include <math.h>
#include <sys/epoll.h>
#include <time.h>

#include "backend.h"
#include "_cgo_export.h"

/* How long it is from now until then, in ns; negative: for ever. */
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

/* Milliseconds for epoll_pwait, rounded up: to wake before a timer is due means to spin until it is. */
static int milliseconds(int64_t ns)
{
	const int64_t longest = 1 << 30;
	int64_t ms = ns / 1000000 + (ns % 1000000 > 0);
	return ns < 0 ? -1 : ms < longest ? (int)ms : (int)longest;
}

/*
 * Waits as the I/O side has said, with the host's signal mask, if there is nothing
 * to hand over. If there is, the step looks itself what is ready, once it has sent.
 */
static void wait_for_io(struct backend *b, struct sgo_turn *turn, double now, const sigset_t *mask)
{
	int64_t most = turn->max_wait;
	if (b->wait.fd < 0 || b->wait.ns == 0 || b->commands.used > 0)
		return;
	if (b->wait.ns > 0) {
		int64_t ns = wait_until(now, b->turn_began + b->wait.ns / 1e9);
		most = most < 0 || ns < most ? ns : most;
	}
	int n = epoll_pwait(b->wait.fd, turn->ready, SGO_READY_EVENTS, milliseconds(most), mask);
	turn->nready = n >= 0 ? n : errno == EINTR ? 0 : -errno;
	turn->waited = 1;
	turn->max_wait = 0;
}

/*
 * Has the I/O side work, and waits if there is nothing to do. now is in monotonic
 * seconds, and the end of the turn that b->turn_began began. A signal ends the
 * wait; so does one that comes before it begins, from hold_signals on.
 */
void step(lua_State *L, struct backend *b, double now)
{
	struct sgo_error err;
	struct epoll_event ready[SGO_READY_EVENTS];
	struct sgo_turn turn = {.commands = &b->commands, .ready = ready};
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
	turn.max_wait = signals_arrived(b) ? 0 : wait_until(now, next_task(b));
	turn.busy = (int64_t)(b->turns.seconds * 1e9);
	wait_for_io(b, &turn, now, &mask);
	int n = sgo_step(b->io, &turn, &b->events, &err);
	b->wait = turn.wait;
	commands_applied(b);
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
