package loop

import "golang.org/x/sys/unix"

// A Wait is what the Lua thread does between Begin and End. It does so in C, on
// a stack that has room for the host's signal handlers, with the host's signal
// mask: Go's functions run with those signals blocked.
type Wait struct {
	FD           int // an epoll instance; negative: there is nothing to wait for
	Milliseconds int // for epoll_wait: 0 is no wait, -1 is for ever
}

// AtOnce reports whether End can be called without a wait.
func (w Wait) AtOnce() bool { return w.Milliseconds == 0 }

// Look ends a wait that is none: it polls.
func (l *Loop) Look(w Wait) ([]Event, error) {
	ready, err := l.wait(w)
	return l.End(ready, err)
}

// wait does what w says.
func (l *Loop) wait(w Wait) ([]unix.EpollEvent, error) {
	if w.FD < 0 {
		return nil, nil
	}
	n, err := epollWait(w.FD, l.self.ready[:], w.Milliseconds)
	return l.self.ready[:max(n, 0)], err
}

// starvedLook is how long, in ms, the Lua thread waits at most when it may not
// read.
const starvedLook = 10

// awaitSockets begins a turn of the Lua thread's, with the gate shut.
func (l *Loop) awaitSockets(now, maxWait int64) Wait {
	wait := l.beginTurn(&l.self, now, maxWait)
	ms := milliseconds(wait)
	switch {
	case !l.self.starved:
		return Wait{l.poller.fd, ms}
	case ms == 0:
		return Wait{FD: -1}
	case ms < 0:
		ms = starvedLook
	}
	// The Lua side has taken all there was, so this cannot last. Until it is
	// over epoll would say again and again what must not be read.
	return Wait{l.mail.lua.FD(), min(ms, starvedLook)}
}

// dozeTime is how long, in ns, the Lua thread waits for an I/O thread with the
// host's signals blocked, before it waits in C. An I/O thread is there under load,
// and under load the next event comes sooner; to wake somebody in epoll costs
// the Lua thread 0.8 µs a message more, with 64 connections.
const dozeTime = 500_000

// awaitEvents has the Lua thread wait until the I/O thread has left events.
func (l *Loop) awaitEvents(maxWait int64) Wait {
	l.thread.luaBegan = 0
	if maxWait == 0 || l.mail.hasEvents() {
		return Wait{FD: -1}
	}
	l.thread.luaBegan = l.clock()
	sleep := l.mail.lua
	if maxWait > 0 && maxWait <= dozeTime {
		sleep.Doze(maxWait, l.mail.hasEvents)
		return Wait{FD: -1}
	}
	sleep.Doze(dozeTime, l.mail.hasEvents)
	sleep.Arm()
	if l.mail.hasEvents() {
		sleep.Disarm()
		return Wait{FD: -1}
	}
	if maxWait > 0 {
		maxWait -= dozeTime
	}
	return Wait{sleep.FD(), milliseconds(maxWait)}
}

// wokenByEvents ends that wait.
func (l *Loop) wokenByEvents() {
	l.mail.lua.Disarm()
	if l.thread.luaBegan != 0 {
		l.thread.luaWaited += l.clock() - l.thread.luaBegan
	}
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
