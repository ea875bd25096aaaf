/*
 * The due times of util.timer's timers; their functions stay with Lua. It
 * follows util.timer of Prosody: a timer that is added, or repeats, while
 * expired timers are being run is not run in that same tick. Times are
 * seconds, on any clock that never goes back.
 */
#ifndef TIMER_QUEUE_H
#define TIMER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer;

/* All zero is an empty one. */
struct timer_queue {
	struct timer *timers;
	uint32_t *heap; /* of indices into timers, the first due in front */
	uint32_t capacity, used, waiting, free, live;
	uint64_t order;      /* of the latest timer that was scheduled */
	double tick;         /* when the present or latest run of expired timers began */
	uint64_t tick_order; /* order at that time: later ones wait for the next run */
};

/*
 * Starts a timer that is due delay seconds after now: negative is at once,
 * INFINITY never. Returns its id, of 52 bits, which no other timer has had, or
 * 0 if there is no memory.
 */
uint64_t timer_queue_add(struct timer_queue *, double now, double delay);

/* The number below 2^24 that no other timer has while this one lives, from 1 on. */
int timer_queue_index(uint64_t id);

/* Forgets a timer, one that runs too. False if there is none. */
bool timer_queue_stop(struct timer_queue *, uint64_t id);

/* Makes a waiting timer due delay seconds after now; nothing for another. */
void timer_queue_reschedule(struct timer_queue *, uint64_t id, double now, double delay);

/* Begins a run of expired timers. Returns by how much the first is late, negative if none has expired. */
double timer_queue_tick(struct timer_queue *, double now);

/* Takes the next timer that had expired when the tick began, or 0. It is to be repeated, or stopped, after it has run. */
uint64_t timer_queue_pop(struct timer_queue *);

/* Makes a popped timer due delay seconds after the beginning of the tick. False if it was stopped meanwhile. */
bool timer_queue_repeat(struct timer_queue *, uint64_t id, double delay);

/* When the first timer is due, or INFINITY. */
double timer_queue_next(const struct timer_queue *);

void timer_queue_free(struct timer_queue *);

#endif
