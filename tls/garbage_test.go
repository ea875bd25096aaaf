package tls

import (
	"runtime"
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
	bursts.mu.Lock()
	if bursts.timer != nil {
		bursts.timer.Stop() // earlier tests'
	}
	bursts.mu.Unlock()
	burstOver()
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
