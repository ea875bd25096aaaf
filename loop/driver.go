package loop

import (
	"encoding/binary"
	"sync/atomic"

	"net.server_go/tls"
)

// Who runs the loop has two states. In the first the Lua thread does, between two
// waits of its own: nothing is handed over, which is the shortest way for one
// message. In the second the I/O thread does (thread.go): the Lua thread leaves its
// commands and takes events, and neither sends, reads nor encrypts.
// choose says when one follows the other; driver_limits.go has its constants.

// IOThread says when there is an I/O thread.
type IOThread int

const (
	IOThreadAuto IOThread = iota // when it pays
	IOThreadAlways
	IOThreadNever
)

// A Reason is why who runs the loop has changed.
type Reason uint8

const (
	ReasonSetting    Reason = iota // io_thread
	ReasonProcessors               // there is one only
	ReasonFanOut                   // many connections have output
	ReasonHandshakes               // others are busy with them
	ReasonLoad                     // the Lua thread is short of time, much of which is I/O
	ReasonCalm                     // a thread is of no use any more
	ReasonLate                     // the thread that was to come has not
	Reasons                        // how many there are
)

// driver is the present state, what has been counted for the next one, and what
// Stats says of it. All but the atomic counters is the Lua thread's.
type driver struct {
	thread     *ioThread // nil: the Lua thread runs the loop
	mode       IOThread
	processors int

	// The window of time that is being measured: its beginning, the counters at
	// that time, and the most handshakes at once and the fan-outs since then.
	began      int64
	seen       load
	handshakes int64
	fanOuts    int64
	// Of the Lua thread: how long Lua has run, and what it took.
	luaBusy, batches, events int64
	// Of who runs the loop: how long its turns were, how many had descriptors
	// to serve, and how many descriptors that was.
	ioBusy, turns, ready atomic.Int64

	since    int64 // when the present state began
	reason   Reason
	changes  [Reasons]uint64
	threaded int64 // ns with an I/O thread, until since
}

// load is what happened in a window of time. Times are in ns.
type load struct {
	luaBusy, ioBusy int64
	turns, ready    int64
	batches, events int64
}

func (l *Loop) hasThread() bool { return l.driver.thread != nil }

// choose is the state machine: which state is next, and why, if the Lua thread
// hands this log over at this time.
func (d *driver) choose(now int64, log []byte) (threaded bool, why Reason) {
	threaded = d.thread != nil
	switch {
	case threaded && d.thread.isLate() && now-d.since > lateThread:
		return false, ReasonLate
	case !threaded && d.reason == ReasonLate && now-d.since < lateRetry:
		return false, ReasonLate
	case d.mode != IOThreadAuto:
		return d.mode == IOThreadAlways, ReasonSetting
	case d.processors < 2:
		return false, ReasonProcessors
	}
	d.handshakes = max(d.handshakes, tls.Computing())
	if isFanOut(log) {
		d.fanOuts++
	}
	switch {
	case !threaded && d.fanOuts > 0:
		return true, ReasonFanOut
	case !threaded && d.handshakes >= manyHandshakes:
		return true, ReasonHandshakes
	case !threaded && now-d.began >= directWindow:
		return d.endWindow(now).isHeavy(d.processors), ReasonLoad
	case threaded && now-d.began >= threadWindow:
		busy := d.fanOuts > 0 || d.handshakes >= manyHandshakes
		return d.endWindow(now).isWorthAThread(d.processors) || busy, ReasonCalm
	}
	return threaded, why
}

// isFanOut reports whether a log has output for many connections.
func isFanOut(log []byte) bool {
	writes := 0
	for len(log) >= (fanOut-writes)*RecordHeader && len(log) > 0 {
		size := int(binary.NativeEndian.Uint32(log[12:]))
		if size > 0 && binary.NativeEndian.Uint32(log[8:]) == cmdWrite {
			writes++
		}
		if writes == fanOut {
			return true
		}
		log = log[RecordHeader+(size+7)&^7:]
	}
	return false
}

// endWindow begins the next window, and returns what happened in this one.
func (d *driver) endWindow(now int64) windowLoad {
	total := load{d.luaBusy, d.ioBusy.Load(), d.turns.Load(), d.ready.Load(), d.batches, d.events}
	was := d.seen
	w := windowLoad{now - d.began, load{total.luaBusy - was.luaBusy, total.ioBusy - was.ioBusy,
		total.turns - was.turns, total.ready - was.ready, total.batches - was.batches, total.events - was.events}}
	d.began, d.seen, d.handshakes, d.fanOuts = now, total, 0, 0
	return w
}

type windowLoad struct {
	length int64
	load
}

// busy is how long both sides worked, which may be at the same time.
func (w windowLoad) busy() int64 { return w.luaBusy + w.ioBusy }

// isHeavy decides, from the load while the Lua thread ran the loop, whether
// another thread should: it is short of time, a turn is worth the waking of a
// thread, and what that thread would do is much of it.
func (w windowLoad) isHeavy(processors int) bool {
	return w.busy() > w.length*heavyPercent/100 && w.turns > 0 && w.ready >= heavyReady*w.turns &&
		w.ioBusy > w.busy()*ioPercent(processors)/100
}

// isWorthAThread decides, from the load while an I/O thread ran the loop, whether
// it should go on.
func (w windowLoad) isWorthAThread(processors int) bool {
	return w.busy() >= w.length*calmPercent/100 && w.events >= 2*w.batches &&
		w.ioBusy >= w.busy()*ioPercent(processors)*2/3/100
}

// ioPercent is how much of the work has to be I/O.
func ioPercent(processors int) int64 {
	if processors > 2 {
		return 0
	}
	return ioPercentOfTwo
}

// change goes into the other state.
func (l *Loop) change(now int64, why Reason) {
	d := &l.driver
	if l.hasThread() {
		d.threaded += now - d.since
		l.retireThread()
	} else {
		l.startThread()
	}
	d.since, d.reason = now, why
	d.changes[why]++
	d.endWindow(now)
}
