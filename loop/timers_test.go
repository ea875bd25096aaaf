package loop

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const second = int64(time.Second)

// fakeTimers are timers on a clock that the test sets.
type fakeTimers struct {
	*Timers
	clock int64
}

func newFakeTimers() *fakeTimers {
	f := &fakeTimers{clock: 1000 * second}
	f.Timers = newTimers(func() int64 { return f.clock })
	return f
}

// run lets seconds pass and runs what has expired: f is the callback, its
// result the number to repeat after, or NaN.
func (f *fakeTimers) run(seconds float64, callback func(Handle) float64) (ran []Handle) {
	f.clock += int64(seconds * 1e9)
	f.Tick()
	for id := f.Pop(); id != 0; id = f.Pop() {
		ran = append(ran, id)
		again := math.NaN()
		if callback != nil {
			again = callback(id)
		}
		if math.IsNaN(again) || !f.Repeat(id, again) {
			f.Stop(id)
		}
	}
	return ran
}

func wantRan(t *testing.T, got []Handle, want ...Handle) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("timers %v ran, want %v", got, want)
	}
}

func TestTimersRunInOrderOfTheirTimes(t *testing.T) {
	f := newFakeTimers()
	c, a, b, a2 := f.Add(3), f.Add(1), f.Add(2), f.Add(1)
	wantRan(t, f.run(0.999, nil))
	wantRan(t, f.run(0.001, nil), a, a2)
	wantRan(t, f.run(5, nil), b, c)
	if f.Len() != 0 {
		t.Errorf("%d timers left", f.Len())
	}
}

func TestTimerAddedInATickWaitsForTheNext(t *testing.T) {
	for _, delay := range []float64{0, -1, -1e300, math.Inf(-1)} {
		f := newFakeTimers()
		first := f.Add(0)
		var second Handle
		wantRan(t, f.run(1, func(Handle) float64 {
			second = f.Add(delay)
			return math.NaN()
		}), first)
		wantRan(t, f.run(0.001, nil), second)
	}
}

func TestTimerRepeats(t *testing.T) {
	f := newFakeTimers()
	id := f.Add(1)
	every := func(delay float64) func(Handle) float64 {
		return func(Handle) float64 {
			f.clock += second / 2 // a slow callback: counted from the start of the tick
			return delay
		}
	}
	wantRan(t, f.run(1, every(1)), id)
	wantRan(t, f.run(0.4, nil))
	wantRan(t, f.run(0.1, every(0)), id)
	wantRan(t, f.run(0.001, every(-5)), id)
	wantRan(t, f.run(0.001, nil), id)
	wantRan(t, f.run(100, nil))
}

func TestTimerStoppedByItselfDoesNotRepeat(t *testing.T) {
	f := newFakeTimers()
	id := f.Add(0)
	wantRan(t, f.run(1, func(id Handle) float64 {
		if !f.Stop(id) {
			t.Error("Stop does not know the timer that runs")
		}
		return 1
	}), id)
	wantRan(t, f.run(10, nil))
	if f.Len() != 0 {
		t.Errorf("%d timers left", f.Len())
	}
}

func TestTimerStoppedByAnotherInTheSameTick(t *testing.T) {
	f := newFakeTimers()
	a, b := f.Add(1), f.Add(2)
	wantRan(t, f.run(3, func(id Handle) float64 {
		f.Stop(b)
		return math.NaN()
	}), a)
	// The other order: b has asked to repeat when a stops it.
	b, a = f.Add(1), f.Add(2)
	wantRan(t, f.run(3, func(id Handle) float64 {
		if id == a {
			f.Stop(b)
			return math.NaN()
		}
		return 0
	}), b, a)
	wantRan(t, f.run(10, nil))
}

func TestUnknownTimerIsIgnored(t *testing.T) {
	f := newFakeTimers()
	id := f.Add(0)
	wantRan(t, f.run(1, nil), id)
	for _, unknown := range []Handle{id, 0, 12345, ^Handle(0)} {
		if f.Stop(unknown) {
			t.Errorf("Stop(%d) found a timer", unknown)
		}
		f.Reschedule(unknown, 0)
		if f.Repeat(unknown, 0) {
			t.Errorf("Repeat(%d) found a timer", unknown)
		}
	}
	wantRan(t, f.run(1, nil))
}

