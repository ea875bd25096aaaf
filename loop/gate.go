package loop

import (
	"encoding/binary"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"net.server_go/bell"
)

// gate guards the state of the I/O side. Who runs the loop holds it except
// while it waits; the Lua thread enters for what it asks at once.
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

// enter is called by the Lua thread before it does something on the I/O side, and
// leave afterwards. To look at it, or to change what nobody waits for, it enters
// and leaves the gate alone: that wakes nobody.
func (l *Loop) enter() { l.gate.enter() }

func (l *Loop) leave() {
	l.publish(nil)
	l.gate.leave()
	l.wakeDriver() // an alarm may be due earlier than what it waits for
}

// wakeDriver has who runs the loop look into the mailbox, if it waits or is about
// to.
func (l *Loop) wakeDriver() {
	if l.asleep.CompareAndSwap(true, false) {
		l.knock()
	}
	l.mail.driver.Ring()
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
