package loop

import (
	"bytes"
	"net/netip"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// acceptsPerStep bounds what one listener may take of a step.
const acceptsPerStep = 64

// listener accepts connections.
type listener struct {
	registration
	alarm
	loop  *Loop
	mode  readMode // of the connections
	retry int64    // when accepting goes on after an error; 0: now
	// failing: connections wait that could not be accepted. Until quietUntil
	// another failure is no news either.
	failing    bool
	quietUntil int64
}

// Listen binds a TCP socket, unless systemd has done so: host is an address, "*" for every IPv4 address,
// "::" for every IPv6 address (and no IPv4), or a name.
func (l *Loop) Listen(host string, port, mode int) (Opened, error) {
	if err := checkPort(port); err != nil {
		return Opened{}, err
	}
	if host == "*" {
		host = "0.0.0.0"
	}
	ips, err := resolve(host, unix.AF_UNSPEC)
	if err != nil {
		return Opened{}, err
	}
	l.enter() // not before the name is known
	defer l.leave()
	for _, ip := range ips {
		if fd, ok := l.inherited(ip, port); ok {
			return l.serve(fd, mode)
		}
		var fd int
		if fd, err = l.bind(ip, port); err == nil {
			return l.newListener(fd, mode)
		}
	}
	return Opened{}, err
}

func (l *Loop) bind(ip netip.Addr, port int) (int, error) {
	sa, err := sockaddr(ip, port)
	if err != nil {
		return -1, err
	}
	fd, err := openSocket(ip, unix.SOCK_STREAM)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil && ip.Is6() {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		err = unix.Listen(fd, l.settings.Backlog)
	}
	if err != nil {
		closeFD(fd)
		return -1, &Error{err}
	}
	return fd, nil
}

// Serve accepts connections on fd, a listening socket that stays its
// owner's: the loop works on a duplicate of it.
func (l *Loop) Serve(fd, mode int) (Opened, error) {
	l.enter()
	defer l.leave()
	return l.serve(fd, mode)
}

func (l *Loop) serve(fd, mode int) (Opened, error) {
	dup, err := own(fd)
	if err != nil {
		return Opened{}, err
	}
	if listens, err := unix.GetsockoptInt(dup, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		closeFD(dup)
		return Opened{}, errNotListening
	}
	return l.newListener(dup, mode)
}

// newListener owns fd; it closes it on error.
func (l *Loop) newListener(fd, mode int) (Opened, error) {
	s := &listener{loop: l, mode: readMode(mode)}
	s.alarm.owner = s
	s.fd, s.late = fd, true
	l.listenerOptions(fd)
	if s.handle = l.objects.insert(s); s.handle == 0 {
		closeFD(fd)
		return Opened{}, &Error{unix.EMFILE}
	}
	l.stats.Opened[KindListener]++
	if err := s.want(l.poller, readable); err != nil {
		l.release(s.handle)
		return Opened{}, &Error{err}
	}
	return Opened{Handle: s.handle, FD: fd}, nil
}

// ready accepts what waits. Where there are no descriptors left it pauses only
// if it could accept nothing: those that it did accept may be gone in a moment.
func (s *listener) ready(uint32) {
	if s.retry != 0 {
		return // paused since epoll told
	}
	if s.loop.ceiling.tight {
		s.failed(unix.ENOBUFS)
		return
	}
	took := 0
	for range acceptsPerStep {
		fd, peer, err := accept(s.fd)
		if err == nil {
			err = s.accepted(fd, peer)
		}
		switch {
		case err == nil:
			took++
		case err == unix.EAGAIN:
			s.failing = false
			return
		case concernsOneConnection(err):
			// Accept the next one.
		case took == 0:
			s.failed(err)
			return
		default:
			return // epoll tells again
		}
	}
}

// concernsOneConnection reports whether accept4 failed for the connection that
// it has thereby removed (accept(2), "Error handling", and EPERM: a firewall).
func concernsOneConnection(err error) bool {
	switch err {
	case unix.EINTR, unix.ECONNABORTED, unix.EPERM, unix.EPROTO, unix.ENOPROTOOPT, unix.EOPNOTSUPP,
		unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENONET:
		return true
	}
	return false
}

// accept is accept4(2). A peer that has reset the connection meanwhile has a name here,
// and not later. The peer of a unix socket has none.
func accept(listening int) (fd int, peer Name, err error) {
	var raw unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	accepted, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listening), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, peer, errno
	}
	peer, isUnix := nameIn(&raw, size)
	if isUnix {
		peer = Name{}
	}
	return int(accepted), peer, nil
}

