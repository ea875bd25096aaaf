package loop

import "testing"

const ms = 1_000_000

func TestWantsThread(t *testing.T) {
	busy := load{window: 50 * ms, ioWaited: 4 * ms, turns: 10, ready: 80}
	for _, c := range []struct {
		name   string
		change func(*load)
		want   bool
	}{
		{"busy, with much to do in each turn", func(*load) {}, true},
		{"all the time", func(w *load) { w.ioWaited = 0 }, true},
		{"waiting too often", func(w *load) { w.ioWaited = 5 * ms }, false},
		{"turns with little to do", func(w *load) { w.ready = 79 }, false},
		{"no turn: the Lua thread computed", func(w *load) { w.turns, w.ready = 0, 0 }, false},
		{"idle, but for handshakes", func(w *load) { w.ioWaited, w.ready, w.handshakes = 50*ms, 0, 4 }, true},
		{"idle, with few handshakes", func(w *load) { w.ioWaited, w.ready, w.handshakes = 50*ms, 0, 3 }, false},
	} {
		w := busy
		if c.change(&w); w.wantsThread() != c.want {
			t.Errorf("%s: %v, want %v", c.name, !c.want, c.want)
		}
	}
}

func TestIsCalm(t *testing.T) {
	busy := load{window: 100 * ms, luaWaited: 60 * ms, ioWaited: 70 * ms, batches: 10, events: 20}
	for _, c := range []struct {
		name   string
		change func(*load)
		want   bool
	}{
		{"both work", func(*load) {}, false},
		{"both work little", func(w *load) { w.ioWaited = 71 * ms }, true},
		{"batches of many events", func(w *load) { w.events = 1000 }, false},
		{"a thread woken for single events", func(w *load) { w.events = 19 }, true},
		{"single events, but handshakes", func(w *load) { w.events, w.handshakes = 19, 4 }, false},
		{"nothing at all", func(w *load) { *w = load{window: 100 * ms, luaWaited: 100 * ms, ioWaited: 100 * ms} }, true},
	} {
		w := busy
		if c.change(&w); w.isCalm() != c.want {
			t.Errorf("%s: %v, want %v", c.name, !c.want, c.want)
		}
	}
}

// timePasses lets the loop decide after ns, in which the counters grew so.
func (l *testLoop) timePasses(ns, turns, ready, waited int64) {
	th := &l.thread
	th.luaWaited += waited
	th.turns.Add(turns)
	th.ready.Add(ready)
	th.batches++
	th.events += 2
	l.switchOver(th.began + ns)
}

// windowPasses is the same for a whole window, whoever is the stepper.
func (l *testLoop) windowPasses(turns, ready, waited int64) {
	l.newWindow()
	l.timePasses(max(directWindow, threadWindow), turns, ready, waited)
}

// newWindow forgets what was counted: a thread that has just ended counted how
// long it slept.
func (l *testLoop) newWindow() { l.thread.loadSince(l.thread.began) }

// TestThreadComesAndGoes: it needs load for a whole window, and leaves after a
// calm one.
func TestThreadComesAndGoes(t *testing.T) {
	l := newTestLoop(t)
	l.thread.mode = IOThreadAuto
	const long = 1 << 40 // whatever the machine does meanwhile
	wantThread := func(want bool, when string) {
		t.Helper()
		if got := l.hasThread(); got != want {
			t.Fatalf("%s: a thread: %v, want %v", when, got, want)
		}
	}
	busy, calm := func() { l.windowPasses(1, 8, 0) }, func() { l.windowPasses(0, 0, long) }
	l.holdThread()
	calm()
	wantThread(false, "in the beginning")
	before := l.thread.switches
	l.newWindow()
	l.timePasses(directWindow-1, 1, 8, 0)
	wantThread(false, "before the end of a busy window")
	busy()
	wantThread(true, "after a busy window")
	busy()
	wantThread(true, "after another one")
	l.newWindow()
	l.timePasses(threadWindow-1, 0, 0, long)
	wantThread(true, "before the end of a calm window")
	calm()
	wantThread(false, "after a calm window")
	if n := l.thread.switches - before; n != 2 {
		t.Errorf("%d switches, want 2", n)
	}
}

// TestThreadComesForHandshakes that were computed at the same time in a window,
// though they are over at its end, and goes after a window without.
func TestThreadComesForHandshakes(t *testing.T) {
	l := newTestLoop(t)
	l.thread.mode = IOThreadAuto
	l.holdThread()
	l.newWindow()
	for _, c := range []struct {
		handshakes int64
		want       bool
	}{{manyHandshakes - 1, false}, {manyHandshakes, true}, {0, false}} {
		l.thread.handshakes = max(l.thread.handshakes, c.handshakes)
		if l.timePasses(threadWindow, 0, 0, 1<<40); l.hasThread() != c.want {
			t.Errorf("%d handshakes: a thread: %v, want %v", c.handshakes, !c.want, c.want)
		}
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
			if l.windowPasses(1, ready, 0); l.hasThread() != c.want {
				t.Errorf("mode %d: a thread: %v, want %v", c.mode, !c.want, c.want)
			}
		}
	}
}
