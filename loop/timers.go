package loop

import "math"

// Timers holds the due times of the Lua side's timers; their functions stay
// with Lua. It follows util.timer of Prosody: a timer that is added, or
// repeats, while expired timers are being run is not run in that same tick.
type Timers struct {
	now   func() int64
	table table[*timer]
	heap  heap[*timer]
	// tick is the start of the present or latest run of expired timers.
	tick  int64
	order uint64
}

type timer struct {
	due   int64 // ns, on the clock of Timers.now
	order uint64
	id    Handle
	pos   int
}

func (t *timer) before(o *timer) bool {
	return t.due < o.due || t.due == o.due && t.order < o.order
}
func (t *timer) position() *int { return &t.pos }

// newTimers returns timers on the clock now, in nanoseconds.
func newTimers(now func() int64) *Timers { return &Timers{now: now, tick: -1} }

// Add starts a timer that is due in delay seconds: negative means at once,
// +Inf never. It returns zero when there are too many timers.
func (ts *Timers) Add(delay float64) Handle {
	t := &timer{}
	if t.id = ts.table.insert(t); t.id != 0 {
		ts.schedule(t, ts.now(), delay)
	}
	return t.id
}

// schedule makes t due delay seconds after base, but never in the tick that
// is being run.
func (ts *Timers) schedule(t *timer, base int64, delay float64) {
	ts.order++
	t.order = ts.order
	t.due = max(addSeconds(base, delay), ts.tick+1)
	ts.heap.fix(t)
}

// Stop forgets the timer id, even from within its own callback. It reports
// whether there was one.
func (ts *Timers) Stop(id Handle) bool {
	t, ok := ts.table.get(id)
	if ok {
		ts.heap.remove(t)
		ts.table.remove(id)
	}
	return ok
}

// Reschedule makes a waiting timer due in delay seconds from now. It does
// nothing for one that is not waiting.
func (ts *Timers) Reschedule(id Handle, delay float64) {
	if t, ok := ts.table.get(id); ok && t.pos != 0 {
		ts.schedule(t, ts.now(), delay)
	}
}

// Tick starts a run of expired timers. It returns by how many seconds the
// first of them is late, negative if none has expired.
func (ts *Timers) Tick() float64 {
	ts.tick = ts.now()
	if t, ok := ts.heap.top(); ok && t.due <= ts.tick {
		return float64(ts.tick-t.due) / 1e9
	}
	return -1
}

// Pop takes the next timer that had expired when the tick started, or
// returns zero. The caller settles it, with Repeat or Stop, after running it.
func (ts *Timers) Pop() Handle {
	t, ok := ts.heap.top()
	if !ok || t.due > ts.tick {
		return 0
	}
	ts.heap.remove(t)
	return t.id
}

// shortestRepeat is the reference's min_wait: a timer that repeats with 0 is
// not to keep a core busy.
const shortestRepeat = 0.001

// Repeat makes the popped timer id due again, delay seconds after the start
// of the tick. It reports false if the timer was stopped meanwhile.
func (ts *Timers) Repeat(id Handle, delay float64) bool {
	t, ok := ts.table.get(id)
	if ok && t.pos == 0 {
		ts.schedule(t, ts.tick, max(delay, shortestRepeat))
	}
	return ok
}

// next is when the first timer is due, or never.
func (ts *Timers) next() int64 {
	if t, ok := ts.heap.top(); ok {
		return t.due
	}
	return never
}

// Len is the number of timers that exist.
func (ts *Timers) Len() int { return ts.table.len() }

const never = math.MaxInt64

// addSeconds returns base + seconds in nanoseconds, held within int64.
func addSeconds(base int64, seconds float64) int64 {
	ns := float64(base) + seconds*1e9
	switch {
	case ns >= math.MaxInt64/2:
		return never
	case ns <= 0:
		return 0
	}
	// Added apart: float64 has 53 bits, which a long uptime in ns can use up.
	return base + int64(seconds*1e9)
}
