package tls

import (
	"runtime"
	"testing"
	"time"
	"weak"
)

// idleWorker is one that nobody else gives handshakes to.
func idleWorker() *worker {
	w := &worker{}
	go w.run()
	return w
}

func (w *worker) waitIdle(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); w.load.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still busy")
		}
	}
}

func receive(t *testing.T, from <-chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-from:
			if got != w {
				t.Fatalf("%q happened, want %q", got, w)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q did not happen", w)
		}
	}
}

func TestHandshakeGoesOnWhenItIsResumed(t *testing.T) {
	happened := make(chan string, 10)
	h := &handshake{worker: idleWorker()}
	h.tell = func() { happened <- "told" }
	h.run = func(yield func()) {
		happened <- "one"
		yield()
		happened <- "two"
		h.news = true
	}
	h.resume()
	receive(t, happened, "one")
	h.resume()
	receive(t, happened, "two", "told")
	h.resume() // it has ended
	next := &handshake{worker: h.worker, run: func(func()) { happened <- "next" }}
	next.resume()
	receive(t, happened, "next")
}

// TestResumeDuringAStepIsNotLost: there may be input again that the step has
// looked for already.
func TestResumeDuringAStepIsNotLost(t *testing.T) {
	happened := make(chan string, 10)
	h := &handshake{worker: idleWorker()}
	h.run = func(yield func()) {
		h.resume()
		yield()
		happened <- "again"
	}
	h.resume()
	receive(t, happened, "again")
}

func TestHandshakesTakeTurns(t *testing.T) {
	happened := make(chan string, 10)
	w := idleWorker()
	begin := make(chan struct{})
	(&handshake{worker: w, run: func(func()) { <-begin }}).resume()
	for _, name := range []string{"a", "b"} {
		h := &handshake{worker: w}
		h.run = func(yield func()) {
			happened <- name + "1"
			h.resume()
			yield()
			happened <- name + "2"
		}
		h.resume()
	}
	close(begin)
	receive(t, happened, "a1", "b1", "a2", "b2")
}

// TestLongStepsLetOthersFirst: though there was input before, which queued them
// as any other, but no more than a batch of others.
func TestLongStepsLetOthersFirst(t *testing.T) {
	happened := make(chan string, 30)
	w := idleWorker()
	long := &handshake{worker: w}
	long.run = func(yield func()) {
		long.resume() // there is input
		for range fullBatch + 1 {
			(&handshake{worker: w, run: func(func()) { happened <- "other" }}).resume()
		}
		long.letOthersFirst(yield)
		happened <- "long"
	}
	long.resume()
	for range fullBatch {
		receive(t, happened, "other")
	}
	receive(t, happened, "long", "other")
	w.waitIdle(t)
}

// TestNewsIsToldInBatches: not for each step of many, and not later than
// when there is none left.
func TestNewsIsToldInBatches(t *testing.T) {
	happened := make(chan string, 30)
	w := idleWorker()
	begin := make(chan struct{})
	(&handshake{worker: w, run: func(func()) { <-begin }}).resume()
	for range fullBatch + 1 {
		h := &handshake{worker: w, tell: func() { happened <- "told" }}
		h.run = func(func()) {
			happened <- "step"
			h.news = true
		}
		h.resume()
	}
	if got := w.load.Load(); got != fullBatch+2 {
		t.Errorf("the load is %d, want %d", got, fullBatch+2)
	}
	close(begin)
	for range fullBatch {
		receive(t, happened, "step")
	}
	for range fullBatch {
		receive(t, happened, "told")
	}
	receive(t, happened, "step", "told")
}

// TestNewsDoesNotWaitForNews: steps that have none count as well.
func TestNewsDoesNotWaitForNews(t *testing.T) {
	happened := make(chan string, 30)
	w := idleWorker()
	begin := make(chan struct{})
	(&handshake{worker: w, run: func(func()) { <-begin }}).resume()
	first := &handshake{worker: w, tell: func() { happened <- "told" }}
	first.run = func(func()) { first.news = true }
	first.resume()
	for range fullBatch - 1 {
		(&handshake{worker: w, run: func(func()) {}}).resume()
	}
	(&handshake{worker: w, run: func(func()) { happened <- "next" }}).resume()
	close(begin)
	receive(t, happened, "told", "next")
}

