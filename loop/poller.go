package loop

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// What the epoll events mean here. Everything is level-triggered.
//
//   - IN: data, an end of stream or an error waits to be read. Asked for
//     only while the Lua side will take data; otherwise it would report
//     without end.
//   - RDHUP: the peer's stream ends behind what waits to be read. Asked for
//     with IN, and alone while a pause keeps from reading and nothing is kept:
//     then one chunk is read ahead, so that an end with nothing before it is
//     told in spite of the pause.
//   - OUT: the socket takes output, or a connect has finished (SO_ERROR says
//     how). Asked for only while there is something to send.
//   - ERR, HUP: always reported. While connecting they mean the same as OUT.
//     Afterwards they are handled as IN, because what was received before
//     the error is read first and the read then returns the error itself;
//     in a pause, as RDHUP. If they come when nothing may be read the
//     descriptor leaves epoll altogether, and comes back with the next change
//     of interest.
//
// Output goes before input: what is sent makes room at the peer, and a
// reply leaves before the end of stream behind the request is seen.
const (
	readable = unix.EPOLLIN
	writable = unix.EPOLLOUT
	hangUp   = unix.EPOLLRDHUP
	broken   = unix.EPOLLERR | unix.EPOLLHUP
)

// poller is one epoll instance; its events carry handles, not descriptors.
type poller struct {
	fd int
	// holders has the handle that each descriptor was registered for last. A
	// watched descriptor may be closed by its owner, and its number used again.
	holders []Handle
}

func (p *poller) holder(fd int) Handle {
	if fd < len(p.holders) {
		return p.holders[fd]
	}
	return 0
}

func (p *poller) hold(fd int, h Handle) {
	for fd >= len(p.holders) {
		p.holders = append(p.holders, 0)
	}
	p.holders[fd] = h
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	return &poller{fd: fd}, nil
}

// control is epoll_ctl: op is one of unix.EPOLL_CTL_*.
func (p *poller) control(op, fd int, h Handle, interest uint32) error {
	ev := unix.EpollEvent{Events: interest, Fd: int32(h), Pad: int32(h >> 32)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, op, fd, &ev))
}

// wait blocks for at most ms milliseconds (-1: for ever) and returns how
// many of events are set. A signal ends it early, with none.
func (p *poller) wait(events []unix.EpollEvent, ms int) (int, error) {
	return epollWait(p.fd, events, ms)
}

func epollWait(fd int, events []unix.EpollEvent, ms int) (int, error) {
	n, err := unix.EpollWait(fd, events, ms)
	if err == unix.EINTR {
		return 0, nil
	}
	return n, os.NewSyscallError("epoll_wait", err)
}

func handleOf(ev *unix.EpollEvent) Handle {
	return Handle(uint64(uint32(ev.Pad))<<32 | uint64(uint32(ev.Fd)))
}

func (p *poller) close() { closeFD(p.fd) }

// registration is a descriptor's place in epoll and what is asked of it.
type registration struct {
	fd       int
	handle   Handle
	interest uint32
	added    bool
}

// want changes the interest, with no system call when nothing changes.
// Interest 0 leaves ERR and HUP reported.
func (r *registration) want(p *poller, interest uint32) error {
	if p.holder(r.fd) != r.handle {
		r.added = false
	}
	if r.added && r.interest == interest {
		return nil
	}
	op := unix.EPOLL_CTL_MOD
	if !r.added {
		op = unix.EPOLL_CTL_ADD
	}
	err := p.control(op, r.fd, r.handle, interest)
	if op == unix.EPOLL_CTL_ADD && errors.Is(err, unix.EEXIST) {
		err = p.control(unix.EPOLL_CTL_MOD, r.fd, r.handle, interest) // the latest watch of it counts
	}
	if err == nil {
		r.added, r.interest = true, interest
		p.hold(r.fd, r.handle)
	}
	return err
}

// leave takes the descriptor out of epoll until the next want.
func (r *registration) leave(p *poller) {
	if r.added && p.holder(r.fd) == r.handle {
		// ENOENT and EBADF: its owner closed a watched descriptor first.
		_ = p.control(unix.EPOLL_CTL_DEL, r.fd, r.handle, 0)
		p.hold(r.fd, 0)
	}
	r.added = false
}

// closeFD closes a descriptor that is ours. Linux releases the number
// whatever close returns, so there is nothing to do about an error.
func closeFD(fd int) { _ = unix.Close(fd) }
