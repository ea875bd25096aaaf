package bell

import (
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds every wait for something that must happen.
const patience = time.Minute

// sleeper starts a sleep on b, of ns, and returns how to learn of its end.
func sleeper(b *Bell, ns int64) (woken chan struct{}) {
	woken = make(chan struct{})
	b.Arm()
	go func() {
		b.Sleep(ns)
		close(woken)
	}()
	return woken
}

func wantWoken(t *testing.T, woken chan struct{}) {
	t.Helper()
	select {
	case <-woken:
	case <-time.After(patience):
		t.Fatal("nobody woke the sleeper")
	}
}

func TestRingBeforeTheSleepEndsIt(t *testing.T) {
	var b Bell
	b.Arm()
	b.Ring()
	woken := make(chan struct{})
	go func() {
		b.Sleep(-1)
		close(woken)
	}()
	wantWoken(t, woken)
}

func TestRingEndsASleep(t *testing.T) {
	var b Bell
	for range 100 {
		woken := sleeper(&b, -1)
		b.Ring() // before or while it sleeps
		wantWoken(t, woken)
	}
}

// TestRingWithoutASleeperIsForgotten: it must not end the next sleep.
func TestRingWithoutASleeperIsForgotten(t *testing.T) {
	var b Bell
	b.Ring()
	b.Arm()
	b.Disarm()
	b.Ring()
	if b.Asleep() {
		t.Error("somebody is asleep")
	}
	const wait = 20 * time.Millisecond
	start := time.Now()
	for range 20 { // a signal may end a sleep early, but not each
		b.Arm()
		if b.Sleep(int64(wait)); time.Since(start) >= wait {
			return
		}
	}
	t.Errorf("20 sleeps of %v took %v", wait, time.Since(start))
}

func TestSleepEndsByItself(t *testing.T) {
	var b Bell
	for _, ns := range []int64{0, 1, int64(time.Millisecond)} {
		wantWoken(t, sleeper(&b, ns))
		if b.Asleep() {
			t.Errorf("after a sleep of %d ns somebody is still asleep", ns)
		}
	}
}

func TestLongSleepsLastUntilTheRing(t *testing.T) {
	for _, ns := range []int64{-1, -1 << 63, 1<<63 - 1} {
		if !sleepsUntilTheRing(t, ns) {
			t.Errorf("no sleep of %d ns lasts until the ring", ns)
		}
	}
}

func sleepsUntilTheRing(t *testing.T, ns int64) bool {
	t.Helper()
	var b Bell
	for range 20 { // a signal may end a sleep early, but not each
		woken := sleeper(&b, ns)
		select {
		case <-woken:
		case <-time.After(20 * time.Millisecond):
			b.Ring()
			wantWoken(t, woken)
			return true
		}
	}
	return false
}

// TestNoRingIsMissed has two threads wake each other: each looks for what it
// waits for between Arm and Sleep, and each change is followed by a ring.
func TestNoRingIsMissed(t *testing.T) {
	var bells [2]Bell
	var turn atomic.Int64
	const turns = 2000
	play := func(me int64) {
		mine, other := &bells[me], &bells[1-me]
		for turn.Load() < turns {
			mine.Arm()
			if turn.Load()%2 != me {
				mine.Sleep(-1)
				continue
			}
			mine.Disarm()
			turn.Add(1)
			other.Ring()
		}
		other.Ring()
	}
	done := make(chan struct{}, 2)
	for me := range int64(2) {
		go func() {
			play(me)
			done <- struct{}{}
		}()
	}
	for range 2 {
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatalf("both sleep in turn %d", turn.Load())
		}
	}
}

func TestSpinEndsByItselfOrWhenItIsDone(t *testing.T) {
	if Spin(func() bool { return false }) {
		t.Error("done, though nothing was")
	}
	calls := 0
	if !Spin(func() bool { calls++; return calls == 3 }) || calls != 3 {
		t.Errorf("not done by the third of %d calls", calls)
	}
}