// TestGuestHasTurnsBetweenSteps: first, after guestPause, and when no step is
// left, before which it is told the news.
func TestGuestHasTurnsBetweenSteps(t *testing.T) {
	happened := make(chan string, 10)
	w := idleWorker()
	begin := make(chan struct{})
	(&handshake{worker: w, run: func(func()) { <-begin }}).resume()
	last := &handshake{worker: w}
	turns := 0
	turn := func() bool {
		happened <- "turn"
		if turns++; turns == 3 {
			last.resume() // which the turn brought
		}
		return true
	}
	g := NewGuest(turn)
	if !w.welcome(g) {
		t.Fatal("not welcome to a worker that computes")
	}
	if w.welcome(NewGuest(turn)) {
		t.Error("welcome to a worker that has a guest")
	}
	slow := &handshake{worker: w, tell: func() { happened <- "told" }}
	slow.run = func(func()) {
		time.Sleep(2 * guestPause)
		slow.news = true
		happened <- "slow"
	}
	slow.resume()
	(&handshake{worker: w, run: func(func()) { happened <- "next" }}).resume()
	last.run = func(func()) { happened <- "last" }
	close(begin)
	receive(t, happened, "turn", "slow", "told", "turn", "next", "turn", "last", "turn")
	for g.Wait(int64(time.Second)) {
	}
	if w.welcome(g) {
		t.Error("welcome to a worker that does not compute")
	}
}

// TestGuestHasNoTurnsAfterItsLast: there are steps, but it wants no more.
func TestGuestHasNoTurnsAfterItsLast(t *testing.T) {
	happened := make(chan string, 10)
	w := idleWorker()
	begin, proceed := make(chan struct{}), make(chan struct{})
	(&handshake{worker: w, run: func(func()) { <-begin }}).resume()
	(&handshake{worker: w, run: func(func()) { <-proceed }}).resume()
	g := NewGuest(func() bool {
		happened <- "turn"
		return false
	})
	if !w.welcome(g) {
		t.Fatal("not welcome to a worker that computes")
	}
	close(begin)
	receive(t, happened, "turn")
	for g.Wait(int64(time.Second)) {
	}
	close(proceed)
	w.waitIdle(t)
	if len(happened) > 0 {
		t.Errorf("%q happened to who has left", <-happened)
	}
}

// TestGuestLeavesDuringAStep: it need not wait for the step's end.
func TestGuestLeavesDuringAStep(t *testing.T) {
	w := idleWorker()
	proceed := make(chan struct{})
	(&handshake{worker: w, run: func(func()) { <-proceed }}).resume()
	g := NewGuest(func() bool {
		t.Error("a turn of who has left")
		return true
	})
	if !w.welcome(g) {
		t.Fatal("not welcome to a worker that computes")
	}
	go g.Wake()
	if !g.Wait(-1) {
		t.Error("woken, the guest has left")
	}
	g.Leave()
	if g.Wait(-1) {
		t.Error("it stays")
	}
	close(proceed)
	w.waitIdle(t)
}

// TestGuestVisitsBusyWorkers: not if one is idle.
func TestGuestVisitsBusyWorkers(t *testing.T) {
	startWorkers()
	workersBefore := workers
	defer func() { workers = workersBefore }()
	workers = []*worker{{}, {}}
	g := NewGuest(nil)
	if workers[0].load.Store(1); g.Visit() {
		t.Error("visits though a worker is idle")
	}
	workers[1].load.Store(1)
	workers[0].guest = NewGuest(nil)
	if !g.Visit() || workers[1].guest != g {
		t.Error("does not visit the worker without a guest")
	}
	if NewGuest(nil).Visit() {
		t.Error("visits workers that have guests")
	}
}

// TestWorkerDoesNotGiveWayToWhoTakesLong for as long as is fair.
func TestWorkerDoesNotGiveWayToWhoTakesLong(t *testing.T) {
	w := &worker{}
	start := time.Now()
	if w.gaveWay(start, start.Add(time.Millisecond)); !w.busyUntil.IsZero() {
		t.Error("busy though the yield was short")
	}
	back := start.Add(2 * time.Millisecond)
	w.gaveWay(start, back)
	if got := w.busyUntil.Sub(back); got != 18*time.Millisecond {
		t.Errorf("busy for %v", got)
	}
}

