package loop

import "testing"

const ms = 1_000_000

func TestWantsThread(t *testing.T) {
	busy := load{window: 10 * ms, ioWaited: 2 * ms, turns: 10, ready: 80}
	for _, c := range []struct {
		name   string
		change func(*load)
		want   bool
	}{
		{"busy, with much to do in each turn", func(*load) {}, true},
		{"all the time", func(w *load) { w.ioWaited = 0 }, true},
		{"waiting too often", func(w *load) { w.ioWaited = 3 * ms }, false},
		{"turns with little to do", func(w *load) { w.ready = 79 }, false},
		{"no turn: the Lua thread computed", func(w *load) { w.turns, w.ready = 0, 0 }, false},
		{"idle, but for handshakes", func(w *load) { w.ioWaited, w.ready, w.handshakes = 10*ms, 0, 4 }, true},
		{"idle, with few handshakes", func(w *load) { w.ioWaited, w.ready, w.handshakes = 10*ms, 0, 3 }, false},
	} {
		w := busy
		if c.change(&w); w.wantsThread() != c.want {
			t.Errorf("%s: %v, want %v", c.name, !c.want, c.want)
		}
	}
}

func TestIsCalm(t *testing.T) {
	busy := load{window: 10 * ms, luaWaited: 8 * ms, ioWaited: 8 * ms, batches: 10, events: 20}
	for _, c := range []struct {
		name   string
		change func(*load)
		want   bool
	}{
		{"both work", func(*load) {}, false},
		{"both work little", func(w *load) { w.ioWaited = 9 * ms }, true},
		{"batches of many events", func(w *load) { w.events = 1000 }, false},
		{"a thread woken for single events", func(w *load) { w.events = 19 }, true},
		{"single events, but handshakes", func(w *load) { w.events, w.handshakes = 19, 4 }, false},
		{"nothing at all", func(w *load) { *w = load{window: 10 * ms, luaWaited: 10 * ms, ioWaited: 10 * ms} }, true},
	} {
		w := busy
		if c.change(&w); w.isCalm() != c.want {
			t.Errorf("%s: %v, want %v", c.name, !c.want, c.want)
		}
	}
}

// windowPasses lets the loop decide on a window in which the counters grow so.
func (l *testLoop) windowPasses(turns, ready, waited int64) {
	th := &l.thread
	th.loadSince(l.clock()) // a thread that has just ended counted how long it slept
	th.began -= policyWindow
	th.luaWaited += waited
	th.turns.Add(turns)
	th.ready.Add(ready)
	th.batches++
	th.events += 2
	l.switchOver()
}

// TestThreadComesAndGoes: a few busy windows, one after the other, bring it; to
// go it takes more calm ones.
func TestThreadComesAndGoes(t *testing.T) {
	l := newTestLoop(t)
	l.thread.mode = IOThreadAuto
	const long = 1 << 40 // whatever the machine does meanwhile
	busy, calm := func() { l.windowPasses(1, 8, 0) }, func() { l.windowPasses(0, 0, long) }
	times := func(n int, window func()) {
		for range n {
			window()
		}
	}
	wantThread := func(want bool, when string) {
		t.Helper()
		if got := l.HasThread(); got != want {
			t.Fatalf("%s: a thread: %v, want %v", when, got, want)
		}
	}
	l.holdThread()
	calm()
	wantThread(false, "in the beginning")
	before := l.thread.switches
	times(busyWindows-1, busy)
	calm()
	times(busyWindows-1, busy)
	wantThread(false, "after too few busy windows, twice")
	busy()
	wantThread(true, "after enough busy windows")
	times(calmWindows-1, calm)
	wantThread(true, "after too few calm windows")
	busy()
	times(calmWindows-1, calm)
	wantThread(true, "after too few calm windows since the busy one")
	calm()
	wantThread(false, "after enough calm windows")
	times(busyWindows, busy)
	wantThread(true, "after enough busy windows once more")
	times(calmWindows-1, calm)
	wantThread(true, "after too few calm windows since it came back")
	if n := l.thread.switches - before; n != 3 {
		t.Errorf("%d switches, want 3", n)
	}
}

func TestThreadAsTheSettingSays(t *testing.T) {
	l := newTestLoop(t)
	for _, c := range []struct {
		mode IOThread
		want bool
	}{{IOThreadNever, false}, {IOThreadAlways, true}, {IOThreadNever, false}} {
		l.thread.mode = c.mode
		for _, ready := range []int64{8, 0} {
			if l.windowPasses(1, ready, 0); (l.HasThread()) != c.want {
				t.Errorf("mode %d: a thread: %v, want %v", c.mode, !c.want, c.want)
			}
		}
	}
}
