package loop

import (
	"log/syslog"
	"strings"
	"sync/atomic"
	"time"
)

// A stall is so many looks, one each look's time, at an I/O side that works on
// the same thing. Looks are counted, and no time is measured, so that a process
// that was stopped has not stalled.
const (
	look       = 2500 * time.Millisecond
	stallLooks = 2
)

// A watchdog notices that the holder of the gate does not get on: it computes
// without end, or waits for a lock that nobody opens. Then all connections
// stand still, and nothing else would say so. While nothing happens it sleeps.
type watchdog struct {
	moves  atomic.Uint64 // odd while the gate is held; more with each descriptor
	awake  atomic.Bool
	wake   chan struct{} // holds one
	stalls atomic.Uint64
	every  time.Duration
	report func()
}

// entered is called by who has got the gate, and left by who is about to open it.
func (w *watchdog) entered() {
	w.moves.Add(1)
	if !w.awake.Load() {
		w.rouse()
	}
}

func (w *watchdog) left() { w.moves.Add(1) }

// moved is called between two things that the holder does.
func (w *watchdog) moved() { w.moves.Add(2) }

func (w *watchdog) rouse() {
	if w.awake.CompareAndSwap(false, true) {
		select {
		case w.wake <- struct{}{}:
		default: // it has not slept yet
		}
	}
}

// run watches until done is closed.
func (w *watchdog) run(done <-chan struct{}) {
	timer := time.NewTimer(w.every)
	defer timer.Stop()
	for {
		select {
		case <-w.wake:
		case <-done:
			return
		}
		for w.look(timer, done) {
		}
	}
}

// look watches until nothing happens any more, a stall is over, or done is
// closed. It reports whether the watchdog is to stay awake.
func (w *watchdog) look(timer *time.Timer, done <-chan struct{}) (stay bool) {
	seen, same := w.moves.Load(), 0
	for {
		timer.Reset(w.every)
		select {
		case <-timer.C:
		case <-done:
			return false
		}
		now := w.moves.Load()
		switch {
		case now != seen:
			return true
		case now%2 == 0:
			w.awake.Store(false)
			return w.moves.Load() != seen && w.awake.CompareAndSwap(false, true)
		}
		if same++; same == stallLooks {
			w.stalls.Add(1)
			w.report()
		}
	}
}

func (l *Loop) startWatchdog() {
	l.closed = make(chan struct{})
	w := &l.gate.dog
	w.wake, w.every, w.report = make(chan struct{}, 1), look, l.reportStall
	go w.run(l.closed)
}

// reportStall logs what all goroutines do: for the Lua side to log, and if that
// does not come for it, as it may be what stands still, in the system's log.
func (l *Loop) reportStall() {
	text := "The I/O side has not moved for 5 s: a fault of this program. What its goroutines do:\n" + goroutines()
	l.mail.leaveEvents([]Event{{Kind: Note, text: "error\t" + text}}, nil)
	go func() {
		time.Sleep(look)
		if l.mail.hasEvents() {
			logToSystem(text)
		}
	}()
}

// logToSystem writes to the system's log, where there is one.
func logToSystem(text string) {
	log, err := syslog.New(syslog.LOG_ERR|syslog.LOG_DAEMON, "prosody")
	if err != nil {
		return
	}
	defer log.Close()
	for line := range strings.Lines(text) {
		if log.Err(strings.TrimSuffix(line, "\n")) != nil {
			return
		}
	}
}
