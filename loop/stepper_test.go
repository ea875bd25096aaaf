package loop

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// TestWorkersMakeTurns: while handshakes compute more than one thread steps.
func TestWorkersMakeTurns(t *testing.T) {
	if *ioThreadFlag == "switching" {
		t.Skip("there, threads come and go: more than one steps anyway")
	}
	l := newTestLoop(t)
	s := DefaultSettings()
	s.IOThread = IOThreadAlways
	l.Loop.Configure(s)
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
