package tls

import (
	"runtime"
	"sync/atomic"
)

// slots bounds how many handshakes compute at the same time; those that wait
// for their peer do not count. As many as there are processors keep all of
// them busy, and more would only delay the threads that serve everybody else.
var slots = make(chan struct{}, runtime.NumCPU())

var computing atomic.Int64

// Computing is how many handshakes compute, or wait until they may.
func Computing() int64 { return computing.Load() }

func takeSlot() {
	computing.Add(1)
	slots <- struct{}{}
}

func leaveSlot() {
	<-slots
	computing.Add(-1)
}

// LeaveRoom lets the Go scheduler run more threads than handshakes can take:
// else the Lua thread, the I/O thread and the collector would wait, for 10 ms
// at a time, until a handshake has computed enough.
func LeaveRoom() {
	const others = 3
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), cap(slots)+others))
}
