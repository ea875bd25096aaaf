package loop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resolveTimeout bounds the lookup of a name given to Listen or Dial, which
// happens in the calling thread, as in LuaSocket.
const resolveTimeout = 5 * time.Second

// resolve returns the addresses of host: a literal address, or a name.
// family (unix.AF_*) picks one kind, AF_UNSPEC allows both.
func resolve(host string, family int) ([]netip.Addr, error) {
	if strings.IndexByte(host, 0) >= 0 || host == "" {
		return nil, errUnresolved
	}
	network := map[int]string{unix.AF_INET: "ip4", unix.AF_INET6: "ip6"}[family]
	if network == "" {
		network = "ip"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if network == "ip" || (network == "ip6") == ip.Is6() {
			return []netip.Addr{ip}, nil
		}
		return nil, errUnresolved
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if err != nil || len(ips) == 0 {
		return nil, errUnresolved
	}
	for i, ip := range ips {
		ips[i] = ip.Unmap()
	}
	return ips, nil
}

func familyOf(ip netip.Addr) int {
	if ip.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(ip netip.Addr, port int) (unix.Sockaddr, error) {
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: ip.As4()}, nil
	}
	sa := &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		index, err := strconv.Atoi(zone)
		if err != nil {
			iface, err := net.InterfaceByName(zone)
			if err != nil {
				return nil, errUnresolved
			}
			index = iface.Index
		}
		sa.ZoneId = uint32(index)
	}
	return sa, nil
}

// Name is one end of a connection as Prosody shows it: an address without
// port, or the path of a unix socket ("" for one that has none).
type Name struct {
	Host  string
	Port  int
	Known bool
}

// Names returns both ends of the connection h, or the one of a listener. The
// peer of a unix socket is not known, as in LuaSocket.
func (l *Loop) Names(h Handle) (peer, local Name) {
	l.gate.enter()
	defer l.gate.leave()
	if c := l.conn(h); c != nil && c.state != stateClosed {
		return c.names()
	}
	if fd := l.fd(h); fd >= 0 {
		return namesOf(fd)
	}
	return peer, local
}

func (c *conn) names() (peer, local Name) {
	if c.proxied != nil {
		return c.proxied.peer, c.proxied.local
	}
	return namesOf(c.fd)
}

func namesOf(fd int) (peer, local Name) {
	local, isUnix := readName(unix.SYS_GETSOCKNAME, fd)
	if !isUnix {
		peer, _ = readName(unix.SYS_GETPEERNAME, fd)
	}
	return peer, local
}

// nameText is peer and local name for an event: of each the host and the port,
// which is empty where the name is not known, each followed by a zero.
func nameText(peer, local Name) string {
	port := func(n Name) string {
		if !n.Known {
			return ""
		}
		return strconv.Itoa(n.Port)
	}
	return peer.Host + "\x00" + port(peer) + "\x00" + local.Host + "\x00" + port(local) + "\x00"
}

// readName asks for an end of fd. The functions of x/sys cost a second system
// call, to learn of protocols that are none of ours.
func readName(trap uintptr, fd int) (n Name, isUnix bool) {
	var raw unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	if _, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size))); errno != 0 {
		return Name{}, false
	}
	return nameIn(&raw, size)
}

// nameIn is the name in a socket address that has size bytes.
func nameIn(raw *unix.RawSockaddrAny, size uint32) (n Name, isUnix bool) {
	switch raw.Addr.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(raw))
		return Name{netip.AddrFrom4(sa.Addr).String(), hostOrder(sa.Port), true}, false
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(raw))
		ip := netip.AddrFrom16(sa.Addr)
		if sa.Scope_id != 0 {
			ip = ip.WithZone(zoneName(int(sa.Scope_id)))
		}
		return Name{ip.String(), hostOrder(sa.Port), true}, false
	case unix.AF_UNIX:
		sa := (*unix.RawSockaddrUnix)(unsafe.Pointer(raw))
		return Name{Host: unixPath(sa, int(size)), Known: true}, true
	}
	return Name{}, false
}

func hostOrder(port uint16) int {
	return int(binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&port))[:]))
}

func zoneName(index int) string {
	if iface, err := net.InterfaceByIndex(index); err == nil {
		return iface.Name
	}
	return strconv.Itoa(index)
}

// unixPath is the path of a unix socket: "" for one without, "@name" for an
// abstract one.
func unixPath(sa *unix.RawSockaddrUnix, size int) string {
	n := size - int(unsafe.Offsetof(sa.Path))
	if n <= 0 {
		return ""
	}
	path := make([]byte, 0, n)
	for _, c := range sa.Path[:min(n, len(sa.Path))] {
		path = append(path, byte(c))
	}
	if path[0] == 0 {
		if len(path) == 1 {
			return ""
		}
		path[0] = '@'
		return string(path)
	}
	return string(bytes.TrimRight(path, "\x00"))
}

func checkPort(port int) error {
	if port < 0 || port > 65535 {
		return errPortRange
	}
	return nil
}

// openSocket returns a non-blocking socket for ip.
func openSocket(ip netip.Addr, kind int) (int, error) {
	fd, err := unix.Socket(familyOf(ip), kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, &Error{err}
	}
	return fd, nil
}

// own duplicates fd, which stays its owner's, and makes it non-blocking.
// Both share the open socket, so the owner sees that too: LuaSocket's are
// non-blocking in any case.
func own(fd int) (int, error) {
	if fd < 0 {
		return -1, errBadFD
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		if err = unix.SetNonblock(dup, true); err != nil {
			closeFD(dup)
		}
	}
	if errors.Is(err, unix.EBADF) {
		return -1, errBadFD
	}
	if err != nil {
		return -1, &Error{err}
	}
	return dup, nil
}
