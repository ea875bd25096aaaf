package bell

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Lock is a mutual exclusion lock for goroutines that are tied to their
// threads. For one of those sync.Mutex hands the Go processor to another thread,
// to sleep, and back, to wake: some futex calls and switches, where the kernel
// needs one of each. The zero Lock is open. It is not to be copied.
type Lock struct{ state atomic.Uint32 }

const (
	open uint32 = iota
	held
	contended // held, and somebody may sleep
)

// spinTime is how long Lock spins before it sleeps: about what a sleep and a
// wake-up cost.
const spinTime = 20 * time.Microsecond

// Lock waits until l is open, and holds it.
func (l *Lock) Lock() {
	if !l.state.CompareAndSwap(open, held) {
		l.wait()
	}
}

// wait is Lock for one that is held; apart, so that the compiler inlines Lock.
func (l *Lock) wait() {
	if l.spin() {
		return
	}
	// From here on it is contended, though nobody else may sleep: who unlocks
	// cannot know.
	for l.state.Swap(contended) != open {
		// EAGAIN, EINTR: look again.
		_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&l.state)), futexWaitPrivate, uintptr(contended), 0, 0, 0)
	}
}

// spin reports whether it got l.
func (l *Lock) spin() bool {
	const loads = 50 // some 50 ns: as much as a look at the clock
	for start := time.Now(); time.Since(start) < spinTime; {
		for range loads {
			if l.state.Load() == open && l.state.CompareAndSwap(open, held) {
				return true
			}
		}
	}
	return false
}

// Unlock opens l, which the caller holds.
func (l *Lock) Unlock() {
	if l.state.Swap(open) == contended {
		_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&l.state)), futexWakePrivate, 1, 0, 0, 0)
	}
}
