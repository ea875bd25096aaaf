package main

/*
#include "server_go.h"
*/
import "C"

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"net.server_go/loop"
	"net.server_go/tls"
)

// What runs on threads of its own at the same time.
const (
	runtimeThreads = 2 // the one that watches the scheduler (sysmon), and the one that makes others
	pollerThread   = 1 // waits for Go's own timers and the resolver's sockets
	ioThread       = 1 // sleeps, or waits in epoll; C adds one for each further backend
	fixedThreads   = runtimeThreads + pollerThread + ioThread
)

// Two workers make more handshakes than one Lua thread can log in clients.
const workers, processors = 2, 4

// A process that may have few threads only.
const fewWorkers, fewProcessors = 1, 2

// A thread that has just given up its processor is not yet one that Go uses
// again. In 45 s of logins by 12 clients at once, on two processors, one more than
// what is counted here was seen.
const betweenTwoUses = 3

// Else the arrays' lengths are negative, and it does not compile.
var (
	_ [C.SGO_THREADS - (fixedThreads + fewWorkers + fewProcessors + betweenTwoUses)]struct{}
	_ [C.SGO_ALL_THREADS - (fixedThreads + workers + processors + betweenTwoUses)]struct{}
)

func init() {
	limitThreads()                                // before a collection, which would use all processors
	tls.BurstOver = func() { C.sgo_drop_pages() } // those of handshakes
	tls.PaceGarbageCollection(loop.AvailableMemory())
	takeHeapSpace()
	startPoller()
}

// limitThreads bounds what Go wants at the same time by what C has reserved: none
// in a test, where Go has the process.
func limitThreads() {
	if n := C.sgo_threads; n == 0 || n >= C.SGO_ALL_THREADS {
		tls.LimitThreads(workers, processors)
	} else {
		tls.LimitThreads(fewWorkers, fewProcessors)
	}
}

// heapSpace is how far Go's heap may grow, in bytes, where the host limits
// address space or data (host.c).
const heapSpace = 128 << 20

// takeHeapSpace has Go's runtime map its heap, which it never gives back, as long
// as there is room: RLIMIT_DATA counts what is mapped for writing, used or not. libc
// takes more with each thread that allocates, and gets along without; Go would end
// the process. No page of it is touched.
func takeHeapSpace() {
	if !limited(unix.RLIMIT_AS) && !limited(unix.RLIMIT_DATA) {
		return
	}
	runtime.KeepAlive(make([]byte, heapSpace))
	runtime.GC()
}

func limited(resource int) bool {
	var limit unix.Rlimit
	return unix.Getrlimit(resource, &limit) == nil && limit.Cur != unix.RLIM_INFINITY
}

// startPoller has Go's runtime open its epoll descriptor, which it does for the
// first timer. Without a descriptor it would end the process: C has looked that
// there are some.
func startPoller() { time.AfterFunc(time.Hour, func() {}).Stop() }
