package loop

import (
	"testing"

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
