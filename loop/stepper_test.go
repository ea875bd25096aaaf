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
		s := &stepper{}
		l.holdThread()
		if _, err := unix.Write(peer, []byte(pattern(c.size))); err != nil {
			t.Fatal(err)
		}
		l.turn(s, 0)
		if s.transfers != c.want {
			t.Errorf("%d bytes read: %v", c.size, s.transfers)
		}
		l.wantData(h, pattern(c.size))

		l.holdThread()
		l.put(h, pattern(c.size))
		l.mail.leaveTurn(turn{log: l.log})
		l.log = nil
		l.turn(s, 0)
		if s.transfers != c.want {
			t.Errorf("%d bytes sent: %v", c.size, s.transfers)
		}
		l.await(Drained, h)
	}
}
