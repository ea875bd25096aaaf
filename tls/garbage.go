package tls

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Handshakes leave garbage, some 100 KiB each, and little else in the process
// does. To collect it each time that it doubles a small heap costs a third
// of a handshake; to keep it costs memory. So it may grow to garbageAllowed,
// and goes back to the system, with the sessions that have ended, once a burst
// of beginnings or ends is over.
const (
	garbageAllowed = 16 << 20
	burst          = 64 // handshakes and released sessions
	quiet          = 2 * time.Second
)

// ballast makes the heap look larger to the collector; none of its pages is
// ever touched, so it takes no memory.
var ballast atomic.Value

// PaceGarbageCollection has the garbage collector run when the heap has grown
// by half and garbageAllowed. Most of a busy server's heap are the sessions
// of idle connections: memory counts for more than the collector's time.
func PaceGarbageCollection() {
	const percent = 50
	ballast.Store(make([]byte, garbageAllowed*100/percent))
	debug.SetGCPercent(percent)
}

// bursts returns memory to the system when clients have stopped coming and going.
var bursts struct {
	mu    sync.Mutex
	count int
	timer *time.Timer
}

func garbageLeft() {
	b := &bursts
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count++; b.count < burst {
		return
	}
	if b.timer == nil {
		b.timer = time.AfterFunc(quiet, burstOver)
	} else {
		b.timer.Reset(quiet)
	}
}

func burstOver() {
	bursts.mu.Lock()
	bursts.count = 0
	bursts.mu.Unlock()
	debug.FreeOSMemory()
}
