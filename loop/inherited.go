package loop

import (
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// firstInherited is the first descriptor that systemd hands over
// (sd_listen_fds(3)); $LISTEN_FDS says how many there are.
const firstInherited = 3

// mostInherited bounds what a senseless $LISTEN_FDS can cost.
const mostInherited = 4096

// inherited returns the listening socket that systemd opened for ip and
// port. It stays open whatever becomes of its listeners: we may not be
// privileged to open it again.
//
// $LISTEN_PID does not count, as in the reference: a daemon is not the process
// that systemd started. That the descriptor listens there says enough.
func (l *Loop) inherited(ip netip.Addr, port int) (fd int, ok bool) {
	if l.systemd == nil {
		n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
		if err != nil {
			n = 0
		}
		l.systemd = listening(firstInherited, n)
	}
	fd, ok = l.systemd[Name{ip.String(), port, true}]
	return fd, ok
}

// listening returns those of n descriptors that listen on TCP ports, by
// where they do.
func listening(first, n int) map[Name]int {
	found := map[Name]int{}
	for fd := first; fd < first+min(n, mostInherited); fd++ {
		listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err != nil || listens == 0 {
			continue
		}
		if name, isUnix := readName(unix.SYS_GETSOCKNAME, fd); name.Known && !isUnix {
			found[name] = fd
		}
	}
	return found
}
