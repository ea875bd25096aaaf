package main

/*
#include "server_go.h"
*/
import "C"

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"net.server_go/tls"
)

// What runs on threads of its own at the same time, at most. C has reserved
// SGO_THREADS of them.
const (
	runtimeThreads = 2 // the one that watches the scheduler (sysmon), and the one that makes others
	pollerThread   = 1 // waits for Go's own timers and the resolver's sockets
	signalThread   = 1 // waits for signals
	ioThread       = 1 // sleeps or waits without a processor of Go's; C adds one for each further backend
	threads        = runtimeThreads + pollerThread + signalThread + ioThread + tls.MaxWorkers + tls.Processors
)

// A negative length would not compile.
var _ [C.SGO_THREADS - threads]struct{}

func init() {
	tls.LimitProcessors() // before a collection, which would use all
	takeAddressSpace()
	tls.PaceGarbageCollection()
	startPoller()
}

// heapSpace is how far Go's heap may grow, in bytes, where the host limits
// address space (host.c).
const heapSpace = 128 << 20

// takeAddressSpace has Go's runtime take address space for its heap, which it
// never gives back, as long as there is some. libc takes more with each thread
// that allocates, and gets along without; Go would end the process. No page of it
// is touched.
func takeAddressSpace() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) != nil || limit.Cur == unix.RLIM_INFINITY {
		return
	}
	runtime.KeepAlive(make([]byte, heapSpace))
	runtime.GC()
}

// startPoller has Go's runtime open its epoll descriptor, which it does for the
// first timer. Without a descriptor it would end the process: C has looked that
// there are some.
func startPoller() { time.AfterFunc(time.Hour, func() {}).Stop() }
