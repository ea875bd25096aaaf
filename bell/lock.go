package bell

import (
	"sync/atomic"
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

// Lock waits until l is open, and holds it.
func (l *Lock) Lock() {
	if !l.state.CompareAndSwap(open, held) {
		l.wait()
	}
}

// wait is Lock for one that is held; apart, so that the compiler inlines Lock.
func (l *Lock) wait() {
	if Spin(l.try) {
		return
	}
	// From here on it is contended, though nobody else may sleep: who unlocks
	// cannot know.
	for l.state.Swap(contended) != open {
		// EAGAIN, EINTR: look again.
		_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&l.state)), futexWaitPrivate, uintptr(contended), 0, 0, 0)
	}
}

func (l *Lock) try() bool { return l.state.Load() == open && l.state.CompareAndSwap(open, held) }

// Unlock opens l, which the caller holds.
func (l *Lock) Unlock() {
	switch l.state.Swap(open) {
	case open:
		panic("bell: unlock of an open lock")
	case contended:
		_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&l.state)), futexWakePrivate, 1, 0, 0, 0)
	}
}
