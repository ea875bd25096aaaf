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
	if AllCompute() {
		t.Error("all compute, though one is idle")
	}
	if workers[1].load.Store(1); !AllCompute() {
		t.Error("not all compute")
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
