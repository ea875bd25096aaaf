package loop

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// leaveDescriptors lets the process open n more descriptors, and returns what
// takes the limit back before the end of the test.
func leaveDescriptors(t *testing.T, n int) (restore func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore = func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	opened := make([]int, n+1)
	for i := range opened {
		opened[i] = must(unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0))(t)
	}
	few := unix.Rlimit{Cur: uint64(opened[n]), Max: limit.Max}
	for _, fd := range opened {
		closeFD(fd)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	return restore
}

// knock makes n connections that their peers have closed. They wait to be
// accepted until the next step.
func (l *testLoop) knock(address string, n int) {
	l.t.Helper()
	l.holdThread()
	for range n {
		peer := must(net.Dial("tcp", address))(l.t)
		if err := peer.Close(); err != nil {
			l.t.Fatal(err)
		}
	}
}

func TestAcceptingGoesOnWhenADescriptorOfOursIsClosed(t *testing.T) {
	l := newTestLoop(t)
	held, _ := l.accept(0)
	server, address := l.listen(0)
	l.knock(address, 1)
	leaveDescriptors(t, 0)
	ev := l.await(AcceptFailed, server)
	if got := string(ev.Bytes); got != "Too many open files" {
		t.Errorf("failed for %q", got)
	}
	l.quiet() // it does not spin
	l.Release(held)
	l.await(Accepted, 0) // at once: the clock was not advanced
}

func TestAcceptingGoesOnWhenTheHostHasClosedDescriptors(t *testing.T) {
	l := newTestLoop(t)
	server, address := l.listen(0)
	l.knock(address, 1)
	restore := leaveDescriptors(t, 0)
	l.await(AcceptFailed, server)
	l.quiet()
	l.advance(DefaultSettings().AcceptRetryInterval + 1)
	l.quiet() // tried again in vain: that is no news
	if n := l.Stats().AcceptErrors; n != 2 {
		t.Errorf("%d errors counted, want 2", n)
	}
	restore()
	l.quiet()
	l.advance(DefaultSettings().AcceptRetryInterval + 1)
	l.await(Accepted, 0)
}

// TestBurstOfMoreThanThereAreDescriptors: those that were accepted are gone in
// a moment, so nothing may wait for accept_retry_interval.
func TestBurstOfMoreThanThereAreDescriptors(t *testing.T) {
	for _, spare := range []int{1, 5, acceptsPerStep + 1} {
		l := newTestLoop(t)
		server, address := l.listen(0)
		const burst = 120
		l.knock(address, burst)
		restore := leaveDescriptors(t, spare)
		for range burst {
			l.awaitClosed(l.await(Accepted, 0).Handle, "closed", true)
		}
		told := 0
		for _, ev := range l.events {
			if ev.Kind == AcceptFailed && ev.Handle == server {
				told++
			}
		}
		if told > 1 {
			t.Errorf("%d spare descriptors: told %d times of one shortage", spare, told)
		}
		restore()
	}
}

func TestEachShortageIsToldOnce(t *testing.T) {
	l := newTestLoop(t)
	held, _ := l.accept(0)
	server, address := l.listen(0)
	l.knock(address, 1)
	restore := leaveDescriptors(t, 0)
	l.await(AcceptFailed, server)
	restore()
	l.Release(held)
	l.awaitClosed(l.await(Accepted, 0).Handle, "closed", true)

	held, _ = l.accept(0)
	l.knock(address, 1)
	restore = leaveDescriptors(t, 0)
	l.quiet() // so soon after the first one it is the same
	restore()
	l.Release(held)
	l.awaitClosed(l.await(Accepted, 0).Handle, "closed", true)

	l.advance(DefaultSettings().AcceptRetryInterval + 1)
	l.knock(address, 1)
	leaveDescriptors(t, 0)
	l.await(AcceptFailed, server)
}

func TestAPauseIsNotEndedByAFreeDescriptor(t *testing.T) {
	l := newTestLoop(t)
	held, _ := l.accept(0)
	server, address := l.listen(0)
	l.knock(address, 1)
	leaveDescriptors(t, 0)
	l.await(AcceptFailed, server)
	l.num(server, cmdPauseFor, 1e300)
	l.step(0)
	l.Release(held)
	l.quiet()
	l.num(server, cmdPauseFor, -1)
	l.await(Accepted, 0)
}

