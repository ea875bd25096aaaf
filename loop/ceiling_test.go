package loop

import (
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const testCeiling = 8 << 20

// withCeiling returns a loop whose buffers may hold testCeiling bytes together.
func withCeiling(t *testing.T) *testLoop {
	l := newTestLoop(t)
	l.setCeiling(testCeiling)
	t.Cleanup(func() {
		l.setCeiling(0)
		l.step(0) // the alarm goes
	})
	return l
}

func (l *testLoop) setCeiling(bytes int) {
	s := DefaultSettings()
	s.BufferCeiling = bytes
	l.Configure(s)
}

// deaf returns a connection that holds bytes for a peer that has not read yet.
func (l *testLoop) deaf(bytes int) (h Handle, peer int) {
	l.t.Helper()
	h, _, peer = l.pair(unix.SOCK_STREAM, int(ReadAny))
	l.put(h, strings.Repeat("x", bytes))
	for range 3 {
		l.step(0)
	}
	return h, peer
}

// readSome has the peer read what there is.
func readSome(peer int) {
	var buffer [64 << 10]byte
	for n := 1; n > 0; {
		n, _ = unix.Read(peer, buffer[:])
	}
}

func (l *testLoop) held() int {
	l.holdThread()
	return l.ceiling.held
}

// TestCeilingCountsOutputThatIsKept before it is sent for the first time.
func TestCeilingCountsOutputThatIsKept(t *testing.T) {
	l := withCeiling(t)
	h, _, _ := l.pair(unix.SOCK_STREAM, int(ReadAny))
	l.cmd(h, cmdHoldWrites)
	l.put(h, strings.Repeat("x", 1<<20))
	l.step(0)
	if n := l.held(); n < 1<<20 {
		t.Errorf("%d bytes are counted", n)
	}
}

// TestCeilingCountsWhatWasReadAhead of a pause.
func TestCeilingCountsWhatWasReadAhead(t *testing.T) {
	l := withCeiling(t)
	h, _, peer := l.pair(unix.SOCK_STREAM, int(ReadAny))
	l.cmd(h, cmdPause)
	l.step(0)
	must(unix.Write(peer, make([]byte, 1000)))(t)
	must(0, unix.Shutdown(peer, unix.SHUT_WR))(t)
	for start := time.Now(); l.inner(h).pending == nil; l.step(time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("nothing is read ahead")
		}
	}
	if n := l.held(); n < 1000 {
		t.Errorf("%d bytes are counted", n)
	}
}

// TestWhoHoldsLittleAgainIsRead though others still hold much.
func TestWhoHoldsLittleAgainIsRead(t *testing.T) {
	l := withCeiling(t)
	l.deaf(testCeiling / 16 * 13)
	h, peer := l.deaf(testCeiling / 16)
	must(unix.Write(peer, []byte("not yet")))(t)
	l.step(time.Millisecond)
	if !l.inner(h).throttled {
		t.Fatal("it is read though it holds much")
	}
	for start := time.Now(); l.inner(h).holds > 0; l.step(time.Millisecond) {
		if readSome(peer); time.Since(start) > patience {
			t.Fatal("its output does not go out")
		}
	}
	l.wantData(h, "not yet")
	if l.holdThread(); !l.ceiling.tight {
		t.Error("the others hold little")
	}
}

// TestRoomIsSeenInTheTurnThatMakesIt: there may be no other for long.
func TestRoomIsSeenInTheTurnThatMakesIt(t *testing.T) {
	l := withCeiling(t)
	_, peer := l.deaf(testCeiling / 16 * 13)
	h, _ := l.deaf(testCeiling / 16)
	if !l.inner(h).throttled {
		t.Fatal("it is read though it holds much")
	}
	for start := time.Now(); l.held() >= testCeiling/2; l.step(time.Millisecond) {
		if readSome(peer); time.Since(start) > patience {
			t.Fatal("the output does not go out")
		}
	}
	if l.inner(h).throttled {
		t.Error("there is room, and it is not read")
	}
}

// TestTightnessEnds: peers that do not read keep others out for a while only.
func TestTightnessEnds(t *testing.T) {
	l := withCeiling(t)
	large, _ := l.deaf(testCeiling / 16 * 8)
	small, _ := l.deaf(testCeiling / 16 * 5)
	if l.holdThread(); !l.ceiling.tight {
		t.Fatal("there is room")
	}
	l.advance(tightTime - 1)
	l.step(0)
	l.none(Closed, large)
	l.advance(1)
	l.awaitClosed(large, reasonNoSpace, false)
	l.step(0)
	l.none(Closed, small)
	if l.holdThread(); l.ceiling.tight {
		t.Error("there is still no room")
	}
}

// TestOnlyTheLargestAreClosed, and no more than must be.
func TestOnlyTheLargestAreClosed(t *testing.T) {
	l := withCeiling(t)
	small, _ := l.deaf(1 << 20)
	largest, _ := l.deaf(3 << 20)
	large, _ := l.deaf(2 << 20)
	l.setCeiling(1<<20 + 1<<19)
	l.Post(func() {}) // it counts from the next turn on
	l.awaitClosed(largest, reasonNoSpace, false)
	l.awaitClosed(large, reasonNoSpace, false)
	l.step(0)
	l.none(Closed, small)
	if n := l.Stats().BuffersFull; n != 2 {
		t.Errorf("%d were closed", n)
	}
}

// TestCeilingOfAnyMemory: an int of 32 bits cannot count all of it.
func TestCeilingOfAnyMemory(t *testing.T) {
	const MB = 1 << 20
	for memory := uint64(64 * MB); memory != 0; memory *= 2 {
		if n := defaultCeiling(memory); n < 16*MB || uint64(n) > memory {
			t.Errorf("of %d MB: %d", memory/MB, n)
		}
	}
	if n := defaultCeiling(math.MaxUint64); n < 16*MB {
		t.Error(n)
	}
}
