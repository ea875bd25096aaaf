package tls

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// forcedCollections is how often memory has been given back to the system.
func forcedCollections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

func TestMemoryGoesBackWhenSessionsHaveEnded(t *testing.T) {
	pace.mu.Lock()
	if pace.timer != nil {
		pace.timer.Stop() // earlier tests'
	}
	pace.mu.Unlock()
	pace.burstOver()
	before := forcedCollections()
	session := NewSession(sessionContext(t, "server", nil, "p256"), Options{})
	for range burst - 1 {
		session.Release()
	}
	time.Sleep(quiet + time.Second)
	if got := forcedCollections(); got != before {
		t.Fatalf("after %d sessions: %d collections", burst-1, got-before)
	}
	session.Release()
	for deadline := time.Now().Add(30 * time.Second); forcedCollections() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %d sessions: no collection", burst)
		}
	}
}

// A small server's garbage is little, a large one's more, and neither more than the
// memory allows.
func TestGarbageIsInProportion(t *testing.T) {
	const GB = 1 << 30
	for _, test := range []struct {
		memory   uint64
		sessions int
		want     int // percent
	}{
		{24 * GB, 0, 12}, {24 * GB, 8, 12}, {24 * GB, 40, 18}, {24 * GB, 1000, 50},
		{GB / 2, 8, 12}, {GB / 2, 1000, 25}, {GB / 16, 1000, 12}, {1<<64 - 1, 1000, 50},
	} {
		func() {
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
			defer debug.SetGCPercent(debug.SetGCPercent(100))
			var pace gcPace
			pace.begin(test.memory)
			for range test.sessions {
				pace.sessionBegun()
			}
			if got := debug.SetGCPercent(100); got != pace.percent || got != test.want {
				t.Errorf("%d MB, %d sessions: %d percent, not %d", test.memory>>20, test.sessions, got, test.want)
			}
			for range test.sessions {
				pace.leaves(1)
			}
			pace.burstOver()
			if pace.percent != leastPercent {
				t.Errorf("afterwards: %d percent", pace.percent)
			}
			pace.timer.Stop()
		}()
	}
}

// TestMemoryGoesBackThoughOneComesEachSecond: else a burst would never be over.
func TestMemoryGoesBackThoughOneComesEachSecond(t *testing.T) {
	p := gcPace{left: burst, latest: time.Now()}
	over := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.left < burst
	}
	for deadline := time.Now().Add(2 * quiet); !over(); time.Sleep(quiet / 4) {
		if time.Now().After(deadline) {
			p.timer.Stop()
			t.Fatal("the burst is not over")
		}
		p.leaves(0)
	}
}
