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

// poller is two epoll instances, the second within the first; their events
// carry handles, not descriptors. The second has what brings new handshakes on:
// ports, and connections whose handshake is under way. It is served after the
// first, and while it is shut nobody is woken for it.
type poller struct {
	fd    int
	later int
	shut  bool
	// holders has the handle that each descriptor was registered for last. A
	// watched descriptor may be closed by its owner, and its number used again.
	holders           []Handle
	ready, readyLater [BatchEvents]unix.EpollEvent
}

// laterHandle is the second instance's in the first.
const laterHandle = ^Handle(0)

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
	p := &poller{later: -1}
	var err error
	if p.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if p.later, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		err = os.NewSyscallError("epoll_create1", err)
	} else {
		err = control(p.fd, unix.EPOLL_CTL_ADD, p.later, laterHandle, readable)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// control is epoll_ctl: op is one of unix.EPOLL_CTL_*.
func control(epoll, op, fd int, h Handle, interest uint32) error {
	ev := unix.EpollEvent{Events: interest, Fd: int32(h), Pad: int32(h >> 32)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(epoll, op, fd, &ev))
}

// shutLater says whether to wake nobody for the second instance.
func (p *poller) shutLater(shut bool) {
	if p.shut == shut {
		return
	}
	var interest uint32 = readable
	if shut {
		interest = 0
	}
	if control(p.fd, unix.EPOLL_CTL_MOD, p.later, laterHandle, interest) == nil {
		p.shut = shut
	}
}

// waitLater returns what is ready of the second instance.
func (p *poller) waitLater() []unix.EpollEvent {
	n, _ := epollWait(p.later, p.readyLater[:], 0) // the first would tell of an error
	return p.readyLater[:max(n, 0)]
}

// wait waits for at most ns nanoseconds (negative: for ever) and returns what is
// ready. A signal ends it early, with nothing.
func (p *poller) wait(ns int64) ([]unix.EpollEvent, error) {
	n, err := epollWait(p.fd, p.ready[:], milliseconds(ns))
	return p.ready[:max(n, 0)], err
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

func (p *poller) close() {
	closeFD(p.fd)
	if p.later >= 0 {
		closeFD(p.later)
	}
}

// registration is a descriptor's place in epoll and what is asked of it.
type registration struct {
	fd       int
	handle   Handle
	interest uint32
	added    bool
	late     bool // its place is in the second instance
}

// move gives the registration its place in one of the two instances, from the
// next want on.
func (r *registration) move(p *poller, late bool) {
	if r.late != late {
		r.leave(p)
		r.late = late
	}
}

func (r *registration) control(p *poller, op int, interest uint32) error {
	epoll := p.fd
	if r.late {
		epoll = p.later
	}
	return control(epoll, op, r.fd, r.handle, interest)
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
	err := r.control(p, op, interest)
	if op == unix.EPOLL_CTL_ADD && errors.Is(err, unix.EEXIST) {
		err = r.control(p, unix.EPOLL_CTL_MOD, interest) // the latest watch of it counts
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
		_ = r.control(p, unix.EPOLL_CTL_DEL, 0)
		p.hold(r.fd, 0)
	}
	r.added = false
}

// closeFD closes a descriptor that is ours. Linux releases the number
// whatever close returns, so there is nothing to do about an error.
func closeFD(fd int) { _ = unix.Close(fd) }
