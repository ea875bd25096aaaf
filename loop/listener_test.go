package loop

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestListenAddresses(t *testing.T) {
	l := newTestLoop(t)
	for _, c := range []struct{ host, name string }{
		{"127.0.0.1", "127.0.0.1"}, {"*", "0.0.0.0"}, {"0.0.0.0", "0.0.0.0"}, {"::", "::"}, {"::1", "::1"}, {"localhost", ""},
	} {
		opened, err := l.Listen(c.host, 0, 0)
		if err != nil {
			t.Errorf("Listen(%q): %v", c.host, err)
			continue
		}
		peer, local := l.Names(opened.Handle)
		if peer.Known || !local.Known || local.Port == 0 || c.name != "" && local.Host != c.name {
			t.Errorf("Listen(%q) has names %+v, %+v", c.host, peer, local)
		}
		if opened.FD < 0 || opened.Handle == 0 || l.FD(opened.Handle) != opened.FD {
			t.Errorf("Listen(%q) = %+v", c.host, opened)
		}
	}
}

func TestListenFails(t *testing.T) {
	l := newTestLoop(t)
	server, _ := l.listen(0)
	_, local := l.Names(server)
	before := l.Len()
	for _, c := range []struct {
		host string
		port int
		want string
	}{
		{"127.0.0.1", local.Port, "address already in use"},
		{"192.0.2.77", 0, "Cannot assign requested address"},
		{"", 0, "host or service not provided, or not known"},
		{"127.0.0.1\x00", 0, "host or service not provided, or not known"},
		{"::1%no-such-zone", 0, "host or service not provided, or not known"},
		{"127.0.0.1", -1, "port out of range (0 to 65535)"},
		{"127.0.0.1", 65536, "port out of range (0 to 65535)"},
	} {
		opened, err := l.Listen(c.host, c.port, 0)
		if err == nil || err.Error() != c.want || opened.Handle != 0 {
			t.Errorf("Listen(%q, %d) = %v, %v; want %q", c.host, c.port, opened, err, c.want)
		}
	}
	if l.Len() != before {
		t.Errorf("%d handles, want %d", l.Len(), before)
	}
}

// TestBothFamiliesOnOnePort: "*" is IPv4 only and "::" IPv6 only.
func TestBothFamiliesOnOnePort(t *testing.T) {
	l := newTestLoop(t)
	four := must(l.Listen("*", 0, 0))(t).Handle
	_, local := l.Names(four)
	six := must(l.Listen("::", local.Port, 0))(t).Handle
	for address, want := range map[string]Handle{"127.0.0.1": four, "::1": six} {
		peer := must(net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(address), Port: local.Port}))(t)
		ev := l.await(Accepted, 0)
		if ev.Listener != want {
			t.Errorf("a connection to %s came to %#x, want %#x", address, uint64(ev.Listener), uint64(want))
		}
		names, _ := l.Names(ev.Handle)
		if names.Host != address || names.Port != peer.LocalAddr().(*net.TCPAddr).Port {
			t.Errorf("the peer is %+v, want %s", names, peer.LocalAddr())
		}
		if err := peer.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPortIsFreeAfterRelease(t *testing.T) {
	l := newTestLoop(t)
	server, address := l.listen(0)
	_, local := l.Names(server)
	peer := must(net.Dial("tcp", address))(t)
	l.cmd(l.await(Accepted, 0).Handle, cmdRelease) // its port is in TIME_WAIT now
	l.step(0)
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	l.Release(server)
	must(l.Listen("127.0.0.1", local.Port, 0))(t)
}

func TestManyAreAccepted(t *testing.T) {
	l := newTestLoop(t)
	server, address := l.listen(0)
	const clients = acceptsPerStep*2 + 3
	for range clients {
		peer := must(net.Dial("tcp", address))(t)
		t.Cleanup(func() { _ = peer.Close() })
		l.step(0)
	}
	seen := map[Handle]bool{}
	for range clients {
		ev := l.await(Accepted, 0)
		if ev.Listener != server || seen[ev.Handle] {
			t.Fatalf("accepted %#x on %#x", uint64(ev.Handle), uint64(ev.Listener))
		}
		seen[ev.Handle] = true
	}
	l.quiet()
}

