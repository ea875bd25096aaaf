/* Timers on a clock that the tests set. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "timer_queue.c" /* one test has a timer grow old */

static struct timer_queue queue;
static double now;

/* What ran, and in which order. */
static uint64_t ran[4096];
static size_t nran;

/* The callback: returns what to repeat after, or NAN. */
typedef double callback(uint64_t id);

static double once(uint64_t id) { (void)id; return NAN; }

static uint64_t add(double delay) { return timer_queue_add(&queue, now, delay); }
static void reschedule(uint64_t id, double delay) { timer_queue_reschedule(&queue, id, now, delay); }

/* Lets seconds pass, and runs what has expired. */
static void run(double seconds, callback *f)
{
	uint64_t id;
	nran = 0;
	now += seconds;
	timer_queue_tick(&queue, now);
	while ((id = timer_queue_pop(&queue)) != 0) {
		ran[nran++] = id;
		double again = f(id);
		if (isnan(again) || !timer_queue_repeat(&queue, id, again))
			timer_queue_stop(&queue, id);
	}
}

#define assert_ran(...) \
	do { \
		const uint64_t want[] = {__VA_ARGS__}; \
		assert_int_equal(nran, sizeof want / sizeof *want); \
		assert_memory_equal(ran, want, sizeof want); \
	} while (0)
#define assert_none_ran() assert_int_equal(nran, 0)

static int setup(void **state)
{
	(void)state;
	now = 1000;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	timer_queue_free(&queue);
	return 0;
}

static void run_in_order_of_their_times(void **state)
{
	(void)state;
	uint64_t c = add(3), a = add(1), b = add(2), a2 = add(1);
	assert_true(timer_queue_next(&queue) == 1001);
	run(0.5, once);
	assert_none_ran();
	run(0.5, once);
	assert_ran(a, a2);
	run(5, once);
	assert_ran(b, c);
	assert_int_equal(queue.live, 0);
	assert_true(timer_queue_next(&queue) == INFINITY);
}

static double new_delay;
static uint64_t added;
static double add_another(uint64_t id)
{
	(void)id;
	added = add(new_delay);
	return NAN;
}

static void one_added_in_a_tick_waits_for_the_next(void **state)
{
	(void)state;
	const double delays[] = {0, -1, -1e300, -INFINITY};
	for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
		uint64_t first = add(0), second = add(0.5);
		new_delay = delays[i];
		run(1, add_another);
		assert_ran(first, second); /* in front of neither, though it is due before both */
		run(0, once);
		assert_int_equal(nran, 2);
		assert_int_equal(ran[1], added);
	}
}

static double repeat_after;
static double again(uint64_t id)
{
	(void)id;
	now += 0.5; /* a slow callback: counted from the beginning of the tick */
	return repeat_after;
}

static void repeats(void **state)
{
	(void)state;
	uint64_t id = add(1);
	repeat_after = 1;
	run(1, again);
	assert_ran(id);
	run(0.25, once);
	assert_none_ran();
	repeat_after = 0;
	run(0.25, again);
	assert_ran(id);
	now = 2000;
	repeat_after = -5; /* no sooner than after a millisecond */
	run(0, again);
	now = 2000;
	run(0.0005, once);
	assert_none_ran();
	run(0.001, once);
	assert_ran(id);
	run(100, once);
	assert_none_ran();
}

static double stop_and_repeat(uint64_t id)
{
	assert_true(timer_queue_stop(&queue, id));
	return 1;
}

static void one_that_stops_itself_does_not_repeat(void **state)
{
	(void)state;
	uint64_t id = add(0);
	run(1, stop_and_repeat);
	assert_ran(id);
	run(10, once);
	assert_none_ran();
	assert_int_equal(queue.live, 0);
}

static uint64_t stopper, stopped;
static double stop_other(uint64_t id)
{
	if (id != stopper)
		return 0;
	timer_queue_stop(&queue, stopped);
	return NAN;
}

static void one_may_stop_another_in_the_same_tick(void **state)
{
	(void)state;
	stopper = add(1), stopped = add(2);
	run(3, stop_other);
	assert_ran(stopper);
	/* The other order: it has asked to repeat when it is stopped. */
	stopped = add(1), stopper = add(2);
	run(3, stop_other);
	assert_ran(stopped, stopper);
	run(10, once);
	assert_none_ran();
}

static void an_unknown_one_is_ignored(void **state)
{
	(void)state;
	uint64_t id = add(0);
	run(1, once);
	assert_ran(id);
	uint64_t successor = add(5);
	assert_int_equal(timer_queue_index(successor), timer_queue_index(id));
	const uint64_t unknown[] = {id, 0, 12345, UINT64_MAX};
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		assert_false(timer_queue_stop(&queue, unknown[i]));
		assert_false(timer_queue_repeat(&queue, unknown[i], 0));
		reschedule(unknown[i], 0);
	}
	run(1, once);
	assert_none_ran();
}

static uint64_t early, late;
static double reschedule_both(uint64_t id)
{
	(void)id;
	reschedule(early, 0);
	reschedule(late, 0);
	return NAN;
}

