package loop

import (
	"testing"

	"golang.org/x/sys/unix"
)

// pipe returns the ends of a pipe that the test closes at the end.
func pipe(t testing.TB) (r, w int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFD(fds[0]); closeFD(fds[1]) })
	return fds[0], fds[1]
}

func poke(t *testing.T, w int) {
	t.Helper()
	if _, err := unix.Write(w, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestWatchIsLevelTriggered(t *testing.T) {
	l := newTestLoop(t)
	r, w := pipe(t)
	opened := must(l.Watch(r, 1))(t)
	if opened.FD != r {
		t.Errorf("watches %d, want %d itself", opened.FD, r)
	}
	l.quiet()
	poke(t, w)
	for range 3 {
		if ev := l.await(Ready, opened.Handle); ev.Value != 1 {
			t.Errorf("ready for %d, want 1", ev.Value)
		}
	}
	if _, err := unix.Read(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	l.step(0)
	l.events = nil
	l.quiet()
	poke(t, w)
	l.Release(opened.Handle)
	l.quiet()
	if _, err := unix.Read(r, make([]byte, 1)); err != nil {
		t.Errorf("the descriptor after the release: %v", err)
	}
}

func TestWatchFlags(t *testing.T) {
	l := newTestLoop(t)
	fds := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0))(t)
	t.Cleanup(func() { closeFD(fds[0]); closeFD(fds[1]) })
	poke(t, fds[1])
	h := must(l.Watch(fds[0], 0))(t).Handle
	l.quiet()
	for _, flags := range []int32{1, 2, 3, 1} {
		l.num(h, cmdWatchFlags, float64(flags))
		if ev := l.step(patience); len(ev) != 1 || ev[0].Kind != Ready || ev[0].Value != flags {
			t.Errorf("flags %d: events %v", flags, ev)
		}
		l.num(h, cmdWatchFlags, 0)
		l.step(0)
		l.events = nil
		l.quiet()
	}
	// The other end is gone: whatever was asked for is ready.
	if err := unix.Shutdown(fds[1], unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	l.quiet() // no flags: not even that
	l.num(h, cmdWatchFlags, 3)
	if ev := l.await(Ready, h); ev.Value != 3 {
		t.Errorf("ready for %d after a hang-up, want 3", ev.Value)
	}
}

func TestWatchOfWhatCannotBePolled(t *testing.T) {
	l := newTestLoop(t)
	r, _ := pipe(t)
	closed := must(unix.FcntlInt(uintptr(r), unix.F_DUPFD_CLOEXEC, 500))(t)
	closeFD(closed)
	file := must(unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0))(t)
	t.Cleanup(func() { closeFD(file) })
	for fd, want := range map[int]string{closed: "Bad file descriptor", -1: "invalid fd", file: "Operation not permitted"} {
		opened, err := l.Watch(fd, 1)
		if opened.Handle == 0 || err == nil || err.Error() != want {
			t.Errorf("Watch(%d) = %v, %v; want a handle and %q", fd, opened, err, want)
		}
		l.num(opened.Handle, cmdWatchFlags, 2)
		l.num(opened.Handle, cmdWatchFlags, 0)
	}
	l.quiet()
}

func TestWatchedDescriptorIsClosedByItsOwner(t *testing.T) {
	l := newTestLoop(t)
	r, _ := pipe(t)
	fd := must(unix.FcntlInt(uintptr(r), unix.F_DUPFD_CLOEXEC, 500))(t)
	// A pipe of its own, so that the close is the last.
	var own [2]int
	if err := unix.Pipe2(own[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFD(own[1]) })
	closeFD(fd)
	h := must(l.Watch(own[0], 1))(t).Handle
	poke(t, own[1])
	l.await(Ready, h)
	closeFD(own[0])
	l.quiet()
	l.num(h, cmdWatchFlags, 2)
	l.num(h, cmdWatchFlags, 0)
	l.quiet()
}

// TestWatchedNumberIsUsedAgain: after its owner closed a watched descriptor
// the number may come to a connection of the loop, with which the watch must
// not interfere.
func TestWatchedNumberIsUsedAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(l *testLoop, watch Handle)
	}{
		{"release", func(l *testLoop, watch Handle) { l.Release(watch) }},
		{"no flags", func(l *testLoop, watch Handle) { l.num(watch, cmdWatchFlags, 0) }},
		{"other flags", func(l *testLoop, watch Handle) { l.num(watch, cmdWatchFlags, 2) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newTestLoop(t)
			fds := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0))(t)
			t.Cleanup(func() { closeFD(fds[0]); closeFD(fds[1]) })
			var own [2]int
			if err := unix.Pipe2(own[:], unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closeFD(own[1]) })
			watch := must(l.Watch(own[0], 1))(t).Handle
			closeFD(own[0])
			h := must(l.Adopt(fds[0], 0))(t)
			if h.FD != own[0] {
				t.Skipf("the connection got descriptor %d, not %d", h.FD, own[0])
			}
			l.await(Connected, h.Handle)
			l.quiet() // the connection asks epoll for nothing more
			c.change(l, watch)
			l.quiet()
			poke(t, fds[1])
			l.wantData(h.Handle, "x")
		})
	}
}

// TestTwoWatchesOfOneDescriptor: epoll knows a descriptor once, and the
// latest watch of it counts.
func TestTwoWatchesOfOneDescriptor(t *testing.T) {
	l := newTestLoop(t)
	r, w := pipe(t)
	first := must(l.Watch(r, 1))(t).Handle
	second := must(l.Watch(r, 1))(t).Handle
	poke(t, w)
	l.await(Ready, second)
	l.none(Ready, first)
	l.Release(first)
	l.await(Ready, second)
}

// TestWatchFollowsTheNumber: the owner closes and opens again, then asks anew.
func TestWatchFollowsTheNumber(t *testing.T) {
	l := newTestLoop(t)
	r, w := pipe(t)
	fd := must(unix.FcntlInt(uintptr(r), unix.F_DUPFD_CLOEXEC, 500))(t)
	r2, w2 := pipe(t)
	h := must(l.Watch(fd, 1))(t).Handle
	l.num(h, cmdWatchFlags, 0)
	l.step(0)
	if err := unix.Dup3(r2, fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFD(fd) })
	l.num(h, cmdWatchFlags, 1)
	poke(t, w)
	l.quiet()
	poke(t, w2)
	l.await(Ready, h)
}
