package bell

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newPollBell(t *testing.T) *PollBell {
	t.Helper()
	b, err := NewPollBell()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// rung waits for ms milliseconds and reports whether a ring ended the wait.
func rung(t *testing.T, b *PollBell, ms int) bool {
	t.Helper()
	for {
		n, err := unix.EpollWait(b.FD(), make([]unix.EpollEvent, 1), ms)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

func TestPollBellRingsEachSleepOnce(t *testing.T) {
	b := newPollBell(t)
	for range 3 {
		b.Arm()
		b.Ring()
		b.Ring()
		if b.Asleep() || !rung(t, b, 0) {
			t.Fatal("the ring did not end the sleep")
		}
		if rung(t, b, 0) {
			t.Fatal("one ring ended two sleeps")
		}
	}
}

func TestPollBellWithoutASleeperIsSilent(t *testing.T) {
	b := newPollBell(t)
	b.Ring()
	b.Arm()
	b.Disarm()
	b.Ring()
	if rung(t, b, 0) {
		t.Error("it rang, though nobody slept")
	}
}

func TestPollBellEndsAWaitUnderWay(t *testing.T) {
	b := newPollBell(t)
	for range 100 {
		b.Arm()
		done := make(chan bool)
		go func() { done <- rung(t, b, int(patience/time.Millisecond)) }()
		b.Ring() // before or while it waits
		if !<-done {
			t.Fatal("nobody woke the sleeper")
		}
	}
}

func TestPollBellEndsADoze(t *testing.T) {
	b := newPollBell(t)
	for range 100 {
		done := make(chan struct{})
		go func() {
			b.Doze(int64(patience), func() bool { return false })
			close(done)
		}()
		for asleep := false; !asleep; asleep = b.doze.Asleep() {
			time.Sleep(10 * time.Microsecond)
		}
		b.Ring()
		wantWoken(t, done)
		if rung(t, b, 0) {
			t.Fatal("the ring ended a sleep too")
		}
	}
	b.Doze(int64(patience), func() bool { return true })
	b.Doze(1, func() bool { return false })
	if b.doze.Asleep() {
		t.Error("somebody is still asleep")
	}
}
