package bell

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestLockExcludes: threads that mostly hold it briefly, at times for longer
// than others spin.
func TestLockExcludes(t *testing.T) {
	var l Lock
	var threads sync.WaitGroup
	const count, rounds = 8, 2000
	total := 0
	for range count {
		threads.Add(1)
		go func() {
			defer threads.Done()
			runtime.LockOSThread()
			for i := range rounds {
				l.Lock()
				before := total
				if i%100 == 0 {
					time.Sleep(100 * time.Microsecond)
				}
				total = before + 1
				l.Unlock()
			}
		}()
	}
	done := make(chan struct{})
	go func() {
		threads.Wait()
		close(done)
	}()
	wantWoken(t, done)
	if total != count*rounds {
		t.Errorf("%d of %d additions were lost", count*rounds-total, count*rounds)
	}
}

// TestUnlockWakesWhoeverSleeps, one after the other, though it wakes but one.
func TestUnlockWakesWhoeverSleeps(t *testing.T) {
	var l Lock
	l.Lock()
	const count = 4
	done := make(chan struct{}, count)
	woken := 0
	for range count {
		go func() {
			l.Lock()
			woken++
			l.Unlock()
			done <- struct{}{}
		}()
	}
	for deadline := time.Now().Add(patience); l.state.Load() != contended; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody is about to sleep")
		}
	}
	time.Sleep(20 * time.Millisecond) // so that mostly all of them sleep
	if woken > 0 {
		t.Error("somebody did not wait")
	}
	l.Unlock()
	for range count {
		wantWoken(t, done)
	}
	if state := l.state.Load(); state != open {
		t.Errorf("at last the state is %d, want %d", state, open)
	}
}

func TestUnlockOfAnOpenLockPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it does not")
		}
	}()
	new(Lock).Unlock()
}
