package loop

import (
	"golang.org/x/sys/unix"

	"net.server_go/tls"
)

// turn is what who runs the loop does between two waits: it takes what is in
// the mailbox, serves the descriptors that are ready, and leaves what happened for
// the Lua side. Without a wait before it, it looks itself what is ready. t is nil on
// the Lua thread. It is called with the gate held.
func (l *Loop) turn(t *ioThread, waited bool, ready []unix.EpollEvent, err error) Wait {
	l.asleep.Store(false)
	l.mail.driver.Disarm()
	began := l.clock()
	l.takeMail(began)
	if !waited && !l.starved {
		ready, err = l.poller.wait(0)
	}
	if len(ready) > 0 {
		l.driver.turns.Add(1)
	}
	l.serveReady(t, ready)
	if t != nil {
		err = l.lookForMore(t, err)
		if t.retired {
			return Wait{}
		}
	}
	l.ringAlarms()
	l.checkCeiling()
	l.publish(err)
	now := l.clock()
	l.driver.ioBusy.Add(now - began)
	return l.nextWait(now)
}

// lookForMore looks whether more is ready, before the Lua thread is woken: that
// costs as much as several messages.
func (l *Loop) lookForMore(t *ioThread, err error) error {
	for range morePolls {
		if t.retired || err != nil || l.starved || len(l.coming) == 0 || len(l.coming) >= fullBatch {
			break
		}
		var ready []unix.EpollEvent
		if ready, err = l.poller.wait(0); len(ready) == 0 {
			break
		}
		l.serveReady(t, ready)
	}
	return err
}

const (
	morePolls = 8
	fullBatch = 64
)

// serveReady has the owners of the descriptors do what these are ready for. New
// handshakes come last.
func (l *Loop) serveReady(t *ioThread, ready []unix.EpollEvent) {
	later := l.dispatch(t, ready)
	if (later || l.poller.shut) && !l.starved {
		l.dispatch(t, l.poller.waitLater())
	}
}

// dispatch reports whether the second instance of epoll is among them.
func (l *Loop) dispatch(t *ioThread, ready []unix.EpollEvent) (later bool) {
	l.driver.ready.Add(int64(len(ready)))
	for i := range ready {
		if t != nil && t.retired {
			return false // the rest will be ready for the successor
		}
		switch h := handleOf(&ready[i]); h {
		case 0:
			l.receivePosted()
		case laterHandle:
			later = true
		default:
			if o, ok := l.objects.get(h); ok {
				o.ready(ready[i].Events)
			}
		}
		l.gate.yield()
	}
	return later
}

// laterLook is how often, in ns, new handshakes are looked for while all workers
// compute. They could not begin before; and to wake threads for each piece of one
// took a third of a handshake.
const laterLook = 1_000_000

// nextWait says what to wait for before the next turn. From now on whoever
// leaves something in the mailbox ends that wait.
func (l *Loop) nextWait(now int64) Wait {
	w := Wait{FD: l.poller.fd, Time: l.timeout(now)}
	busy := tls.AllCompute()
	l.poller.shutLater(busy)
	if busy && (w.Time < 0 || w.Time > laterLook) {
		w.Time = laterLook // a worker tells sooner, if its steps have news
	}
	if l.starved {
		l.mail.driver.Arm()
		w.FD = -1
	} else if w.Time != 0 {
		l.asleep.Store(true)
	}
	if !l.mail.isEmpty() {
		w.Time = 0
	}
	return w
}
