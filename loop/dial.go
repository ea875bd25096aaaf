package loop

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketTypes are the constructors of LuaSocket that addclient may name.
var socketTypes = map[string]struct{ family, kind int }{
	"tcp":  {unix.AF_UNSPEC, unix.SOCK_STREAM},
	"tcp4": {unix.AF_INET, unix.SOCK_STREAM},
	"tcp6": {unix.AF_INET6, unix.SOCK_STREAM},
	"udp":  {unix.AF_UNSPEC, unix.SOCK_DGRAM},
	"udp4": {unix.AF_INET, unix.SOCK_DGRAM},
	"udp6": {unix.AF_INET6, unix.SOCK_DGRAM},
}

// Dial starts connecting to host and port. socketType is LuaSocket's name
// for a kind of socket, or "" for TCP to a literal address. A refused
// connection is reported by Closed; what is wrong at once (no such address,
// no route) is the error.
func (l *Loop) Dial(host string, port int, socketType string, mode int) (Opened, error) {
	if err := checkPort(port); err != nil {
		return Opened{}, err
	}
	if socketType == "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return Opened{}, errInvalidIP
		}
		socketType = "tcp"
	}
	kind, ok := socketTypes[socketType]
	if !ok {
		return Opened{}, errSocketType
	}
	ips, err := resolve(host, kind.family)
	if err != nil {
		return Opened{}, err
	}
	l.enter() // not before the name is known
	defer l.leave()
	for _, ip := range ips {
		var fd int
		if fd, err = l.connect(ip, port, kind.kind); err != nil {
			continue
		}
		c, err := l.newConn(fd, stateConnecting, readMode(mode), kind.kind == unix.SOCK_DGRAM)
		if err != nil {
			return Opened{}, &Error{err}
		}
		c.count(KindOutgoing)
		c.server = ip.String() // it has no peer to ask for yet
		return c.opening(), nil
	}
	return Opened{}, err
}

func (l *Loop) connect(ip netip.Addr, port, kind int) (int, error) {
	sa, err := sockaddr(ip, port)
	if err != nil {
		return -1, err
	}
	fd, err := openSocket(ip, kind)
	if err != nil {
		return -1, err
	}
	l.defaultOptions(fd)
	if kind == unix.SOCK_STREAM {
		l.dialOptions(fd)
	}
	if err = unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		closeFD(fd)
		return -1, &Error{err}
	}
	return fd, nil
}

// Adopt makes a connection of fd, a socket that stays its owner's: the loop
// works on a duplicate of it.
func (l *Loop) Adopt(fd, mode int) (Opened, error) {
	l.enter()
	defer l.leave()
	dup, err := own(fd)
	if err != nil {
		return Opened{}, err
	}
	kind, err := unix.GetsockoptInt(dup, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		closeFD(dup)
		return Opened{}, &Error{err}
	}
	l.defaultOptions(dup)
	c, err := l.newConn(dup, stateConnecting, readMode(mode), kind == unix.SOCK_DGRAM)
	if err != nil {
		return Opened{}, &Error{err}
	}
	c.count(KindAdopted)
	return c.opening(), nil
}

// receive is read(2) on a socket of ours, which never blocks either.
func receive(fd int, buffer []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buffer))), uintptr(len(buffer)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// send is send(2) without a SIGPIPE. It never blocks, so the scheduler need
// not know of it.
func send(fd int, data []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))),
		uintptr(len(data)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
