/*
 * The host's signals stay out while its thread is in Go.
 *
 * There it computes on a goroutine's stack of a few KiB. A handler that was
 * installed without SA_ONSTACK would run on that stack, and write over whatever
 * lies below it. So each call into Go blocks the host's signals; what the
 * thread waits for it waits for in C, on its own stack, with its own mask.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>

#include "backend.h"

/* initial-exec: a handler may look at it on any thread, and must not allocate it. */
#define THREAD_LOCAL static __attribute__((tls_model("initial-exec"))) _Thread_local

THREAD_LOCAL bool held;  /* this thread's signals are blocked already */
THREAD_LOCAL bool known; /* it has called Go before */
THREAD_LOCAL volatile sig_atomic_t mask_due; /* the next SIGURG blocks the host's signals */

/*
 * All signals but those that the processor raises on the instruction at fault
 * (blocked, they would kill) and SIGURG, with which Go interrupts goroutines.
 */
static sigset_t host_signals;

__attribute__((constructor)) static void set_host_signals(void)
{
	static const int needed[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGURG};
	sigfillset(&host_signals);
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		sigdelset(&host_signals, needed[i]);
}

/*
 * What Go starts on a thread unblocks SIGCHLD, SIGPROF, SIGSTKFLT and the first
 * realtime signal, whatever mask the thread has. The kernel would then give
 * those to Go's threads while the host's thread is in Go. But SIGURG is
 * unblocked in the same moment; one that waits there comes before anything
 * else, and the mask that a handler leaves in the context is the thread's from
 * then on. Without SIGURG (GODEBUG=asyncpreemptoff=1) these four stay unblocked.
 */
static struct sigaction go_urgent;

static void urgent(int number, siginfo_t *info, void *context)
{
	if (!mask_due) {
		go_urgent.sa_sigaction(number, info, context);
		return;
	}
	mask_due = 0;
	ucontext_t *interrupted = context;
	/* One by one: the kernel's mask is shorter than libc's. */
	for (int n = 1; n < NSIG; n++)
		if (sigismember(&host_signals, n) == 1)
			sigaddset(&interrupted->uc_sigmask, n);
}

/* To be called once, when Go's handlers are installed and before it has a thread. */
void keep_signals_from_go_threads(void)
{
	struct sigaction action;
	sigaction(SIGURG, NULL, &go_urgent);
	if (!(go_urgent.sa_flags & SA_SIGINFO))
		return; /* not Go's */
	action = go_urgent;
	action.sa_sigaction = urgent;
	sigaction(SIGURG, &action, NULL);
}

/* To be called on a thread before Go starts there, with SIGURG blocked. */
void before_go_on_thread(void)
{
	if (go_urgent.sa_flags & SA_SIGINFO) {
		mask_due = 1;
		raise(SIGURG);
	}
}

/* Blocks the host's signals on this thread. *mask is for epoll_pwait and release_signals. */
void hold_signals(sigset_t *mask)
{
	pthread_sigmask(SIG_BLOCK, &host_signals, mask);
	held = true;
}

/* What has come meanwhile is handled before it returns. */
void release_signals(const sigset_t *mask)
{
	held = false;
	pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/* cgo's way into a thread of Go's own. */
void __real_crosscall1(void (*function)(void), void (*set_g)(void *), void *g);

void __wrap_crosscall1(void (*function)(void), void (*set_g)(void *), void *g)
{
	before_go_on_thread(); /* whoever made it has blocked all signals */
	__real_crosscall1(function, set_g, g);
}

/*
 * cgo's way from C into Go. The linker (--wrap, in export.go) sends every call
 * of an exported function here, so that none can be forgotten.
 */
void __real_crosscall2(void (*function)(void *), void *arguments, int size, size_t context);

/* The first call of a thread, in which Go starts there. */
static void first_call(void (*function)(void *), void *arguments, int size, size_t context)
{
	sigset_t blocked = host_signals, mask;
	known = true;
	sigaddset(&blocked, SIGURG);
	pthread_sigmask(SIG_BLOCK, &blocked, &mask);
	before_go_on_thread();
	__real_crosscall2(function, arguments, size, context);
	mask_due = 0;
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

void __wrap_crosscall2(void (*function)(void *), void *arguments, int size, size_t context)
{
	sigset_t mask;
	if (!known) {
		first_call(function, arguments, size, context);
	} else if (held) {
		__real_crosscall2(function, arguments, size, context);
	} else {
		hold_signals(&mask);
		__real_crosscall2(function, arguments, size, context);
		release_signals(&mask);
	}
}

/*
 * Go takes SIGPIPE over, and gives SA_ONSTACK to the handlers it finds, which
 * would run on an alternate stack of 32 KiB. As they never run on Go's stacks
 * they need not, so the host gets them back as they were.
 */
static struct sigaction host_actions[NSIG];

/* Runs before Go's own initialisation. */
__attribute__((constructor(101))) static void remember_handlers(void)
{
	for (int n = 1; n < NSIG; n++)
		sigaction(n, NULL, &host_actions[n]);
}

/* To be called when Go has started. */
void restore_handlers(void)
{
	sigaction(SIGPIPE, &host_actions[SIGPIPE], NULL);
	for (int n = 1; n < NSIG; n++) {
		struct sigaction now, *before = &host_actions[n];
		if (sigaction(n, NULL, &now) == 0 && now.sa_handler == before->sa_handler &&
			now.sa_flags == (before->sa_flags | SA_ONSTACK))
			sigaction(n, before, NULL);
	}
}
