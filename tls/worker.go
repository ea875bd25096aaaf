package tls

import (
	"iter"
	"runtime"
	"sync"
	"sync/atomic"

	"net.server_go/bell"
)

// A worker is a thread that computes handshakes, one step after the other.
// There is one for each processor but one, and no more than LimitThreads
// allows: with the last one busy too the Lua thread and the I/O thread would often
// wait for a time slice.
type worker struct {
	load atomic.Int64 // steps that wait, and the one under way
	bell bell.Bell

	mu     bell.Lock
	steps  []*handshake
	long   []*handshake // steps that take long: others go first
	passed int          // others that went first, since the latest of these

	told  []func() // whom to tell of the latest steps
	since int      // steps since the first of them
}

// fullBatch is how many steps a worker makes before it tells of them though
// there are more to be made: who is told leaves its sleep for it, and takes this
// processor.
const fullBatch = 16

// workerCount follows Go's first GOMAXPROCS, which knows what a container may
// use.
var workerCount = max(1, runtime.GOMAXPROCS(0)-1)

var (
	workers      []*worker
	started      atomic.Bool
	startWorkers = sync.OnceFunc(func() {
		for range workerCount {
			w := &worker{}
			workers = append(workers, w)
			go w.run()
		}
		started.Store(true)
	})
)

// Computing is how many handshakes compute, or wait until they may.
func Computing() (n int64) {
	if !started.Load() {
		return 0
	}
	for _, w := range workers {
		n += w.load.Load()
	}
	return n
}

// AllCompute reports whether every worker has a step to make: what is new has to
// wait.
func AllCompute() bool {
	if !started.Load() {
		return false
	}
	for _, w := range workers {
		if w.load.Load() == 0 {
			return false
		}
	}
	return true
}

// LimitThreads bounds the workers, and says how many threads may run Go code at
// once, whatever the host has. That should be two more than there are workers,
// the Lua thread and the I/O thread or the collector: else these wait, for 10 ms
// at a time, until a handshake has computed enough. It is to be called before the
// first handshake.
func LimitThreads(workers, processors int) {
	workerCount = min(workerCount, workers)
	runtime.GOMAXPROCS(processors)
}

func (w *worker) run() {
	// Between two steps it never leaves the thread: only the Go scheduler could
	// hand it to another, at the cost of two wake-ups.
	runtime.LockOSThread()
	for {
		w.step(w.next())
		w.load.Add(-1)
	}
}

// next waits for the next step that is to be made.
func (w *worker) next() *handshake {
	for {
		if h := w.take(); h != nil {
			return h
		}
		w.tell()
		w.bell.Arm()
		if h := w.take(); h != nil {
			w.bell.Disarm()
			return h
		}
		w.bell.Sleep(-1)
	}
}

func (w *worker) take() *handshake {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		queue := w.nextQueue()
		if len(*queue) == 0 {
			return nil
		}
		h := (*queue)[0]
		(*queue)[0] = nil // the array would keep it, with its connection, until the next burst
		*queue = (*queue)[1:]
		if h.long && queue == &w.steps { // it was queued before it knew
			w.long = append(w.long, h)
			continue
		}
		h.queued = false
		return h
	}
}

// nextQueue passes over the long steps for others, but not for ever.
func (w *worker) nextQueue() *[]*handshake {
	switch {
	case len(w.long) == 0:
		return &w.steps
	case len(w.steps) == 0, w.passed >= fullBatch:
		w.passed = 0
		return &w.long
	}
	w.passed++
	return &w.steps
}

func (w *worker) step(h *handshake) {
	h.step()
	if h.news {
		h.news = false
		w.told = append(w.told, h.tell)
	}
	if len(w.told) > 0 {
		w.since++
	}
	if w.since >= fullBatch {
		w.tell()
	}
}

func (w *worker) tell() {
	for _, f := range w.told {
		f()
	}
	clear(w.told)
	w.told, w.since = w.told[:0], 0
}

// handshake is a coroutine on a worker: a function that yields when it needs
// something from outside. A switch to it and back costs no more than a call or
// two, where a goroutine that waits and is woken would occupy Go's scheduler.
type handshake struct {
	worker *worker
	run    func(yield func())
	next   func() (struct{}, bool)
	tell   func()
	news   bool // tell is to be called after this step
	queued bool // guarded by worker.mu
	long   bool // the next step takes long; the same
}

// lastWorker is the one that got the latest handshake.
var lastWorker atomic.Uint32

// newHandshake gives the coroutine run to the least busy worker. tell is called
// soon after steps that have news.
func newHandshake(run func(yield func()), tell func()) *handshake {
	startWorkers()
	first := int(lastWorker.Add(1))
	h := &handshake{run: run, tell: tell}
	for i := range workers {
		w := workers[(first+i)%len(workers)]
		if h.worker == nil || w.load.Load() < h.worker.load.Load() {
			h.worker = w
		}
	}
	return h
}

// resume has the worker run the coroutine until it yields again. It may be
// called from any goroutine, also if the coroutine has nothing to go on with,
// or has ended.
func (h *handshake) resume() {
	w := h.worker
	w.mu.Lock()
	if !h.queued {
		h.queued = true
		if h.long {
			w.long = append(w.long, h)
		} else {
			w.steps = append(w.steps, h)
		}
		w.load.Add(1)
	}
	w.mu.Unlock()
	w.bell.Ring()
}

// letOthersFirst is for a step that is about to compute for long: it goes on when
// others have made theirs. yield is the coroutine's.
func (h *handshake) letOthersFirst(yield func()) {
	h.setLong(true)
	h.resume()
	yield()
	h.setLong(false)
}

func (h *handshake) setLong(long bool) {
	h.worker.mu.Lock()
	defer h.worker.mu.Unlock()
	h.long = long
}

func (h *handshake) step() {
	if h.run != nil {
		// Here, for a coroutine stays on the thread that made it.
		h.next, _ = iter.Pull(h.sequence(h.run))
		h.run = nil
	}
	if h.next == nil {
		return
	}
	if _, yielded := h.next(); !yielded {
		h.next = nil
	}
}

func (h *handshake) sequence(run func(yield func())) iter.Seq[struct{}] {
	return func(yield func(struct{}) bool) {
		run(func() { yield(struct{}{}) })
	}
}