func TestTimerIsRescheduled(t *testing.T) {
	f := newFakeTimers()
	a, b := f.Add(1), f.Add(2)
	f.Reschedule(a, 10)
	wantRan(t, f.run(5, nil), b)
	f.Reschedule(a, 1)
	wantRan(t, f.run(1, nil), a)

	// In a tick it is like one that is added, and nothing for the one that runs.
	a, b = f.Add(1), f.Add(2)
	wantRan(t, f.run(3, func(id Handle) float64 {
		f.Reschedule(a, 0)
		f.Reschedule(b, 0)
		return math.NaN()
	}), a)
	wantRan(t, f.run(0.001, nil), b)

	a = f.Add(1)
	wantRan(t, f.run(2, func(id Handle) float64 {
		f.Reschedule(a, 0)
		return 5 // this counts
	}), a)
	wantRan(t, f.run(4, nil))
	wantRan(t, f.run(2, nil), a)
	if f.Len() != 0 {
		t.Errorf("%d timers left", f.Len())
	}
}

func TestTimersTakeAnyDelay(t *testing.T) {
	f := newFakeTimers()
	for _, delay := range []float64{math.Inf(1), math.MaxFloat64, 1e300, 1e12} {
		f.Add(delay)
	}
	wantRan(t, f.run(100*365*86400, nil))
	soon := []Handle{f.Add(math.Inf(-1)), f.Add(-math.MaxFloat64), f.Add(-1), f.Add(math.SmallestNonzeroFloat64)}
	ran := f.run(1, nil)
	slices.Sort(ran)
	slices.Sort(soon)
	wantRan(t, ran, soon...)
	id := f.Add(0)
	wantRan(t, f.run(1, func(Handle) float64 { return math.Inf(1) }), id)
	if f.Len() != 5 {
		t.Errorf("%d timers left, want the 5 that are never due", f.Len())
	}
}

func TestAddSeconds(t *testing.T) {
	for _, c := range []struct {
		base    int64
		seconds float64
		want    int64
	}{
		{5, 0, 5},
		{5, 1, 5 + second},
		{1 << 55, 1e-9, 1<<55 + 1}, // beyond the precision of float64
		{5, math.Inf(1), never},
		{5, 1e18, never},
		{math.MaxInt64 / 2, 1, never},
		{5, -1, 0},
		{5, math.Inf(-1), 0},
		{3 * second, -1, 2 * second},
	} {
		if got := addSeconds(c.base, c.seconds); got != c.want {
			t.Errorf("addSeconds(%d, %g) = %d, want %d", c.base, c.seconds, got, c.want)
		}
	}
}

// TestTimersAgainstList compares random use with a list that is searched.
func TestTimersAgainstList(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	f := newFakeTimers()
	due := map[Handle]int64{}
	var ids []Handle
	for range 2000 {
		delay := float64(random.IntN(1000)) / 8
		at := f.clock + int64(delay*1e9)
		switch random.IntN(4) {
		case 0:
			id := f.Add(delay)
			due[id] = max(at, f.tick+1)
			ids = append(ids, id)
		case 1:
			if len(ids) > 0 {
				id := ids[random.IntN(len(ids))]
				f.Stop(id)
				delete(due, id)
			}
		case 2:
			if len(ids) > 0 {
				id := ids[random.IntN(len(ids))]
				f.Reschedule(id, delay)
				if _, ok := due[id]; ok {
					due[id] = max(at, f.tick+1)
				}
			}
		default:
			last := int64(0)
			for _, id := range f.run(float64(random.IntN(8)), nil) {
				when, ok := due[id]
				if !ok || when > f.clock || when < last {
					t.Fatalf("timer %d ran at %d, was due at %d (known: %v), after one due at %d", id, f.clock, when, ok, last)
				}
				last = when
				delete(due, id)
			}
			for id, when := range due {
				if when <= f.clock {
					t.Fatalf("timer %d was due at %d and has not run at %d", id, when, f.clock)
				}
			}
		}
		if f.Len() != len(due) {
			t.Fatalf("Len = %d, want %d", f.Len(), len(due))
		}
	}
}

func TestStepWakesForTimers(t *testing.T) {
	l := newTestLoop(t)
	start := time.Now()
	id := l.Timers.Add(0.02)
	if _, _, err := l.Step(nil, -1); err != nil {
		t.Fatal(err)
	}
	for time.Since(start) < 20*time.Millisecond { // a signal may end a wait early
		if _, _, err := l.Step(nil, -1); err != nil {
			t.Fatal(err)
		}
	}
	l.Timers.Tick()
	if got := l.Timers.Pop(); got != id {
		t.Errorf("popped %d after Step, want %d", got, id)
	}
	l.Timers.Stop(id)
}
