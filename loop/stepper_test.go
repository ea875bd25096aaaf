package loop

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"net.server_go/bell"
	"net.server_go/tls"
)

// TestTransfersAreNoticed: handshakes do not slow them down.
func TestTransfersAreNoticed(t *testing.T) {
	l := newTestLoop(t)
	h, _, peer := l.pair(unix.SOCK_STREAM, int(ReadAny))
	for _, c := range []struct {
		size int
		want bool
	}{{largeTransfer - 1, false}, {largeTransfer, true}} {
		l.holdThread()
		if _, err := unix.Write(peer, []byte(pattern(c.size))); err != nil {
			t.Fatal(err)
		}
		l.turn(&l.self, 0)
		if got := l.thread.transfers.Load(); got != c.want {
			t.Errorf("%d bytes read: %v", c.size, got)
		}
		l.wantData(h, pattern(c.size))

		l.holdThread()
		l.put(h, pattern(c.size))
		l.mail.leaveTurn(turn{log: l.log})
		l.log = nil
		l.turn(&l.self, 0)
		if got := l.thread.transfers.Load(); got != c.want {
			t.Errorf("%d bytes sent: %v", c.size, got)
		}
		l.await(Drained, h)
	}
}

// withThread has an I/O thread step l, whatever the flag says.
func (l *testLoop) withThread() {
	if *ioThreadFlag == "switching" {
		l.t.Skip("each step would end the thread that is looked at, or begin another")
	}
	s := DefaultSettings()
	s.IOThread = IOThreadAlways
	l.Loop.Configure(s)
}

// occupyWorkers has all workers compute until release is called.
func occupyWorkers(t *testing.T) (release func()) {
	c, _, err := tls.NewContext(tls.Config{Mode: "server", Protocol: "any"})
	if err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	for range 64 * runtime.NumCPU() { // so many that each worker is to tell of a batch before it has made all
		s := tls.NewSession(c, tls.Options{})
		s.FeedEOF()
		s.Start(func() { <-hold })
	}
	return func() { close(hold) }
}

// TestTurnsAreMadeWhileWorkersAreBusy: the guest of one has them itself if that
// makes none, and leaves at once when it is retired.
func TestTurnsAreMadeWhileWorkersAreBusy(t *testing.T) {
	l := newTestLoop(t)
	l.withThread()
	h, _, peer := l.pair(unix.SOCK_STREAM, int(ReadAny))
	release := occupyWorkers(t)
	defer release()
	for i := range 10 {
		if _, err := unix.Write(peer, []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		for start := time.Now(); ; {
			got := l.stepOnce(time.Second) // step waits until the thread rests
			if slices.ContainsFunc(got, func(ev Event) bool { return ev.Kind == Data && ev.Handle == h }) {
				break
			}
			if time.Since(start) > patience {
				t.Fatalf("byte %d is not read", i)
			}
		}
	}
	l.holdThread()
}

// TestWorkersMakeTurns: while handshakes compute more than one thread steps.
func TestWorkersMakeTurns(t *testing.T) {
	l := newTestLoop(t)
	l.withThread()
	serverContext, clientContext := l.context("server"), l.context("client")
	var mu sync.Mutex
	steppers := map[int]bool{}
	seen := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(steppers)
	}
	for start := time.Now(); seen() < 2; {
		client, server := l.ends()
		l.startTLS(client, clientContext, 0, "")
		l.startTLS(server, serverContext, 0, "")
		for l.Session(client) == nil || l.Session(server) == nil {
			l.Post(func() {
				mu.Lock()
				defer mu.Unlock()
				steppers[unix.Gettid()] = true
			})
			l.stepOnce(time.Millisecond) // step waits until the thread rests
		}
		l.Release(client)
		l.Release(server)
		if time.Since(start) > patience {
			t.Fatal("only one thread made turns")
		}
	}
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
		turns := l.thread.turns.Load()
		look()
		l.idle()
		if made := l.thread.turns.Load() - turns; made != 0 {
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
