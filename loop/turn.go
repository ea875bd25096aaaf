package loop

import "golang.org/x/sys/unix"

// Step is Begin, the wait and End in one: it hands the commands in log over,
// waits until something happens (for at most maxWait ns; negative: for ever),
// and returns what happened and a log that is spent.
func (l *Loop) Step(log []byte, maxWait int64) (batch []Event, spent []byte, err error) {
	w, spent := l.Begin(log, maxWait)
	ready, err := l.wait(w)
	batch, err = l.End(ready, err)
	return batch, spent, err
}

// Begin hands the commands in log over, and says what the Lua thread has to
// wait for before it calls End: for at most maxWait ns, negative is for ever.
// The batch before it is not needed any more. The log is the loop's from now
// on; it returns one that is spent, with length 0, or nil.
func (l *Loop) Begin(log []byte, maxWait int64) (w Wait, spent []byte) {
	now := l.clock()
	l.switchOver(now)
	spent = l.mail.leaveTurn(turn{l.batch, log})
	l.batch = nil
	if l.hasThread() {
		l.wakeStepper()
		return l.awaitEvents(maxWait), spent
	}
	if l.mail.hasEvents() {
		maxWait = 0 // a thread that was retired has left them
	}
	l.gate.enter()
	defer l.gate.leave()
	return l.awaitSockets(now, maxWait), spent
}

// End returns what happened. ready is what epoll reported after Begin, err its
// failure; a signal is none.
func (l *Loop) End(ready []unix.EpollEvent, err error) ([]Event, error) {
	if l.hasThread() {
		l.wokenByEvents()
	} else {
		l.finishTurn(ready, err)
	}
	batch, failed := l.mail.takeEvents()
	if l.hasThread() && len(batch) == 0 && failed == nil {
		failed = err
	}
	l.batch = batch
	l.showTexts()
	l.thread.batches++
	l.thread.events += int64(len(l.batch))
	return l.batch, failed
}

// turn is one round of an I/O thread: it takes what is in the mailbox, waits
// in epoll, and leaves what happened. It reports false if s was retired.
func (l *Loop) turn(s *stepper, maxWait int64) bool {
	l.gate.enter()
	defer l.gate.leave()
	if s.retired {
		return false
	}
	wait := l.beginTurn(s, l.clock(), maxWait)
	l.gate.leave()
	n, err := l.rest(s, wait)
	l.gate.enter()
	if s.retired {
		return false // what was ready will be so for the successor
	}
	l.endTurn(s, s.ready[:n], err)
	return !s.retired
}

// finishTurn is the rest of a turn of the Lua thread's.
func (l *Loop) finishTurn(ready []unix.EpollEvent, err error) {
	l.gate.enter()
	defer l.gate.leave()
	l.endTurn(&l.self, ready, err)
}

// beginTurn takes what is in the mailbox, and returns how long s may wait, in
// ns, with the gate open; negative: for ever.
func (l *Loop) beginTurn(s *stepper, now, maxWait int64) int64 {
	l.thread.transfers.Store(false)
	l.takeMail(now)
	s.began = l.clock()
	wait := l.timeout(s.began, maxWait)
	s.starved = l.starved && len(l.coming) == 0
	if s.starved {
		l.mail.stepper.Arm()
	} else if wait != 0 {
		l.asleep.Store(true)
	}
	if !l.mail.isEmpty() {
		wait = 0
	}
	return wait
}

// rest is an I/O thread's wait. It returns how many of s.ready are set.
func (l *Loop) rest(s *stepper, wait int64) (n int, err error) {
	if !s.starved {
		n, err = l.poller.wait(s.ready[:], milliseconds(wait))
		l.asleep.Store(false)
		return max(n, 0), err
	}
	if wait != 0 {
		l.mail.stepper.Sleep(wait)
	}
	return 0, nil
}

// endTurn does what the wait asks for, and leaves what happened.
func (l *Loop) endTurn(s *stepper, ready []unix.EpollEvent, err error) {
	l.asleep.Store(false)
	l.mail.stepper.Disarm()
	l.now = l.clock()
	l.thread.ioWaited.Add(l.now - s.began)
	l.thread.turns.Add(1)
	l.dispatch(s, ready)
	for range morePolls {
		if s == &l.self || s.retired || len(ready) == 0 || len(l.coming) >= fullBatch {
			break
		}
		var n int
		n, err = l.poller.wait(s.ready[:], 0)
		ready = s.ready[:max(n, 0)]
		l.dispatch(s, ready)
	}
	if !s.retired {
		l.ringAlarms()
		l.publish(err)
	}
}

// To wake the Lua thread costs as much as several messages. So the I/O thread
// looks again whether there is more before it does.
const (
	morePolls = 8
	fullBatch = 64
)

// dispatch has the owners of the descriptors do what these are ready for.
func (l *Loop) dispatch(s *stepper, ready []unix.EpollEvent) {
	l.thread.ready.Add(int64(len(ready)))
	for i := range ready {
		if s.retired {
			return // the rest will be ready for the successor
		}
		if h := handleOf(&ready[i]); h == 0 {
			l.receivePosted()
		} else if o, ok := l.objects.get(h); ok {
			o.ready(ready[i].Events)
		}
		l.gate.yield()
	}
}