func TestReleaseOfAListenerThatHasNoDescriptors(t *testing.T) {
	l := newTestLoop(t)
	server, address := l.listen(0)
	other, otherAddress := l.listen(0)
	l.knock(address, 1)
	l.knock(otherAddress, 1)
	leaveDescriptors(t, 0)
	l.await(AcceptFailed, server)
	l.await(AcceptFailed, other)
	l.Release(server) // its own descriptor is the one that the other needs
	l.await(Accepted, 0)
}

// TestConnectionThatCannotBePolled: epoll_ctl fails, as with ENOSPC at
// fs.epoll.max_user_watches. The connection ends with the reason, the listener
// goes on.
func TestConnectionThatCannotBePolled(t *testing.T) {
	l := newTestLoop(t)
	server, address := l.listen(0)
	l.knock(address, 1)
	ev := l.await(Accepted, 0) // its cmdStart is in the next log
	l.holdThread()
	epoll := l.poller.fd
	l.poller.fd = l.wake.fd // no epoll instance: EINVAL
	l.Flush(l.log)
	l.log = nil
	l.poller.fd = epoll
	l.awaitClosed(ev.Handle, "Invalid argument", false)
	l.knock(address, 1)
	if ev := l.await(Accepted, 0); ev.Listener != server {
		t.Errorf("accepted by %#x, want %#x", uint64(ev.Listener), uint64(server))
	}
}

// TestWithoutDescriptors: whatever needs one says so. Go's resolver may not
// tell why it knows no name: it depends on
// what it has read of /etc/hosts lately.
func TestWithoutDescriptors(t *testing.T) {
	l := newTestLoop(t)
	server, address := l.listen(0)
	fds := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))(t)
	t.Cleanup(func() { closeFD(fds[0]); closeFD(fds[1]) })
	before := l.Len()
	restore := leaveDescriptors(t, 0)
	const tooMany, unresolved = "Too many open files", "host or service not provided, or not known"
	for _, c := range []struct {
		name, want string
		open       func() (Opened, error)
	}{
		{"Listen", tooMany, func() (Opened, error) { return l.Listen("127.0.0.1", 0, 0) }},
		{"Listen on a name", unresolved, func() (Opened, error) { return l.Listen("localhost", 0, 0) }},
		{"Serve", tooMany, func() (Opened, error) { return l.Serve(l.FD(server), 0) }},
		{"Dial", tooMany, func() (Opened, error) { return l.Loop.Dial("127.0.0.1", 1, "", 0) }},
		{"Dial to a name", unresolved, func() (Opened, error) { return l.Loop.Dial("localhost", 1, "tcp", 0) }},
		{"Dial of UDP", tooMany, func() (Opened, error) { return l.Loop.Dial("127.0.0.1", 1, "udp", 0) }},
		{"Adopt", tooMany, func() (Opened, error) { return l.Loop.Adopt(fds[0], 0) }},
	} {
		opened, err := c.open()
		if err == nil || err.Error() != c.want && err.Error() != tooMany || opened != (Opened{}) {
			t.Errorf("%s = %+v, %v; want %q", c.name, opened, err, c.want)
		}
	}
	watch, err := l.Watch(fds[0], 1) // needs none
	if err != nil {
		t.Errorf("Watch: %v", err)
	}
	l.Release(watch.Handle)
	if l.Len() != before {
		t.Errorf("%d handles, want %d", l.Len(), before)
	}
	restore()
	peer := must(net.Dial("tcp", address))(t)
	t.Cleanup(func() { _ = peer.Close() })
	l.await(Accepted, 0)
}

func TestNewWithFewDescriptors(t *testing.T) {
	for n := 0; ; n++ {
		restore := leaveDescriptors(t, n)
		before := descriptorsBelow(256)
		l, err := New()
		restore()
		if err == nil {
			l.Close()
			if n < 2 {
				t.Errorf("a Loop with %d descriptors: it has an epoll instance and an eventfd", n)
			}
			return
		}
		if !errors.Is(err, unix.EMFILE) {
			t.Errorf("New with %d spare descriptors: %v", n, err)
		}
		if after := descriptorsBelow(256); after != before {
			t.Errorf("New with %d spare descriptors leaves %d open", n, after-before)
		}
	}
}

// descriptorsBelow counts open descriptors without opening one.
func descriptorsBelow(limit int) (n int) {
	for fd := range limit {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}
