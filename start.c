/*
 * When Go starts: in luaopen, not at load. And on which threads.
 *
 * A c-shared library's runtime makes its first thread while the library is
 * being loaded. That is before luaopen could fork for `prosody -D`, and no
 * thread survives a fork. So the linker (--wrap, in export.go) sends the call
 * here, and the thread is made when luaopen says so. It sends the calls for all
 * other threads here too, for thread_pool.c.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "thread_pool.h"

static void *(*go_main)(void *);
static void *go_argument;
static bool started;

void __wrap_x_cgo_sys_thread_create(void *(*function)(void *), void *argument)
{
	go_main = function;
	go_argument = argument;
}

/* The beginnings of Go's g, and its struct ThreadStart: libcgo.h in runtime/cgo. */
struct go_stack {
	uintptr_t lowest, highest;
};
struct go_thread {
	struct go_stack *g;
	uintptr_t *tls;
	void (*start)(void);
};

/* Of runtime/cgo: sets the calling thread's g, and calls a function of Go's. */
extern void crosscall1(void (*function)(void), void (*set_g)(void *), void *g);
extern void __real_x_cgo_init(struct go_stack *, void (*set_g)(void *), void **, void **);

static void (*set_go_g)(void *);

void __wrap_x_cgo_init(struct go_stack *g, void (*set_g)(void *), void **tls_g, void **tls_base)
{
	set_go_g = set_g;
	__real_x_cgo_init(g, set_g, tls_g, tls_base);
}

static void run_go_thread(const struct work *w)
{
	crosscall1((void (*)(void))w->arguments[0], set_go_g, w->arguments[1]);
}

/*
 * Go wants a thread. runtime/cgo's own makes one, and ends the process where it
 * cannot. It also allocates and frees memory on the way, for which libc reserves
 * 64 MB of address space for each thread.
 */
void __wrap_x_cgo_thread_start(const struct go_thread *t)
{
	struct work w = {run_go_thread, {(void *)t->start, t->g}};
	t->g->highest = thread_stack(); /* mstart makes the bounds of it */
	threads_run(&w);
}

static void run_go_main(const struct work *w)
{
	(void)w;
	before_go_on_thread();
	go_main(go_argument);
}

/* False also where Go is no guest: in `go test` it has the process. */
bool go_is_still_to_start(void) { return go_main != NULL && !started; }

/*
 * Prepares the process for one more backend, the first time by starting Go.
 * False: the host does not grant what that takes, which is in the text; nothing
 * has been started then, and the next backend may try again.
 */
bool start_go(char *text, size_t size)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&mutex);
	bool granted = (!go_is_still_to_start() || host_has_room(text, size)) && reserve_threads(text, size);
	if (granted && go_is_still_to_start()) {
		started = true;
		keep_signals_from_go_threads();
		threads_run(&(struct work){.function = run_go_main}); /* whoever calls Go next waits until it is up */
	}
	pthread_mutex_unlock(&mutex);
	return granted;
}
