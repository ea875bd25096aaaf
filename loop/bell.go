package loop

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bell lets one thread sleep until another rings, by futex(2): a channel
// would park a goroutine that is tied to the host's thread, which costs
// several times as much.
type bell struct{ asleep atomic.Uint32 }

// arm announces a sleep. What the sleeper waits for is to be looked at after
// it, so that no ring is missed.
func (b *bell) arm() { b.asleep.Store(1) }

// disarm takes that back.
func (b *bell) disarm() { b.asleep.Store(0) }

// sleep waits, once armed, for a ring, for ns nanoseconds (negative: for
// ever) or for a signal.
func (b *bell) sleep(ns int64) {
	var timeout unsafe.Pointer
	if ns >= 0 {
		t := unix.NsecToTimespec(min(ns, int64(longestSleep)))
		timeout = unsafe.Pointer(&t)
	}
	// EAGAIN, EINTR, ETIMEDOUT: the caller looks what there is.
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.asleep)), futexWaitPrivate, 1, uintptr(timeout), 0, 0)
	b.disarm()
}

// ring ends a sleep; it costs a system call only if there is one.
func (b *bell) ring() {
	if b.asleep.CompareAndSwap(1, 0) {
		_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.asleep)), futexWakePrivate, 1, 0, 0, 0)
	}
}

// FUTEX_WAIT and FUTEX_WAKE with FUTEX_PRIVATE_FLAG.
const (
	futexWaitPrivate = 0 | 128
	futexWakePrivate = 1 | 128
)

const longestSleep = 24 * time.Hour
