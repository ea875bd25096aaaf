package loop

import (
	"bytes"
	"os"
	"path"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const ms = 1_000_000

func TestHeavyLoad(t *testing.T) {
	heavy := windowLoad{50 * ms, load{luaBusy: 22 * ms, ioBusy: 24 * ms, turns: 10, ready: 80}}
	for _, c := range []struct {
		name       string
		processors int
		change     func(*windowLoad)
		want       bool
	}{
		{"busy, half of it I/O, with much to do in each turn", 2, func(*windowLoad) {}, true},
		{"idle for a tenth", 2, func(w *windowLoad) { w.ioBusy = 23 * ms }, false},
		{"turns with little to do", 2, func(w *windowLoad) { w.ready = 79 }, false},
		{"no turn: the Lua thread computed", 2, func(w *windowLoad) { w.turns, w.ready = 0, 0 }, false},
		{"mostly Lua", 2, func(w *windowLoad) { w.luaBusy, w.ioBusy = 26*ms, 22*ms }, false},
		{"mostly Lua, but there are processors", 3, func(w *windowLoad) { w.luaBusy, w.ioBusy = 40*ms, 6*ms }, true},
	} {
		w := heavy
		if c.change(&w); w.isHeavy(c.processors) != c.want {
			t.Errorf("%s: %v, want %v", c.name, !c.want, c.want)
		}
	}
}

func TestWorthAThread(t *testing.T) {
	busy := windowLoad{100 * ms, load{luaBusy: 45 * ms, ioBusy: 25 * ms, batches: 10, events: 20}}
	for _, c := range []struct {
		name       string
		processors int
		change     func(*windowLoad)
		want       bool
	}{
		{"both work", 2, func(*windowLoad) {}, true},
		{"both work little", 2, func(w *windowLoad) { w.luaBusy = 44 * ms }, false},
		{"woken for single events", 2, func(w *windowLoad) { w.events = 19 }, false},
		{"mostly Lua", 2, func(w *windowLoad) { w.luaBusy = 80 * ms }, false},
		{"mostly Lua, but there are processors", 3, func(w *windowLoad) { w.luaBusy = 80 * ms }, true},
		{"nothing at all", 2, func(w *windowLoad) { *w = windowLoad{length: 100 * ms} }, false},
	} {
		w := busy
		if c.change(&w); w.isWorthAThread(c.processors) != c.want {
			t.Errorf("%s: %v, want %v", c.name, !c.want, c.want)
		}
	}
}

// automatic returns a loop that decides for itself, with so many processors.
func automatic(t *testing.T, processors int) *testLoop {
	l := newTestLoop(t)
	l.holdThread()
	l.driver = driver{processors: processors, began: l.clock()}
	return l
}

// passes has l decide after ns in which Lua and I/O were busy for so long, each
// turn with enough to do.
func (l *testLoop) passes(ns, lua, io int64, log []byte) {
	d := &l.driver
	for start := time.Now(); d.thread != nil && d.thread.isLate(); time.Sleep(10 * time.Microsecond) {
		if time.Since(start) > patience {
			l.t.Fatal("the thread does not begin")
		}
	}
	now := d.began + ns
	d.luaBusy += lua
	d.ioBusy.Add(io)
	d.turns.Add(1)
	d.ready.Add(heavyReady)
	d.batches++
	d.events += 2
	if threaded, why := d.choose(now, log); threaded != l.hasThread() {
		l.change(now, why)
	}
}

// quietWindow forgets what a thread that has just ended has counted.
func (l *testLoop) quietWindow() { l.driver.endWindow(l.driver.began) }

func (l *testLoop) wantState(threaded bool, why Reason, when string) {
	l.t.Helper()
	if l.hasThread() != threaded || l.driver.reason != why {
		l.t.Fatalf("%s: a thread: %v (reason %d), want %v (%d)", when, l.hasThread(), l.driver.reason, threaded, why)
	}
}

// TestThreadComesAndGoes: it needs load for a whole window, and leaves after a
// calm one.
func TestThreadComesAndGoes(t *testing.T) {
	l := automatic(t, 2)
	l.passes(directWindow-1, 0, directWindow, nil)
	l.wantState(false, 0, "before the end of a busy window")
	l.passes(directWindow, 0, directWindow, nil)
	l.wantState(true, ReasonLoad, "after a busy window")
	l.quietWindow()
	l.passes(threadWindow, 0, threadWindow, nil)
	l.wantState(true, ReasonLoad, "after another one")
	l.quietWindow()
	l.passes(threadWindow-1, 0, 0, nil)
	l.wantState(true, ReasonLoad, "before the end of a calm window")
	l.passes(threadWindow, 0, 0, nil)
	l.wantState(false, ReasonCalm, "after a calm window")
	s := l.Stats()
	if s.Changes != [Reasons]uint64{ReasonLoad: 1, ReasonCalm: 1} || s.ThreadTime != 2*threadWindow {
		t.Errorf("%v changes, %d ns", s.Changes, s.ThreadTime)
	}
}

// fanOutLog has output for so many connections, and commands between them.
func fanOutLog(count int) []byte {
	var log []byte
	for i := range count {
		log = append(log, record(Handle(i+1), cmdWrite, []byte("a stanza"))...)
		log = append(log, record(Handle(i+1), cmdResume, nil)...)
	}
	return log
}

func TestFanOut(t *testing.T) {
	for _, c := range []struct {
		log  []byte
		want bool
	}{
		{nil, false},
		{fanOutLog(fanOut - 1), false},
		{fanOutLog(fanOut), true},
		{fanOutLog(fanOut + 1), true},
		{record(1, cmdWrite, make([]byte, fanOut*RecordHeader)), false},
		{bytes.Repeat(record(1, cmdResume, nil), 2*fanOut), false},
		{bytes.Repeat(record(1, cmdWrite, nil), 2*fanOut), false}, // each asks for a Drained
	} {
		if isFanOut(c.log) != c.want {
			t.Errorf("%d bytes: %v", len(c.log), !c.want)
		}
	}
}

// TestThreadComesForAFanOut at once, stays while there are any, and goes after a
// window without.
func TestThreadComesForAFanOut(t *testing.T) {
	l := automatic(t, 2)
	l.passes(1, 0, 0, fanOutLog(fanOut-1))
	l.wantState(false, 0, "with few writes")
	l.passes(1, 0, 0, fanOutLog(fanOut))
	l.wantState(true, ReasonFanOut, "with many")
	l.passes(threadWindow/2, 0, 0, fanOutLog(fanOut))
	l.passes(threadWindow, 0, 0, nil)
	l.wantState(true, ReasonFanOut, "after a window with another")
	l.passes(threadWindow, 0, 0, nil)
	l.wantState(false, ReasonCalm, "after a window without")
}

// TestThreadComesForHandshakes at once, and goes after a window without.
func TestThreadComesForHandshakes(t *testing.T) {
	l := automatic(t, 2)
	l.driver.handshakes = manyHandshakes - 1
	l.passes(1, 0, 0, nil)
	l.wantState(false, 0, "with few")
	l.driver.handshakes = manyHandshakes
	l.passes(1, 0, 0, nil)
	l.wantState(true, ReasonHandshakes, "with many")
	l.driver.handshakes = manyHandshakes
	l.passes(threadWindow, 0, 0, nil)
	l.wantState(true, ReasonHandshakes, "after a window with many")
	l.passes(threadWindow, 0, 0, nil)
	l.wantState(false, ReasonCalm, "after a window without")
}

// TestOneProcessorHasNoThread, whatever there is to do, but one that was asked for.
func TestOneProcessorHasNoThread(t *testing.T) {
	l := automatic(t, 1)
	l.driver.handshakes = manyHandshakes
	l.passes(directWindow, 0, directWindow, fanOutLog(fanOut))
	l.wantState(false, 0, "with everything")
	l.driver.mode = IOThreadAlways
	l.passes(0, 0, 0, nil)
	l.wantState(true, ReasonSetting, "as the setting says")
	l.driver.mode = IOThreadAuto
	l.passes(0, 0, 0, nil)
	l.wantState(false, ReasonProcessors, "no longer")
}

func TestThreadAsTheSettingSays(t *testing.T) {
	l := automatic(t, 2)
	for _, c := range []struct {
		mode IOThread
		want bool
	}{{IOThreadNever, false}, {IOThreadAlways, true}, {IOThreadNever, false}} {
		l.driver.mode = c.mode
		for _, log := range [][]byte{nil, fanOutLog(fanOut)} {
			if l.passes(threadWindow, 0, 0, log); l.hasThread() != c.want {
				t.Errorf("mode %d: a thread: %v, want %v", c.mode, !c.want, c.want)
			}
		}
	}
}

// TestLuaThreadGoesOnAlone where Go's runtime has no thread: what was left for it
// is not lost, and it finds that nobody wants it.
func TestLuaThreadGoesOnAlone(t *testing.T) {
	if *ioThreadFlag != "never" {
		t.Skip("the flag decides who runs the loop")
	}
	l := automatic(t, 2)
	h, _, peer := l.pair(unix.SOCK_STREAM, int(ReadAny))
	late := &ioThread{}
	l.driver.thread, l.driver.since, l.driver.mode = late, l.clock(), IOThreadAuto
	l.put(h, "left for the thread")
	buffer := make([]byte, 64)
	got := 0
	for start := time.Now(); got <= 0 && time.Since(start) < patience; got, _ = unix.Read(peer, buffer) {
		l.stepOnce(0)
	}
	if text := string(buffer[:max(got, 0)]); text != "left for the thread" {
		t.Errorf("the peer received %q", text)
	}
	l.wantState(false, ReasonLate, "without a thread")
	l.passes(lateRetry-l.driver.began+l.driver.since-1, 0, 0, fanOutLog(fanOut))
	l.wantState(false, ReasonLate, "soon after")
	l.passes(lateRetry, 0, 0, fanOutLog(fanOut))
	l.wantState(true, ReasonFanOut, "later")
	if late.state.CompareAndSwap(threadNew, threadRuns) {
		t.Error("it may still come")
	}
}

// TestQuota: the least of a group and those above it, in whole processors.
func TestQuota(t *testing.T) {
	root := t.TempDir()
	must(0, os.MkdirAll(path.Join(root, "sys/fs/cgroup/a/b"), 0o755))(t)
	must(0, os.MkdirAll(path.Join(root, "proc/self"), 0o755))(t)
	write := func(name, text string) { must(0, os.WriteFile(path.Join(root, name), []byte(text), 0o644))(t) }
	write("proc/self/cgroup", "1:name=systemd:/x\n0::/a/b\n")
	for _, c := range []struct {
		above, own string
		want       int
	}{
		{"", "", noQuota},
		{"max 100000\n", "max 100000\n", noQuota},
		{"max 100000\n", "200000 100000\n", 2},
		{"100000 100000\n", "200000 100000\n", 1},
		{"150000 100000\n", "max 100000\n", 1},
		{"20000 100000\n", "max 100000\n", 1},
		{"nonsense", "5 0", noQuota},
	} {
		write("sys/fs/cgroup/a/cpu.max", c.above)
		write("sys/fs/cgroup/a/b/cpu.max", c.own)
		if got := quotaOf(root); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.above, c.own, got, c.want)
		}
	}
	if got := quotaOf("/nowhere"); got != noQuota {
		t.Errorf("no groups: %d", got)
	}
}
