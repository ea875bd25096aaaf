package loop

import (
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// handOver duplicates fd to a number that is as if systemd had chosen it,
// with free numbers behind.
func handOver(t *testing.T, fd int) int {
	t.Helper()
	const beyondOthers = 500
	theirs := must(unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, beyondOthers))(t)
	t.Cleanup(func() { closeFD(theirs) })
	return theirs
}

func TestListeningSocketsAreFoundByTheirAddress(t *testing.T) {
	l := newTestLoop(t)
	four := must(l.Listen("*", 0, 0))(t)
	six := must(l.Listen("::1", 0, 0))(t)
	udp := must(l.Dial("127.0.0.1", 9, "udp", 0))(t) // does not listen
	first := handOver(t, four.FD)
	handOver(t, udp.FD)
	third := handOver(t, six.FD)
	_, fours := l.Names(four.Handle)
	_, sixes := l.Names(six.Handle)
	got := listening(first, 10)
	want := map[Name]int{{"0.0.0.0", fours.Port, true}: first, {"::1", sixes.Port, true}: third}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("found %v, want %v", got, want)
	}
	for _, n := range []int{0, -1} {
		if got := listening(first, n); len(got) != 0 {
			t.Errorf("found %v among %d descriptors", got, n)
		}
	}
	if got := listening(first, 1<<30); len(got) != 2 {
		t.Errorf("found %v among too many", got)
	}
}

func TestInheritedSocketStaysOpen(t *testing.T) {
	l := newTestLoop(t)
	bound, address := l.listen(0)
	_, name := l.Names(bound)
	first := handOver(t, l.FD(bound))
	l.Release(bound)
	l.systemd = listening(first, 1)
	for range 2 { // closed, it can be opened again
		server, err := l.Listen("127.0.0.1", name.Port, 0)
		if err != nil {
			t.Fatalf("Listen: %v", err)
		}
		peer := must(net.Dial("tcp", address))(t)
		if ev := l.await(Accepted, 0); ev.Listener != server.Handle {
			t.Errorf("accepted by %#x, want %#x", uint64(ev.Listener), uint64(server.Handle))
		}
		if err := peer.Close(); err != nil {
			t.Error(err)
		}
		l.Release(server.Handle)
		if option(t, first, unix.SOL_SOCKET, unix.SO_ACCEPTCONN) == 0 {
			t.Error("the socket does not listen any more")
		}
	}
	if _, err := l.Listen("127.0.0.2", name.Port, 0); err != nil {
		t.Errorf("another address with the same port: %v", err)
	}
}

func TestNothingIsInheritedWithoutBeingTold(t *testing.T) {
	for _, value := range []string{"", "none", "-3", "99999999999999999999"} {
		t.Setenv("LISTEN_FDS", value)
		l := newTestLoop(t)
		l.listen(0)
		if len(l.systemd) != 0 {
			t.Errorf("LISTEN_FDS=%q: found %v", value, l.systemd)
		}
	}
}
