package loop

import "golang.org/x/sys/unix"

// A Wait is what the Lua thread does between two steps, if it has nothing to hand
// over. It does so in C, on a stack that has room for the host's signal handlers,
// with the host's signal mask: Go's functions run with those signals blocked.
type Wait struct {
	FD   int   // an epoll instance; negative: there is nothing to wait for
	Time int64 // ns at most; 0 is no wait, negative is for ever
}

// Done is what the Lua side did since the step before.
type Done struct {
	Log []byte // of commands
	// Waited: epoll has reported Ready of the Wait, or Err; a signal is none. Else
	// the step looks itself what is ready, once it has sent.
	Waited bool
	Ready  []unix.EpollEvent
	Err    error
	Busy   int64 // for how long Lua has run, in all, in ns
	// MaxWait is for how long the step itself may wait, in ns; negative: for ever.
	// It does so only for an I/O thread, and for dozeTime at most.
	MaxWait int64
}

// Step hands over what the Lua side did, with which the batch before is settled.
// It returns what happened, a log that is spent, with length 0, or nil, and what
// to wait for before the next step. The log in done is the loop's from now on.
func (l *Loop) Step(done Done) (batch []Event, spent []byte, w Wait, err error) {
	now := l.clock()
	l.driver.luaBusy = done.Busy
	threaded, why := l.driver.choose(now, done.Log)
	if threaded != l.hasThread() {
		l.change(now, why)
		done.Waited, done.Ready = false, nil // that was of what the other waits for
	}
	left, spent := l.mail.leaveTurn(turn{l.batch, done.Log})
	l.batch = nil
	if threaded {
		if left {
			l.wakeDriver()
		}
		batch, w, err = l.awaitEvents(done)
	} else {
		batch, w, err = l.ownTurn(done)
	}
	l.batch = batch
	l.showTexts()
	if len(batch) > 0 {
		l.driver.batches++
		l.driver.events += int64(len(batch))
	}
	return batch, spent, w, err
}

// ownTurn is a turn on the Lua thread.
func (l *Loop) ownTurn(done Done) (batch []Event, w Wait, err error) {
	l.gate.enter()
	defer l.gate.leave()
	l.starved = false // the Lua side has taken everything
	w = l.turn(nil, done.Waited, done.Ready, done.Err)
	batch, err = l.mail.takeEvents()
	if l.starved || l.needsSettling(batch) {
		w.Time = 0
	}
	return batch, w, err
}

// needsSettling reports whether the loop has to learn that the Lua side is done
// with a batch, before it waits.
func (l *Loop) needsSettling(batch []Event) bool {
	for i := range batch {
		ev := &batch[i]
		if ev.Kind != Drained {
			return true
		}
		if c := l.conn(ev.Handle); c != nil && c.inPause() {
			return true // see mayReadAhead
		}
	}
	return false
}

// dozeTime is how long, in ns, the Lua thread waits for an I/O thread with the
// host's signals blocked, before it waits in C. An I/O thread is there under load,
// and under load the next event comes sooner; to wake somebody in epoll costs
// the Lua thread 0.8 µs a message more, with 64 connections.
const dozeTime = 500_000

// awaitEvents has the Lua thread wait until the I/O thread has left events.
func (l *Loop) awaitEvents(done Done) (batch []Event, w Wait, err error) {
	bell := l.mail.lua
	bell.Disarm()
	if done.MaxWait != 0 && !l.mail.hasEvents() {
		doze := int64(dozeTime)
		if done.MaxWait > 0 {
			doze = min(doze, done.MaxWait)
		}
		bell.Doze(doze, l.mail.hasEvents)
	}
	for range 2 {
		if batch, err = l.mail.takeEvents(); len(batch) > 0 || err != nil {
			bell.Disarm()
			return batch, Wait{FD: -1}, err
		}
		bell.Arm() // before the second look: none that come meanwhile are missed
	}
	w = Wait{bell.FD(), -1}
	if l.driver.thread.isLate() {
		w.Time = lateThread
	}
	return nil, w, done.Err
}

// milliseconds is ns for epoll_wait, rounded up: waking before a timer is due
// means spinning until it is.
func milliseconds(ns int64) int {
	if ns < 0 {
		return -1
	}
	const longest = 1 << 30
	return int(min(ns/1_000_000+min(ns%1_000_000, 1), longest))
}
