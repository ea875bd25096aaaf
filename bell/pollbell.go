package bell

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A PollBell is a Bell whose sleeper waits in epoll, because epoll_pwait(2)
// takes a signal mask and futex(2) does not. NewPollBell makes one. Before that
// the sleeper may doze, on a futex, which is cheaper for both.
type PollBell struct {
	doze   Bell
	asleep atomic.Uint32
	event  int // eventfd
	epoll  int // watches event, edge-triggered: it never has to be read
}

// NewPollBell returns a bell that has two descriptors until it is closed.
func NewPollBell() (*PollBell, error) {
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		_ = unix.Close(event)
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	b := &PollBell{event: event, epoll: epoll}
	edge := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, event, &edge); err != nil {
		b.Close()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return b, nil
}

// Doze waits for a ring, for at most ns nanoseconds, unless done says that there
// is nothing to wait for. It comes before Arm, and ends with nobody asleep.
func (b *PollBell) Doze(ns int64, done func() bool) {
	b.doze.Arm()
	if done() {
		b.doze.Disarm()
		return
	}
	b.doze.Sleep(ns)
}

// FD is the epoll instance that the sleeper waits for, once armed.
func (b *PollBell) FD() int { return b.epoll }

// Arm announces a sleep, as Bell.Arm does.
func (b *PollBell) Arm() { b.asleep.Store(1) }

// Disarm takes that back. A ring that came before it may still end the next
// sleep.
func (b *PollBell) Disarm() { b.asleep.Store(0) }

// Asleep reports whether a sleep is announced or under way.
func (b *PollBell) Asleep() bool { return b.asleep.Load() != 0 }

// Ring ends a doze or a sleep; it costs a system call only if there is one.
func (b *PollBell) Ring() {
	b.doze.Ring()
	if b.asleep.CompareAndSwap(1, 0) {
		// It counts up to 2⁶⁴, so it takes another one always, and at once.
		one := uint64(1)
		_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(b.event), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
	}
}

// Close closes the descriptors. Nobody may use b afterwards, nor at that time.
func (b *PollBell) Close() {
	_ = unix.Close(b.epoll)
	_ = unix.Close(b.event)
}
