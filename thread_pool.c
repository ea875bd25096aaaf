/*
 * The threads of Go's runtime. Where the runtime cannot have a thread it ends the
 * process, and it asks when load comes, not when it starts. So they are taken
 * before it starts, where a failure can still be told, and handed to it later.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <time.h>

#include "thread_pool.h"

/*
 * On these stacks runs Go's scheduler, which gets along with 16 KiB, and what Go
 * calls in libcrypto. libc keeps each thread's variables there too: the last
 * part is theirs.
 */
#define STACK (256 * 1024)
#define STACK_OF_LIBC (64 * 1024)

/*
 * Go's scheduler has a thread that looks every 20 us, as long as anything
 * happens, whether another one holds it up. Ours do not, and that thread took a
 * seventh of a busy processor, and half of the time of a server that waits. With
 * timers that may be late it looks less often; so are Go's own, which nobody
 * here needs to the millisecond.
 */
#define TIMER_SLACK (5 * 1000 * 1000L) /* ns */

/* A thread that sleeps; on its own stack. */
struct sleeper {
	struct sleeper *next;
	pthread_t thread;
	pthread_cond_t wake;
	struct work work; /* without a function: none */
	bool end;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;   /* one more sleeps */
static struct sleeper *sleepers;
static int starting; /* were made and do not sleep yet */

size_t thread_stack(void) { return STACK - STACK_OF_LIBC; }

/* Sleeps until there is something to do. Returns false if the thread is to end. */
static bool sleep_in_pool(struct sleeper *s)
{
	s->work.function = NULL;
	s->next = sleepers;
	sleepers = s;
	pthread_cond_broadcast(&came);
	while (!s->work.function && !s->end)
		pthread_cond_wait(&s->wake, &mutex);
	return !s->end;
}

static void *pool_thread(void *unused)
{
	struct sleeper self = {.thread = pthread_self(), .wake = PTHREAD_COND_INITIALIZER};
	sigset_t all;
	(void)unused;
	sigfillset(&all);
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK);
	pthread_mutex_lock(&mutex);
	starting--;
	while (sleep_in_pool(&self)) {
		pthread_mutex_unlock(&mutex);
		self.work.function(&self.work);
		pthread_sigmask(SIG_SETMASK, &all, NULL);
		pthread_mutex_lock(&mutex);
	}
	pthread_mutex_unlock(&mutex);
	return NULL;
}

/* Under the mutex. Returns 0 or an errno. The thread blocks all signals: the host's stay on the host's threads. */
static int make_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, host;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &host);
	int error = pthread_create(&thread, &attributes, pool_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &host, NULL);
	pthread_attr_destroy(&attributes);
	starting += error == 0;
	return error;
}

/* Under the mutex. Returns NULL if none sleeps. */
static struct sleeper *take_sleeper(void)
{
	struct sleeper *s = sleepers;
	if (s)
		sleepers = s->next;
	return s;
}

/* Under the mutex. */
static void wait_until_all_sleep(void)
{
	while (starting > 0)
		pthread_cond_wait(&came, &mutex);
}

/* Under the mutex. */
static void end_sleepers(int n)
{
	struct sleeper *s;
	for (; n > 0 && (s = take_sleeper()) != NULL; n--) {
		pthread_t thread = s->thread;
		s->end = true;
		pthread_cond_signal(&s->wake);
		pthread_mutex_unlock(&mutex);
		pthread_join(thread, NULL);
		pthread_mutex_lock(&mutex);
	}
}

int threads_reserve(int least, int most, int *made)
{
	int error = 0;
	pthread_mutex_lock(&mutex);
	for (*made = 0; *made < most && error == 0; *made += error == 0)
		error = make_thread();
	wait_until_all_sleep();
	if (*made < least)
		end_sleepers(*made);
	pthread_mutex_unlock(&mutex);
	return *made < least ? error : 0;
}

/* Under the mutex. Waits a little: for a thread that has done its work, or to try again. */
static void wait_a_little(void)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 10 * 1000 * 1000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&came, &mutex, &until);
}

void threads_run(const struct work *work)
{
	struct sleeper *s;
	pthread_mutex_lock(&mutex);
	while ((s = take_sleeper()) == NULL)
		if (starting > 0 || make_thread() != 0)
			wait_a_little();
	s->work = *work;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&mutex);
}
