package loop

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"net.server_go/bell"
	"net.server_go/tls"
)

// gate guards the state of the I/O side. Its stepper holds it except while
// it waits in epoll; the Lua thread enters for what it asks at once.
type gate struct {
	mu      bell.Lock
	waiting atomic.Int32
	entered bell.Bell // who lets others in sleeps on it
	dog     watchdog
}

func (g *gate) enter() {
	g.waiting.Add(1)
	g.mu.Lock()
	if g.waiting.Add(-1) == 0 {
		g.entered.Ring()
	}
	g.dog.entered()
}

func (g *gate) leave() {
	g.dog.left()
	g.mu.Unlock()
}

// yield lets in whoever waits.
func (g *gate) yield() {
	g.dog.moved()
	if g.nobodyWaits() {
		return
	}
	g.dog.left()
	g.mu.Unlock()
	if !bell.Spin(g.nobodyWaits) {
		for g.entered.Arm(); !g.nobodyWaits(); g.entered.Arm() {
			g.entered.Sleep(-1)
		}
		g.entered.Disarm()
	}
	g.mu.Lock()
	g.dog.entered()
}

func (g *gate) nobodyWaits() bool { return g.waiting.Load() == 0 }

// stepper steps the sockets: the Lua thread, or the I/O thread and a worker that
// it visits.
type stepper struct {
	guest   *tls.Guest // nil: the Lua thread's
	turning sync.Mutex // guards ready
	ready   [BatchEvents]unix.EpollEvent
	retired bool // under the gate
	// Of the turn in hand: when its wait began, and whether that is for the Lua
	// side, because there is no room to read.
	began   int64
	starved bool
}

// ioThread is the I/O thread, and how much time it and the Lua thread had to
// spare. All but the counters is the Lua thread's.
type ioThread struct {
	stepper *stepper // nil: there is none
	running sync.WaitGroup
	mode    IOThread

	began     int64 // the window of time that is being measured
	seen      load  // the counters at its beginning
	luaBegan  int64 // when the Lua thread's present wait began; 0: it does not wait
	luaWaited int64
	batches   int64
	events    int64
	// handshakes is how many at most computed at the same time.
	handshakes int64
	switches   uint64
	// Written by the stepper.
	ioWaited, turns, ready atomic.Int64
	transfers              atomic.Bool // the latest turn had a transfer
}

func (l *Loop) hasThread() bool { return l.thread.stepper != nil }

// switchOver starts or ends the I/O thread as the load asks for it.
func (l *Loop) switchOver(now int64) {
	t := &l.thread
	want := l.hasThread()
	t.handshakes = max(t.handshakes, tls.Computing())
	if !want && now-t.began >= directWindow {
		want = t.loadSince(now).wantsThread()
	} else if want && now-t.began >= threadWindow {
		want = !t.loadSince(now).isCalm()
	}
	switch t.mode {
	case IOThreadAlways:
		want = true
	case IOThreadNever:
		want = false
	}
	if want && !l.hasThread() {
		l.startThread()
	} else if !want && l.hasThread() {
		l.retireThread()
	}
}

// loadSince ends the window of time that is being measured.
func (t *ioThread) loadSince(now int64) load {
	total := load{
		luaWaited: t.luaWaited,
		ioWaited:  t.ioWaited.Load(),
		turns:     t.turns.Load(),
		ready:     t.ready.Load(),
		batches:   t.batches,
		events:    t.events,
	}
	was := t.seen
	w := load{
		window:    now - t.began,
		luaWaited: total.luaWaited - was.luaWaited,
		ioWaited:  total.ioWaited - was.ioWaited,
		turns:     total.turns - was.turns,
		ready:     total.ready - was.ready,
		batches:   total.batches - was.batches,
		events:    total.events - was.events,

		handshakes: t.handshakes,
	}
	t.began, t.seen, t.handshakes = now, total, 0
	return w
}

