/* Threads that sleep until somebody wants one. They need no Lua and no Go. */
#ifndef THREAD_POOL_H
#define THREAD_POOL_H

#include <stddef.h>

/* What code on a thread of the pool may take of its stack, in bytes. */
size_t thread_stack(void);

/*
 * Makes more threads: as many as possible up to `most`, or none if these were
 * fewer than `least`. They block all signals. Returns 0, or the errno; *made is how
 * many there were before it failed.
 */
int threads_reserve(int least, int most, int *made);

struct work {
	void (*function)(const struct work *);
	void *arguments[3];
};

/*
 * Has a thread call the function with a copy of the work; once that returns, the
 * thread sleeps again. Where none sleeps, one is made; where none can be made,
 * the caller waits until one sleeps again.
 */
void threads_run(const struct work *);

#endif
