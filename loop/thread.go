package loop

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ioThread is a thread that runs the loop in the Lua thread's place.
type ioThread struct {
	state   atomic.Uint32
	running sync.WaitGroup
	retired bool // under the gate
}

// The states of an ioThread. Go's runtime may have no thread for it at once: then
// the Lua thread goes on alone, and the late one finds that nobody wants it.
const (
	threadNew uint32 = iota
	threadRuns
	threadUnwanted
)

func (t *ioThread) isLate() bool { return t.state.Load() == threadNew }

func (l *Loop) startThread() {
	t := &ioThread{}
	l.driver.thread = t
	l.asleep.Store(false) // it begins with a turn
	t.running.Go(func() {
		if !t.state.CompareAndSwap(threadNew, threadRuns) {
			return
		}
		runtime.LockOSThread() // lest Go hands it on from thread to thread
		// A thread that is still locked would end with the goroutine, and on the
		// runtime's first thread the runtime would lose it.
		defer runtime.UnlockOSThread()
		if others, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err == nil {
			defer setTimerSlack(others)
		}
		setTimerSlack(timerSlack)
		for w, more := (Wait{FD: l.poller.fd}), true; more; {
			w, more = l.threadTurn(t, w)
		}
	})
}

// timerSlack is the system's own, in ns: other threads of Go's have a longer
// one (thread_pool.c), too long for alarms.
const timerSlack = 50_000

func setTimerSlack(ns int) {
	// If it fails sleeps last longer.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(ns), 0, 0, 0)
}

// threadTurn waits as w says and makes a turn, which says how to wait for the
// next. A panic ends that turn only. It reports false when t has been retired.
func (l *Loop) threadTurn(t *ioThread, w Wait) (next Wait, more bool) {
	defer func() {
		if r := recover(); r != nil {
			l.mail.leaveEvents(nil, fmt.Errorf("internal error: %v", r))
			time.Sleep(100 * time.Millisecond) // it may not pass at once
			next, more = Wait{FD: l.poller.fd}, true
		}
	}()
	ready, err := l.threadWait(w)
	l.gate.enter()
	defer l.gate.leave()
	if t.retired {
		return next, false // what was ready will be so for the successor
	}
	next = l.turn(t, true, ready, err)
	return next, !t.retired
}

// threadWait is an I/O thread's wait. While the loop may not read it does not
// look at the sockets: epoll would say again and again what must wait.
func (l *Loop) threadWait(w Wait) ([]unix.EpollEvent, error) {
	if w.FD >= 0 {
		return l.poller.wait(w.Time)
	}
	if w.Time != 0 {
		l.mail.driver.Sleep(w.Time)
	}
	return nil, nil
}

// retireThread has the Lua thread run the loop. It waits until the I/O thread
// has ended: of two that wait in epoll only one would be woken.
func (l *Loop) retireThread() {
	t := l.driver.thread
	l.driver.thread = nil
	if t.state.CompareAndSwap(threadNew, threadUnwanted) {
		return
	}
	l.gate.enter()
	t.retired = true
	l.gate.leave()
	l.knock()
	l.mail.driver.Ring()
	t.running.Wait()
	l.asleep.Store(false)
}
