package loop

import (
	"net"
	"os"
	"os/signal"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDialTypes(t *testing.T) {
	l := newTestLoop(t)
	server := must(l.Listen("127.0.0.1", 0, 0))(t).Handle
	_, bound := l.Names(server)
	for _, c := range []struct {
		host, kind string
		datagram   bool
	}{
		{"127.0.0.1", "", false}, {"127.0.0.1", "tcp", false}, {"127.0.0.1", "tcp4", false},
		{"localhost", "tcp4", false}, {"::ffff:127.0.0.1", "tcp6", false},
		{"127.0.0.1", "udp", true}, {"127.0.0.1", "udp4", true}, {"::1", "udp6", true},
	} {
		opened, err := l.Dial(c.host, bound.Port, c.kind, 0)
		if err != nil {
			t.Errorf("Dial(%q, %q): %v", c.host, c.kind, err)
			continue
		}
		if opened.Datagram != c.datagram {
			t.Errorf("Dial(%q, %q) = %+v", c.host, c.kind, opened)
		}
		l.await(Connected, opened.Handle)
	}
}

func TestDialFailsAtOnce(t *testing.T) {
	l := newTestLoop(t)
	for _, c := range []struct {
		host, kind string
		port       int
		want       string
	}{
		{"localhost", "", 1, "invalid-ip"},
		{"", "", 1, "invalid-ip"},
		{"127.0.0.1\x00", "", 1, "invalid-ip"},
		{"127.0.0.1", "foo", 1, "invalid socket type"},
		{"127.0.0.1", "TCP", 1, "invalid socket type"},
		{"127.0.0.1", "tcp6", 1, "host or service not provided, or not known"},
		{"127.0.0.1\x00", "tcp", 1, "host or service not provided, or not known"},
		{"", "tcp", 1, "host or service not provided, or not known"},
		{"fe80::1%no-such-zone", "", 1, "host or service not provided, or not known"},
		{"127.0.0.1", "", -1, "port out of range (0 to 65535)"},
		{"127.0.0.1", "", 65536, "port out of range (0 to 65535)"},
		{"255.255.255.255", "", 1, "Network is unreachable"},
	} {
		opened, err := l.Dial(c.host, c.port, c.kind, 0)
		if err == nil || err.Error() != c.want || opened.Handle != 0 {
			t.Errorf("Dial(%q, %d, %q) = %v, %v; want %q", c.host, c.port, c.kind, opened, err, c.want)
		}
	}
	if l.Len() != 0 {
		t.Errorf("%d handles, want 0", l.Len())
	}
	l.quiet()
}

func TestAdoptFails(t *testing.T) {
	l := newTestLoop(t)
	file := must(os.Open("/proc/self/exe"))(t)
	t.Cleanup(func() { _ = file.Close() })
	closed := must(unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 500))(t)
	closeFD(closed)
	for fd, want := range map[int]string{-1: "invalid fd", closed: "invalid fd", int(file.Fd()): "Socket operation on non-socket"} {
		if _, err := l.Adopt(fd, 0); err == nil || err.Error() != want {
			t.Errorf("Adopt(%d): %v; want %q", fd, err, want)
		}
	}
	if l.Len() != 0 {
		t.Errorf("%d handles, want 0", l.Len())
	}
}

func TestAdoptOfAConnectedSocket(t *testing.T) {
	l := newTestLoop(t)
	server := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = server.Close() })
	client := must(net.Dial("tcp", server.Addr().String()))(t).(*net.TCPConn)
	file := must(client.File())(t)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	h := must(l.Adopt(int(file.Fd()), 0))(t).Handle
	if err := file.Close(); err != nil { // the owner goes first
		t.Fatal(err)
	}
	l.await(Connected, h)
	peer := must(server.Accept())(t)
	t.Cleanup(func() { _ = peer.Close() })
	say(t, peer, "hello")
	l.wantData(h, "hello")
}

// TestWriteToAClosedSocketRaisesNoSignal: SIGPIPE would end the host.
func TestWriteToAClosedSocketRaisesNoSignal(t *testing.T) {
	l := newTestLoop(t)
	raised := make(chan os.Signal, 1)
	signal.Notify(raised, unix.SIGPIPE)
	defer signal.Stop(raised)
	h, _, peer := l.pair(unix.SOCK_STREAM, 0)
	l.cmd(h, cmdPause)
	l.step(0)
	_, err := unix.Write(peer, []byte("unread, so that the end behind it is not told"))
	if err = cmpError(err, unix.Shutdown(peer, unix.SHUT_RDWR)); err != nil {
		t.Fatal(err)
	}
	l.quiet()
	l.put(h, "nobody reads this")
	l.awaitClosed(h, "closed", false)
	l.quiet()
	if len(raised) > 0 {
		t.Error("SIGPIPE was raised")
	}
}