func (s *listener) accepted(fd int, peer Name) error {
	local, _ := readName(unix.SYS_GETSOCKNAME, fd)
	if s.loop.proxies.ports[local.Port] {
		return s.awaitHeader(fd, peer, local)
	}
	return s.admitted(fd, peer, local, nil, nil)
}

// admitted makes a connection of fd, unless the door is closed to its peer. received has
// come from it already.
func (s *listener) admitted(fd int, peer, local Name, names *proxied, received []byte) error {
	visitor, ok := s.loop.admit(peer)
	if !ok {
		s.loop.turnAway(fd)
		return nil
	}
	s.loop.defaultOptions(fd)
	c, err := s.loop.newConn(fd, stateOpen, s.mode, false)
	if err != nil {
		visitor.turnedBack()
		return err
	}
	c.visitor, c.admitted = visitor, visitor != nil
	c.proxied = names
	if len(received) > 0 {
		c.pending = bytes.Clone(received)
	}
	c.count(KindAccepted)
	s.loop.emit(Event{Kind: Accepted, Handle: c.handle, Listener: s.handle, FD: int32(fd), text: nameText(peer, local)})
	return nil
}

// failed pauses until a descriptor of ours is closed, or the ceiling has room. For the
// host's there is the setting accept_retry_interval. The Lua side is told once of each
// shortage, not of each attempt: one lasts until nothing waits to be accepted.
func (s *listener) failed(err error) {
	l := s.loop
	l.stats.AcceptErrors++
	if !s.failing && l.now >= s.quietUntil {
		l.emit(Event{Kind: AcceptFailed, Handle: s.handle, text: reason(err)})
	}
	s.failing = true
	s.quietUntil = addSeconds(l.now, l.settings.AcceptRetryInterval)
	s.pauseFor(l.settings.AcceptRetryInterval)
	l.short = append(l.short, s)
}

// descriptorClosed lets those listeners go on that could accept nothing.
func (l *Loop) descriptorClosed() {
	short := l.short
	l.short = nil
	for _, s := range short {
		s.pauseFor(-1)
	}
}

// leaveShort: something else decides when the listener goes on.
func (s *listener) leaveShort() {
	s.loop.short = slices.DeleteFunc(s.loop.short, func(o *listener) bool { return o == s })
}

// pauseFor stops accepting for a number of seconds; negative goes on at once.
func (s *listener) pauseFor(seconds float64) {
	s.leaveShort()
	if seconds >= 0 {
		s.retry = max(addSeconds(s.loop.now, seconds), 1)
		s.loop.arm(&s.alarm, s.retry)
		s.leave(s.loop.poller)
		return
	}
	s.retry = 0
	if s.want(s.loop.poller, readable) != nil {
		s.pauseFor(s.loop.settings.AcceptRetryInterval)
	}
}

func (s *listener) ring() {
	switch {
	case s.retry == 0:
	case s.retry <= s.loop.now:
		s.pauseFor(-1)
	default:
		s.loop.arm(&s.alarm, s.retry)
	}
}

func (s *listener) close() {
	s.loop.stats.Closed[KindListener]++
	s.loop.alarms.remove(&s.alarm)
	s.leave(s.loop.poller)
	s.leaveShort()
	closeFD(s.fd)
	s.loop.descriptorClosed()
}
