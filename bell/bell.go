// Package bell lets a thread sleep until another wakes it, by futex(2).
package bell

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Bell lets one thread sleep until another rings. A channel would do it by
// way of Go's scheduler, which for a goroutine that is tied to its thread costs
// several times as much. The zero Bell is ready.
type Bell struct{ asleep atomic.Uint32 }

// Arm announces a sleep. What the sleeper waits for is to be looked at after
// it, so that no ring is missed.
func (b *Bell) Arm() { b.asleep.Store(1) }

// Disarm takes that back.
func (b *Bell) Disarm() { b.asleep.Store(0) }

// Asleep reports whether a sleep is announced or under way.
func (b *Bell) Asleep() bool { return b.asleep.Load() != 0 }

// Sleep waits, once armed, for a ring, for ns nanoseconds (negative: for
// ever) or for a signal.
func (b *Bell) Sleep(ns int64) {
	var timeout unsafe.Pointer
	if ns >= 0 {
		t := unix.NsecToTimespec(min(ns, int64(longestSleep)))
		timeout = unsafe.Pointer(&t)
	}
	// EAGAIN, EINTR, ETIMEDOUT: the caller looks what there is.
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.asleep)), futexWaitPrivate, 1, uintptr(timeout), 0, 0)
	b.Disarm()
}

// Ring ends a sleep; it costs a system call only if there is one.
func (b *Bell) Ring() {
	if b.asleep.CompareAndSwap(1, 0) {
		_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.asleep)), futexWakePrivate, 1, 0, 0, 0)
	}
}

// Spin calls done for about as long as a sleep and a wake-up cost, until that
// reports true; it reports whether it did.
func Spin(done func() bool) bool {
	const (
		spinTime = 20 * time.Microsecond
		calls    = 10 // as long as a look at the clock
	)
	for start := time.Now(); ; {
		for range calls {
			if done() {
				return true
			}
		}
		if time.Since(start) > spinTime {
			return false
		}
	}
}

// FUTEX_WAIT and FUTEX_WAKE with FUTEX_PRIVATE_FLAG.
const (
	futexWaitPrivate = 0 | 128
	futexWakePrivate = 1 | 128
)

const longestSleep = 24 * time.Hour
