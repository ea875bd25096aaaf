package loop

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"net.server_go/bell"
	"net.server_go/tls"
)

// withThread has an I/O thread run l, whatever the flag says.
func (l *testLoop) withThread() {
	if *ioThreadFlag == "switching" {
		l.t.Skip("each step would end the thread that is looked at, or begin another")
	}
	s := DefaultSettings()
	s.IOThread = IOThreadAlways
	l.Loop.Configure(s)
}

// TestLooksWakeNobody: to wake the I/O thread costs more than what Prosody asks
// for at a login.
func TestLooksWakeNobody(t *testing.T) {
	l := newTestLoop(t)
	l.withThread()
	h, _, _ := l.pair(unix.SOCK_STREAM, int(ReadAny))
	l.stepOnce(0)
	for name, look := range map[string]func(){
		"AddContext": func() { l.RemoveContext(l.context("server")) },
		"AddTLSA":    func() { l.AddTLSA(h, tls.TLSA{}) },
		"Configure":  func() { l.Configure(l.settings) },
		"EnableDANE": func() { l.EnableDANE(h, "example.net") },
		"FD":         func() { l.FD(h) },
		"Len":        func() { l.Len() },
		"Names":      func() { l.Names(h) },
		"Sent":       func() { l.Sent(h) },
		"Session":    func() { l.Session(h) },
		"SetOption":  func() { _ = l.SetOption(h, "keepalive", 1) }, // a unix socket has it too
		"Stats":      func() { l.Stats() },
	} {
		l.idle()
		turns := l.driver.turns.Load()
		look()
		l.idle()
		if made := l.driver.turns.Load() - turns; made != 0 {
			t.Errorf("%s: %d turns", name, made)
		}
	}
}

// TestYieldLetsInWhoWaits, before it goes on, though both may have to sleep.
func TestYieldLetsInWhoWaits(t *testing.T) {
	var g gate
	var inside atomic.Bool
	g.enter()
	defer g.leave()
	for i := range 100 {
		inside.Store(false)
		go func() {
			g.enter()
			time.Sleep(time.Duration(i%2) * time.Millisecond)
			inside.Store(true)
			g.leave()
		}()
		for start := time.Now(); g.nobodyWaits(); runtime.Gosched() {
			if time.Since(start) > patience {
				t.Fatal("nobody waits")
			}
		}
		time.Sleep(time.Duration(i%3) * 100 * time.Microsecond)
		if g.yield(); !inside.Load() {
			t.Fatal("who waited is not let in")
		}
	}
}

// TestYieldDoesNotHoldUpTheCollector: that stops all threads, also the one that is
// let in, for which another waits.
func TestYieldDoesNotHoldUpTheCollector(t *testing.T) {
	const limit = patience / 3 // for seconds each, where it is not so
	var g gate
	var over atomic.Bool
	var threads sync.WaitGroup
	work := func() { bell.Spin(func() bool { return false }) }
	repeat := func(f func()) {
		threads.Go(func() {
			runtime.LockOSThread()
			for !over.Load() {
				f()
			}
		})
	}
	repeat(func() {
		g.enter()
		for range 64 {
			work()
			g.yield()
		}
		g.leave()
	})
	repeat(func() {
		g.enter()
		g.leave()
		work()
	})
	const want = 100
	collections := 0
	for start := time.Now(); collections < want && time.Since(start) < limit; collections++ {
		runtime.GC()
	}
	if collections < want {
		t.Errorf("%d collections in %v, want %d", collections, limit, want)
	}
	over.Store(true)
	threads.Wait()
}
