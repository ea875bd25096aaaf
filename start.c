/* When Go starts: in luaopen, not at load. */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "backend.h"

/*
 * A c-shared library's runtime makes its first thread while the library is
 * being loaded. That is before luaopen could fork for `prosody -D`, and no
 * thread survives a fork. So the linker (--wrap, in export.go) sends the call
 * here, and the thread is made when luaopen says so.
 */
static void *(*go_main)(void *);
static void *go_argument;
static bool started;
static int start_error;

void __wrap_x_cgo_sys_thread_create(void *(*function)(void *), void *argument)
{
	go_main = function;
	go_argument = argument;
}

/*
 * Go's scheduler has a thread that looks every 20 us, as long as anything
 * happens, whether another one holds it up. Ours do not, and that thread took a
 * seventh of a busy processor, and half of the time of a server that waits. With
 * timers that may be late it looks less often; so are Go's own, which nobody
 * here needs to the millisecond. All threads that Go makes inherit this.
 */
static void *go_thread(void *argument)
{
	prctl(PR_SET_TIMERSLACK, 5 * 1000 * 1000L /* ns */);
	before_go_on_thread();
	return go_main(argument);
}

/* False also where Go is no guest: in `go test` it has the process. */
bool go_is_still_to_start(void) { return go_main != NULL && !started; }

/*
 * Go's threads inherit a mask that blocks all but what Go itself needs, and
 * host_signals.c blocks the rest: the host's signals stay on the host's threads.
 */
static void make_first_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, host;
	if (!go_main)
		return;
	keep_signals_from_go_threads();
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &host);
	start_error = pthread_create(&thread, &attributes, go_thread, go_argument);
	pthread_sigmask(SIG_SETMASK, &host, NULL);
	pthread_attr_destroy(&attributes);
	started = true;
}

/* Returns 0 or an errno. What calls Go next waits until it is up. */
int start_go(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_first_thread);
	return start_error;
}
