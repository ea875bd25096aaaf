package tls

import (
	"os"
	"runtime/debug"
	"sync"
	"time"
)

// Handshakes leave garbage, some 100 KiB each, and little else in the process
// does. To collect it each time that it doubles a small heap costs a third of a
// handshake; to keep it costs memory. So there is a ballast, with which the heap
// looks larger to the collector, and the garbage may grow to a percentage of both:
// to 4 MB while there are few sessions, to 16 MB with 150 and more. It goes back to
// the system, with the sessions that have ended, once a burst of beginnings or ends
// is over, or has lasted for long: on a busy server somebody comes each second.
const (
	ballast      = 32 << 20 // bytes; no page of it is ever touched, so it takes no memory
	leastPercent = 12
	mostPercent  = 50
	percentStep  = 6 // a change stops all threads for a moment
	grain        = 4 // sessions for each further percent
	burst        = 64
	quiet        = 2 * time.Second
	long         = 30 * time.Second
)

// What Go may have of the process's memory: so much of it as garbage, and half of it in
// all, beyond which it collects as often as it must.
const garbagePart, heapPart = 64, 2

// pace is how the process's garbage is collected.
var pace gcPace

type gcPace struct {
	mu       sync.Mutex
	ballast  []byte
	percent  int // 0: as Go does by itself
	most     int
	sessions int
	left     int       // handshakes and sessions that ended in the present burst
	latest   time.Time // when that is taken to be over
	timer    *time.Timer
}

// BurstOver is called when memory has gone back to the system; set it before
// PaceGarbageCollection.
var BurstOver = func() {}

// PaceGarbageCollection has garbage collected in proportion to the sessions that
// there are and to memory, the bytes that the process may have.
func PaceGarbageCollection(memory uint64) { pace.begin(memory) }

func (p *gcPace) begin(memory uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ballast = make([]byte, ballast)
	p.most = int(min(max(memory/garbagePart*100/ballast, leastPercent), mostPercent))
	p.set(leastPercent)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(ballast + int64(min(memory, 1<<62)/heapPart))
	}
	p.timer = time.AfterFunc(quiet, p.burstOver) // the start leaves something, too
}

func (p *gcPace) set(percent int) {
	p.percent = percent
	debug.SetGCPercent(percent)
}

// wanted is the percentage for the sessions that there are.
func (p *gcPace) wanted() int { return min(leastPercent+p.sessions/grain, p.most) }

// sessionBegun counts a session that Release will end.
func (p *gcPace) sessionBegun() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions++
	if p.percent != 0 && p.wanted() >= min(p.percent+percentStep, p.most) && p.percent < p.most {
		p.set(p.wanted())
	}
}

// leaves counts a handshake that is done, or ended sessions.
func (p *gcPace) leaves(ended int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions -= ended
	if p.left++; p.left < burst {
		return
	}
	if p.left == burst {
		p.latest = time.Now().Add(long)
	}
	wait := min(quiet, time.Until(p.latest))
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, p.burstOver)
	} else {
		p.timer.Reset(wait)
	}
}

func (p *gcPace) burstOver() {
	p.mu.Lock()
	p.left = 0
	if p.percent != 0 && p.wanted() < p.percent {
		p.set(p.wanted())
	}
	p.mu.Unlock()
	debug.FreeOSMemory()
	BurstOver()
}