static double reschedule_itself(uint64_t id)
{
	reschedule(id, 0);
	return 5; /* this counts */
}

static void is_rescheduled(void **state)
{
	(void)state;
	uint64_t a = add(1), b = add(2);
	reschedule(a, 10);
	run(5, once);
	assert_ran(b);
	reschedule(a, 1);
	run(1, once);
	assert_ran(a);

	/* In a tick it is like one that is added. */
	early = add(1), late = add(2);
	run(3, reschedule_both);
	assert_ran(early);
	run(0, once);
	assert_ran(late);

	a = add(1);
	run(2, reschedule_itself);
	assert_ran(a);
	run(4, once);
	assert_none_ran();
	run(2, once);
	assert_ran(a);
}

static double for_ever(uint64_t id) { (void)id; return INFINITY; }

static void take_any_delay(void **state)
{
	(void)state;
	const double long_ones[] = {INFINITY, 1e308, 1e300, 1e12}, soon[] = {-INFINITY, -1e308, -1, 5e-324};
	for (int i = 0; i < 4; i++)
		assert_true(add(long_ones[i]) != 0);
	run(100 * 365 * 86400.0, once);
	assert_none_ran();
	for (int i = 0; i < 4; i++)
		add(soon[i]);
	run(1, once);
	assert_int_equal(nran, 4);
	uint64_t id = add(0);
	run(1, for_ever);
	assert_ran(id);
	assert_int_equal(queue.live, 5);
}

static void a_tick_tells_how_late_the_first_is(void **state)
{
	(void)state;
	assert_true(timer_queue_tick(&queue, now) < 0);
	add(1);
	add(2);
	assert_true(timer_queue_tick(&queue, now + 0.5) < 0);
	assert_true(timer_queue_tick(&queue, now + 3.5) == 2.5);
}

/* Random use, compared with a list that is searched. */
enum { MOST = 4096 };
static struct { uint64_t id; double due; bool live; } model[MOST];
static size_t nmodel;

static void check_run(void)
{
	double last = 0;
	for (size_t i = 0; i < nran; i++) {
		size_t m = 0;
		while (m < nmodel && !(model[m].live && model[m].id == ran[i]))
			m++;
		assert_true(m < nmodel);
		assert_true(model[m].due <= now && model[m].due >= last);
		last = model[m].due;
		model[m].live = false;
	}
	size_t live = 0;
	for (size_t m = 0; m < nmodel; m++) {
		assert_false(model[m].live && model[m].due <= now);
		live += model[m].live;
	}
	assert_int_equal(queue.live, live);
}

static void random_use_agrees_with_a_list(void **state)
{
	(void)state;
	srand(5);
	nmodel = 0;
	for (int round = 0; round < MOST; round++) {
		double delay = (rand() % 1000) / 8.0 + 0.125;
		size_t m = nmodel ? (size_t)rand() % nmodel : 0;
		switch (rand() % 4) {
		case 0:
			model[nmodel].id = add(delay);
			model[nmodel].due = now + delay;
			model[nmodel++].live = true;
			break;
		case 1:
			if (nmodel) {
				assert_int_equal(timer_queue_stop(&queue, model[m].id), model[m].live);
				model[m].live = false;
			}
			break;
		case 2:
			if (nmodel) {
				reschedule(model[m].id, delay);
				model[m].due = now + delay;
			}
			break;
		default:
			run(rand() % 8, once);
			check_run();
		}
	}
}

static void ids_are_distinct(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		ran[i] = add(i % 7);
	for (int i = 0; i < 1000; i++)
		for (int j = 0; j < i; j++)
			assert_true(ran[i] != ran[j] && ran[i] < 1ull << 52);
}

static void ids_never_come_again(void **state)
{
	(void)state;
	uint64_t first = add(0);
	timer_queue_stop(&queue, first);
	queue.timers[0].generation = (1 << 28) - 2;
	uint64_t last = add(0);
	assert_int_equal(timer_queue_index(last), timer_queue_index(first));
	assert_true(last < 1ull << 52);
	timer_queue_stop(&queue, last);
	for (int i = 0; i < 3; i++) {
		uint64_t id = add(0);
		assert_int_not_equal(timer_queue_index(id), timer_queue_index(first));
		timer_queue_stop(&queue, id);
	}
	assert_false(timer_queue_stop(&queue, last));
	assert_int_equal(queue.live, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest timers[] = {
		TEST(run_in_order_of_their_times),
		TEST(one_added_in_a_tick_waits_for_the_next),
		TEST(repeats),
		TEST(one_that_stops_itself_does_not_repeat),
		TEST(one_may_stop_another_in_the_same_tick),
		TEST(an_unknown_one_is_ignored),
		TEST(is_rescheduled),
		TEST(take_any_delay),
		TEST(a_tick_tells_how_late_the_first_is),
		TEST(random_use_agrees_with_a_list),
		TEST(ids_are_distinct),
		TEST(ids_never_come_again),
	};
	return cmocka_run_group_tests(timers, NULL, NULL);
}
