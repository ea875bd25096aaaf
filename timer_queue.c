/* A binary heap of timers that know their place in it. */
#include "timer_queue.h"

#include <math.h>
#include <stdlib.h>

enum { INDEX_BITS = 24, MAX_TIMERS = (1 << INDEX_BITS) - 1, LAST_GENERATION = (1 << 28) - 1 };

/* The reference's min_wait: a timer that repeats with 0 is not to keep a core busy. */
static const double shortest_repeat = 0.001;

struct timer {
	double due;
	uint64_t order; /* of two that are due at once */
	uint32_t generation;
	uint32_t place; /* in the heap, from 1 on; 0: it runs */
	uint32_t free;  /* of an unused one: the next such index, or 0 */
	bool used;
};

int timer_queue_index(uint64_t id) { return (int)(id & MAX_TIMERS); }

static uint64_t id_of(const struct timer_queue *q, uint32_t index)
{
	return (uint64_t)q->timers[index - 1].generation << INDEX_BITS | index;
}

static struct timer *find(const struct timer_queue *q, uint64_t id)
{
	uint32_t index = (uint32_t)timer_queue_index(id);
	if (index == 0 || index > q->used || !q->timers[index - 1].used || id_of(q, index) != id)
		return NULL;
	return &q->timers[index - 1];
}

static bool is_before(const struct timer *a, const struct timer *b)
{
	return a->due < b->due || (a->due == b->due && a->order < b->order);
}

static void put(struct timer_queue *q, uint32_t place, uint32_t index)
{
	q->heap[place - 1] = index;
	q->timers[index - 1].place = place;
}

static struct timer *at(const struct timer_queue *q, uint32_t place) { return &q->timers[q->heap[place - 1] - 1]; }

/* Moves the timer at this place to where it belongs. */
static void sift(struct timer_queue *q, uint32_t place)
{
	uint32_t index = q->heap[place - 1], child;
	const struct timer *t = &q->timers[index - 1];
	for (; place > 1 && is_before(t, at(q, place / 2)); place /= 2)
		put(q, place, q->heap[place / 2 - 1]);
	for (; (child = 2 * place) <= q->waiting; place = child) {
		if (child < q->waiting && is_before(at(q, child + 1), at(q, child)))
			child++;
		if (!is_before(at(q, child), t))
			break;
		put(q, place, q->heap[child - 1]);
	}
	put(q, place, index);
}

static void take_out(struct timer_queue *q, struct timer *t)
{
	uint32_t place = t->place, last = q->waiting;
	if (place == 0)
		return;
	t->place = 0;
	q->waiting--;
	if (place != last) {
		put(q, place, q->heap[last - 1]);
		sift(q, place);
	}
}

/* Never before what has expired and waits to be run. */
static void schedule(struct timer_queue *q, struct timer *t, double from, double delay)
{
	double due = from + delay;
	t->due = due > q->tick ? due : q->tick;
	t->order = ++q->order;
	if (t->place == 0) {
		uint32_t index = (uint32_t)(t - q->timers) + 1;
		put(q, ++q->waiting, index);
	}
	sift(q, t->place);
}

static bool grow(struct timer_queue *q)
{
	uint32_t n = q->capacity ? q->capacity * 2 : 64;
	if (n > MAX_TIMERS)
		n = MAX_TIMERS;
	if (n == q->capacity)
		return false;
	struct timer *timers = realloc(q->timers, n * sizeof *timers);
	if (timers)
		q->timers = timers;
	uint32_t *heap = realloc(q->heap, n * sizeof *heap);
	if (heap)
		q->heap = heap;
	if (timers && heap)
		q->capacity = n;
	return timers && heap;
}

uint64_t timer_queue_add(struct timer_queue *q, double now, double delay)
{
	uint32_t index = q->free;
	if (index) {
		q->free = q->timers[index - 1].free;
	} else {
		if (q->used == q->capacity && !grow(q))
			return 0;
		index = ++q->used;
		q->timers[index - 1].generation = 0;
	}
	struct timer *t = &q->timers[index - 1];
	*t = (struct timer){.generation = t->generation + 1, .used = true};
	q->live++;
	schedule(q, t, now, delay);
	return id_of(q, index);
}

bool timer_queue_stop(struct timer_queue *q, uint64_t id)
{
	struct timer *t = find(q, id);
	if (t == NULL)
		return false;
	take_out(q, t);
	t->used = false;
	q->live--;
	if (t->generation < LAST_GENERATION) { /* else its ids would come again: it is retired */
		t->free = q->free;
		q->free = (uint32_t)timer_queue_index(id);
	}
	return true;
}

void timer_queue_reschedule(struct timer_queue *q, uint64_t id, double now, double delay)
{
	struct timer *t = find(q, id);
	if (t && t->place)
		schedule(q, t, now, delay);
}

double timer_queue_tick(struct timer_queue *q, double now)
{
	q->tick = now;
	q->tick_order = q->order;
	return now - timer_queue_next(q);
}

uint64_t timer_queue_pop(struct timer_queue *q)
{
	if (timer_queue_next(q) > q->tick || at(q, 1)->order > q->tick_order)
		return 0;
	uint32_t index = q->heap[0];
	take_out(q, &q->timers[index - 1]);
	return id_of(q, index);
}

bool timer_queue_repeat(struct timer_queue *q, uint64_t id, double delay)
{
	struct timer *t = find(q, id);
	if (t && t->place == 0)
		schedule(q, t, q->tick, delay > shortest_repeat ? delay : shortest_repeat);
	return t != NULL;
}

double timer_queue_next(const struct timer_queue *q) { return q->waiting ? at(q, 1)->due : INFINITY; }

void timer_queue_free(struct timer_queue *q)
{
	free(q->timers);
	free(q->heap);
	*q = (struct timer_queue){0};
}