// compute takes so much CPU time of the thread that calls it.
func compute(ns int64) {
	for until := threadTime() + ns; threadTime() < until; {
	}
}

func (w *worker) makeSteps(t *testing.T, count int, ns int64) {
	t.Helper()
	for range count {
		(&handshake{worker: w, run: func(func()) { compute(ns) }}).resume()
	}
	w.waitIdle(t)
}

func TestWorkerIsSlowWhileStepsTakeLong(t *testing.T) {
	w := idleWorker()
	w.makeSteps(t, paceSteps-1, 2*longStep)
	if w.isSlow() {
		t.Error("slow before it is known")
	}
	w.makeSteps(t, 1, 2*longStep)
	if !w.isSlow() {
		t.Errorf("not slow with %d ns a step", w.pace.Load())
	}
	time.Sleep(paceSteps * longStep) // which is not CPU time
	w.makeSteps(t, paceSteps, 0)
	if w.isSlow() {
		t.Errorf("slow with %d ns a step", w.pace.Load())
	}
}

// TestGuestsTurnsAreNotSteps: they may take longer without an end of the visit.
func TestGuestsTurnsAreNotSteps(t *testing.T) {
	w := idleWorker()
	begin := make(chan struct{})
	(&handshake{worker: w, run: func(func()) { <-begin }}).resume()
	turns := 0
	g := NewGuest(func() bool {
		compute(paceSteps * longStep)
		turns++
		return true
	})
	if !w.welcome(g) {
		t.Fatal("not welcome to a worker that computes")
	}
	close(begin)
	w.makeSteps(t, paceSteps, longStep/4)
	if w.isSlow() {
		t.Errorf("slow with %d ns a step", w.pace.Load())
	}
	for g.Wait(int64(time.Second)) {
	}
	if turns == 0 {
		t.Error("there was no turn")
	}
}

// TestGuestDoesNotWaitForSlowSteps: it leaves though there are some, and does not
// come again.
func TestGuestDoesNotWaitForSlowSteps(t *testing.T) {
	w := idleWorker()
	begin, proceed := make(chan struct{}), make(chan struct{})
	(&handshake{worker: w, run: func(func()) { <-begin }}).resume()
	g := NewGuest(func() bool { return true })
	if !w.welcome(g) {
		t.Fatal("not welcome to a worker that computes")
	}
	for range paceSteps {
		(&handshake{worker: w, run: func(func()) { compute(2 * longStep) }}).resume()
	}
	(&handshake{worker: w, run: func(func()) { <-proceed }}).resume()
	close(begin)
	for deadline := time.Now().Add(20 * time.Second); g.Wait(int64(time.Second)); {
		if time.Now().After(deadline) {
			t.Fatal("it stays")
		}
	}
	if w.welcome(g) {
		t.Error("welcome to a slow worker")
	}
	close(proceed)
	w.waitIdle(t)
}

func TestHandshakeIsGivenToTheLeastBusyWorker(t *testing.T) {
	startWorkers()
	workersBefore := workers
	defer func() { workers = workersBefore }()
	workers = []*worker{{}, {}, {}}
	workers[0].load.Store(2)
	workers[2].load.Store(1)
	for range 3 { // whichever comes first in turn
		if h := newHandshake(nil, nil); h.worker != workers[1] {
			t.Fatal("not given to the idle worker")
		}
	}
	if got := Computing(); got != 3 {
		t.Errorf("%d handshakes compute, want 3", got)
	}
}

func TestWorkerForgetsHandshakes(t *testing.T) {
	happened := make(chan string, 10)
	w := idleWorker()
	begin := make(chan struct{})
	(&handshake{worker: w, run: func(func()) { <-begin }}).resume()
	var ended []weak.Pointer[handshake]
	for range 10 {
		h := &handshake{worker: w, run: func(func()) { happened <- "end" }}
		ended = append(ended, weak.Make(h))
		h.resume()
	}
	close(begin)
	for range ended {
		receive(t, happened, "end")
	}
	w.waitIdle(t)
	runtime.GC()
	for i, h := range ended {
		if h.Value() != nil {
			t.Errorf("handshake %d is kept", i)
		}
	}
	runtime.KeepAlive(w)
}
