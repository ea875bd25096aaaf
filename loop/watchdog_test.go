package loop

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stuck is an object that blocks whoever steps the sockets.
type stuck struct {
	registration
	loop    *Loop
	release chan struct{}
}

func (s *stuck) ready(uint32) {
	<-s.release
	s.leave(s.loop.poller)
}

func (s *stuck) close() {}

// addStuck returns an object that blocks as soon as it is ready, which it is.
func (l *testLoop) addStuck() *stuck {
	l.t.Helper()
	r, w := pipe(l.t)
	must(unix.Write(w, []byte("x")))(l.t)
	s := &stuck{loop: l.Loop, release: make(chan struct{})}
	l.holdThread()
	l.enter()
	defer l.leave()
	s.fd = r
	s.handle = l.objects.insert(s)
	if err := s.want(l.poller, readable); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// ownNotes returns the texts of all notes so far that are of no connection.
func (l *testLoop) ownNotes() (texts []string) {
	for _, ev := range l.events {
		if ev.Kind == Note && ev.Handle == 0 {
			texts = append(texts, string(ev.Bytes))
		}
	}
	return texts
}

func wantStall(t *testing.T, texts []string) {
	t.Helper()
	if len(texts) != 1 {
		t.Fatalf("%d reports of one stall", len(texts))
	}
	if !strings.Contains(texts[0], "(*stuck).ready") {
		t.Errorf("the report does not show who blocks:\n%s", texts[0])
	}
}

// TestAStallOfTheIOThreadIsReported to the Lua side, which is free.
func TestAStallOfTheIOThreadIsReported(t *testing.T) {
	l := newTestLoop(t)
	l.withThread()
	l.step(0)
	s := l.addStuck()
	for start := time.Now(); len(l.ownNotes()) == 0 && time.Since(start) < patience; {
		batch, _, err := l.Loop.stepFor(nil, int64(100*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range batch {
			ev.Bytes = []byte(string(ev.Bytes))
			l.events = append(l.events, ev)
		}
	}
	close(s.release)
	wantStall(t, l.ownNotes())
	if n := l.Stats().Stalls; n != 1 {
		t.Errorf("%d stalls", n)
	}
	l.Release(s.handle)
}

// TestAStallOfTheLuaThreadIsReported when it is over: until then nothing
// reaches Lua.
func TestAStallOfTheLuaThreadIsReported(t *testing.T) {
	l := newTestLoop(t)
	if *ioThreadFlag != "never" {
		t.Skip("the Lua thread does not step the sockets")
	}
	s := l.addStuck()
	time.AfterFunc((stallLooks+2)*look, func() { close(s.release) })
	l.step(0)
	l.step(0)
	wantStall(t, l.ownNotes())
	l.Release(s.handle)
}

// testDog is a watchdog that looks often.
func testDog(t *testing.T) (w *watchdog, reports *atomic.Int64) {
	reports = &atomic.Int64{}
	w = &watchdog{every: 10 * time.Millisecond, wake: make(chan struct{}, 1), report: func() { reports.Add(1) }}
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go w.run(done)
	return w, reports
}

func (w *watchdog) waitAsleep(t *testing.T) {
	t.Helper()
	for start := time.Now(); w.awake.Load(); time.Sleep(time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("it does not go to sleep")
		}
	}
}

func TestWatchdogReportsEachStallOnce(t *testing.T) {
	w, reports := testDog(t)
	for n := range int64(3) {
		w.entered()
		for start := time.Now(); reports.Load() <= n && time.Since(start) < patience; time.Sleep(time.Millisecond) {
		}
		time.Sleep(stallLooks * 3 * w.every)
		if got := reports.Load(); got != n+1 {
			t.Fatalf("%d reports of %d stalls", got, n+1)
		}
		w.left()
	}
	w.waitAsleep(t)
}

func TestWatchdogSleepsWhileNothingHappens(t *testing.T) {
	w, reports := testDog(t)
	for range 20 {
		w.entered()
		w.left()
		w.waitAsleep(t)
	}
	if n := reports.Load(); n != 0 {
		t.Errorf("%d reports of nothing", n)
	}
}

// TestWatchdogLeavesTheBusyAlone: who goes from descriptor to descriptor for
// long has not stalled.
func TestWatchdogLeavesTheBusyAlone(t *testing.T) {
	w, reports := testDog(t)
	w.entered()
	for range 30 {
		time.Sleep(w.every / 2)
		w.moved()
	}
	w.left()
	w.waitAsleep(t)
	if n := reports.Load(); n != 0 {
		t.Errorf("%d reports of somebody busy", n)
	}
}

// TestGoroutinesAreGrouped, and the report is no longer than it may be.
func TestGoroutinesAreGrouped(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	for range 5000 {
		go func() { <-release }()
	}
	var text string
	for start := time.Now(); time.Since(start) < patience; time.Sleep(10 * time.Millisecond) {
		if text = goroutines(); strings.Count(text, "TestGoroutinesAreGrouped.func") == 1 {
			break // before that some have not come to where they wait
		}
	}
	if len(text) > maxStacks+1 || strings.Count(text, "TestGoroutinesAreGrouped.func") != 1 {
		t.Errorf("%d bytes, each of the same goroutines apart:\n%.2000s", len(text), text)
	}
}
