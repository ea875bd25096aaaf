package loop

import (
	"sync/atomic"
	"testing"
	"time"
)

// sleeper starts a sleep on b, of ns, and returns how to learn of its end.
func sleeper(b *bell, ns int64) (woken chan struct{}) {
	woken = make(chan struct{})
	b.arm()
	go func() {
		b.sleep(ns)
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
	var b bell
	b.arm()
	b.ring()
	woken := make(chan struct{})
	go func() {
		b.sleep(-1)
		close(woken)
	}()
	wantWoken(t, woken)
}

func TestRingEndsASleep(t *testing.T) {
	var b bell
	for range 100 {
		woken := sleeper(&b, -1)
		b.ring() // before or while it sleeps
		wantWoken(t, woken)
	}
}

// TestRingWithoutASleeperIsForgotten: it must not end the next sleep.
func TestRingWithoutASleeperIsForgotten(t *testing.T) {
	var b bell
	b.ring()
	b.arm()
	b.disarm()
	b.ring()
	if b.asleep.Load() != 0 {
		t.Error("somebody is asleep")
	}
	const wait = 20 * time.Millisecond
	start := time.Now()
	for range 20 { // a signal may end a sleep early, but not each
		b.arm()
		if b.sleep(int64(wait)); time.Since(start) >= wait {
			return
		}
	}
	t.Errorf("20 sleeps of %v took %v", wait, time.Since(start))
}

func TestSleepEndsByItself(t *testing.T) {
	var b bell
	for _, ns := range []int64{0, 1, int64(time.Millisecond)} {
		wantWoken(t, sleeper(&b, ns))
		if b.asleep.Load() != 0 {
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
	var b bell
	for range 20 { // a signal may end a sleep early, but not each
		woken := sleeper(&b, ns)
		select {
		case <-woken:
		case <-time.After(20 * time.Millisecond):
			b.ring()
			wantWoken(t, woken)
			return true
		}
	}
	return false
}

// TestNoRingIsMissed has two threads wake each other: each looks for what it
// waits for between arm and sleep, and each change is followed by a ring.
func TestNoRingIsMissed(t *testing.T) {
	var bells [2]bell
	var turn atomic.Int64
	const turns = 2000
	play := func(me int64) {
		mine, other := &bells[me], &bells[1-me]
		for turn.Load() < turns {
			mine.arm()
			if turn.Load()%2 != me {
				mine.sleep(-1)
				continue
			}
			mine.disarm()
			turn.Add(1)
			other.ring()
		}
		other.ring()
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