func TestReleasedListenerAcceptsNothing(t *testing.T) {
	l := newTestLoop(t)
	server, address := l.listen(0)
	l.cmd(server, cmdRelease)
	l.step(0)
	if c, err := net.Dial("tcp", address); err == nil {
		t.Error("a connection was accepted")
		_ = c.Close()
	}
	l.quiet()
}

func TestPausedListener(t *testing.T) {
	l := newTestLoop(t)
	server, address := l.listen(0)
	l.num(server, cmdPauseFor, 50)
	l.step(0)
	peer := must(net.Dial("tcp", address))(t)
	t.Cleanup(func() { _ = peer.Close() })
	l.quiet()
	l.num(server, cmdPauseFor, 100) // longer: the alarm rings too early
	l.step(0)
	l.advance(60)
	l.quiet()
	l.advance(41)
	l.await(Accepted, 0)

	l.num(server, cmdPauseFor, 1e300)
	l.step(0)
	l.advance(1e6)
	peer2 := must(net.Dial("tcp", address))(t)
	t.Cleanup(func() { _ = peer2.Close() })
	l.step(0)
	l.none(Accepted, 0)
	l.events = nil // the first connection has timed out
	l.num(server, cmdPauseFor, -1)
	l.await(Accepted, 0)
}

func TestServeAUnixSocket(t *testing.T) {
	l := newTestLoop(t)
	path := filepath.Join(t.TempDir(), "socket")
	fd := must(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))(t)
	err := unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	if err == nil {
		err = unix.Listen(fd, 5)
	}
	if err != nil {
		t.Fatal(err)
	}
	server := must(l.Serve(fd, int(ReadLines)))(t)
	if server.FD == fd {
		t.Error("the loop uses the descriptor of the owner")
	}
	if _, local := l.Names(server.Handle); local != (Name{path, 0, true}) {
		t.Errorf("the listener is %+v, want %s", local, path)
	}
	peer := must(net.Dial("unix", path))(t)
	t.Cleanup(func() { _ = peer.Close() })
	ev := l.await(Accepted, 0)
	remote, local := l.Names(ev.Handle)
	if remote.Known || local != (Name{path, 0, true}) {
		t.Errorf("the ends are %+v and %+v; want the path, and a peer that is not known", remote, local)
	}
	say(t, peer, "by line\n")
	l.wantData(ev.Handle, "by line")
	// The loop lets go; the owner's socket still listens.
	l.Release(server.Handle)
	late := must(net.Dial("unix", path))(t)
	t.Cleanup(func() { _ = late.Close() })
	l.quiet()
	accepted, _, err := unix.Accept(fd)
	if err != nil {
		t.Fatalf("the owner's socket: %v", err)
	}
	closeFD(accepted)
	closeFD(fd)
}

func TestServeFails(t *testing.T) {
	l := newTestLoop(t)
	if _, err := l.Serve(-1, 0); err == nil || err.Error() != "invalid fd" {
		t.Errorf("Serve(-1): %v", err)
	}
	if l.Len() != 0 {
		t.Errorf("%d handles, want 0", l.Len())
	}
}

func TestServeASocketThatDoesNotListen(t *testing.T) {
	l := newTestLoop(t)
	fd := must(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))(t)
	t.Cleanup(func() { closeFD(fd) })
	if _, err := l.Serve(fd, 0); err == nil || err.Error() != "not a listening socket" {
		t.Errorf("Serve: %v", err)
	}
}

func TestAcceptedConnectionHasItsDeadlineAtOnce(t *testing.T) {
	settings := DefaultSettings()
	settings.ReadTimeout = 0.01
	l := newTestLoop(t)
	l.Configure(settings)
	h, _ := l.accept(0)
	start := time.Now()
	l.await(ReadTimeout, h)
	if time.Since(start) > patience/2 {
		t.Error("the read timeout came late")
	}
}