func (l *Loop) startThread() {
	s := &stepper{}
	s.guest = tls.NewGuest(func() bool { return l.threadTurn(s, 0) && !l.thread.transfers.Load() })
	l.thread.stepper = s
	l.thread.switches++
	l.thread.running.Add(1)
	go func() {
		defer l.thread.running.Done()
		runtime.LockOSThread() // lest Go hands it on from thread to thread
		// A thread that is still locked would end with the goroutine, and on the
		// runtime's first thread the runtime would lose it.
		defer runtime.UnlockOSThread()
		if others, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err == nil {
			defer setTimerSlack(others)
		}
		setTimerSlack(timerSlack)
		for l.threadTurn(s, -1) {
			l.visitWorker(s)
		}
	}()
}

// timerSlack is the system's own, in ns: other threads of Go's have a longer
// one (thread_pool.c), too long for visitLook and for alarms.
const timerSlack = 50_000

func setTimerSlack(ns int) {
	// If it fails sleeps last longer.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(ns), 0, 0, 0)
}

// visitLook is how often, in ns, the I/O thread looks whether the worker that it
// visits makes turns: that makes a long step, or waits for a processor.
const visitLook = 1_000_000

// visitWorker has a worker make the turns of s, between two steps, while
// handshakes keep the workers busy. To wake threads for each step took a third of
// a handshake, and each of them waited for a time slice.
func (l *Loop) visitWorker(s *stepper) {
	if l.thread.transfers.Load() || !s.guest.Visit() {
		return
	}
	for turns := l.thread.turns.Load(); s.guest.Wait(visitLook); turns = l.thread.turns.Load() {
		if turns == l.thread.turns.Load() && !l.threadTurn(s, 0) {
			s.guest.Leave() // s has been retired
		}
	}
}

// largeTransfer is how many bytes, read or sent at once, are more than a
// handshake or chat: an upload or download is not to wait after each.
const largeTransfer = 8 << 10

func (l *Loop) noticeTransfer(n int) {
	if n >= largeTransfer {
		l.thread.transfers.Store(true)
	}
}

// threadTurn is a turn of the I/O thread, or of a worker in its place; a panic
// ends that turn only. It reports false when the thread has been retired.
func (l *Loop) threadTurn(s *stepper, maxWait int64) (more bool) {
	if !s.turning.TryLock() {
		return true // the other one makes it
	}
	defer s.turning.Unlock()
	defer func() {
		if r := recover(); r != nil {
			l.mail.leaveEvents(nil, fmt.Errorf("internal error: %v", r))
			time.Sleep(100 * time.Millisecond) // it may not pass at once
			more = true
		}
	}()
	return l.turn(s, maxWait)
}

// retireThread makes the Lua thread the stepper. It waits until the I/O
// thread has ended: of two that wait in epoll only one would be woken.
func (l *Loop) retireThread() {
	l.gate.enter()
	l.thread.stepper.retired = true
	l.gate.leave()
	l.thread.stepper.guest.Wake()
	l.thread.stepper = nil
	l.thread.switches++
	l.knock()
	l.mail.stepper.Ring()
	l.thread.running.Wait()
}

// wakeStepper has the stepper look into the mailbox, if it waits.
func (l *Loop) wakeStepper() {
	if l.asleep.CompareAndSwap(true, false) {
		l.knock()
	}
	l.mail.stepper.Ring()
}

// knock ends a wait in epoll.
func (l *Loop) knock() {
	// An eventfd takes 8 bytes until it has counted to 2⁶⁴.
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	if l.wake.fd >= 0 {
		_, _ = unix.Write(l.wake.fd, one[:])
	}
}

// enter is called by the Lua thread before it does something on the I/O side, and
// leave afterwards. To look at it, or to change what the stepper does not wait
// for, it enters and leaves the gate alone: that wakes nobody.
func (l *Loop) enter() { l.gate.enter() }

func (l *Loop) leave() {
	if !l.hasThread() {
		l.gate.leave()
		return
	}
	l.publish(nil)
	l.gate.leave()
	l.wakeStepper() // an alarm may be due earlier than what it waits for
}
