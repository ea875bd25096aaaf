package tls

import (
	"sync/atomic"
	"time"

	"net.server_go/bell"
)

// A Guest is what a worker does besides, between its steps. Its methods are for
// one thread, but for Wake.
type Guest struct {
	turn func() bool
	host atomic.Pointer[worker] // nil: it visits none
	bell bell.Bell
}

// NewGuest returns a guest that does turn, until turn reports false.
func NewGuest(turn func() bool) *Guest { return &Guest{turn: turn} }

// guestPause is for how long a worker makes steps before its guest has a turn.
const guestPause = 300 * time.Microsecond

// longStep is what a step takes, in ns, with which a worker is no host: to wait
// for it takes longer than to wake a thread. With an RSA key it is twice as much,
// with ECDSA P-256 half.
const longStep = 150_000

func (w *worker) isSlow() bool { return w.pace.Load() > longStep }

// Visit begins a visit to a worker, which ends when that has no more steps to
// make, or slow ones. It reports false if there is none, or a worker is idle:
// then there is a processor for the guest's own thread.
func (g *Guest) Visit() bool {
	if !started.Load() || Computing() < int64(len(workers)) {
		return false
	}
	for _, w := range workers {
		if w.welcome(g) {
			return true
		}
	}
	return false
}

// Wait waits for the end of the visit, for Wake, or for ns. It reports whether
// the visit goes on.
func (g *Guest) Wait(ns int64) bool {
	g.bell.Arm()
	if g.host.Load() != nil {
		g.bell.Sleep(ns)
	}
	g.bell.Disarm()
	return g.host.Load() != nil
}

// Wake ends a Wait. It may be called on any thread.
func (g *Guest) Wake() { g.bell.Ring() }

// Leave ends the visit. A turn may be under way, or about to be.
func (g *Guest) Leave() {
	if w := g.host.Load(); w != nil {
		w.dismiss(g)
	}
}

func (w *worker) welcome(g *Guest) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.load.Load() == 0 || w.guest != nil || w.isSlow() {
		return false
	}
	w.guest = g
	g.host.Store(w)
	return true
}

func (w *worker) dismiss(g *Guest) {
	w.mu.Lock()
	if w.guest == g {
		w.guest = nil
		g.host.Store(nil)
	}
	w.mu.Unlock()
	g.bell.Ring()
}

func (w *worker) presentGuest() *Guest {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.guest
}

// dueGuest is the guest if it is to have a turn though steps wait.
func (w *worker) dueGuest() *Guest {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle() || time.Since(w.visited) < guestPause {
		return nil
	}
	return w.guest
}

// giveTurn tells of steps first: it is the guest who is to know. What the turn
// takes is not the steps'.
func (w *worker) giveTurn(g *Guest) {
	w.tell()
	before := threadTime()
	if !g.turn() || w.isSlow() {
		w.dismiss(g)
	}
	w.paced += threadTime() - before
	w.visited = time.Now()
}
