package loop

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"net.server_go/tls"
)

// occupyWorkers has all workers compute until release is called.
func occupyWorkers(t *testing.T) (release func()) {
	c, _, err := tls.NewContext(tls.Config{Mode: "server", Protocol: "any"})
	if err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	for range 64 * runtime.NumCPU() { // so many that each worker is to tell of a batch before it has made all
		s := tls.NewSession(c, tls.Options{})
		s.FeedEOF()
		s.Start(func() { <-hold })
	}
	return func() { close(hold) }
}

// TestNewHandshakesWaitForWorkers, but not for ever; what is open does not.
func TestNewHandshakesWaitForWorkers(t *testing.T) {
	l := newTestLoop(t)
	h, _, peer := l.pair(unix.SOCK_STREAM, int(ReadAny))
	server, _ := l.listen(0)
	_, local := l.Names(server)
	release := occupyWorkers(t)
	l.Post(func() {}) // lest it stay in a wait that began before
	l.step(0)
	l.holdThread()
	if !l.poller.shut {
		t.Error("it is told of new handshakes though all workers compute")
	}
	must(unix.Write(peer, []byte("at once")))(t)
	l.wantData(h, "at once")
	client := must(l.Dial("127.0.0.1", local.Port, "", 0))(t).Handle
	accepted := l.await(Accepted, 0).Handle
	release()
	for start := time.Now(); tls.Computing() > 0; time.Sleep(time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("they compute for ever")
		}
	}
	l.Post(func() {})
	l.step(0)
	l.holdThread()
	if l.poller.shut {
		t.Error("it is not told of new handshakes though the workers are idle")
	}
	l.Release(client)
	l.Release(accepted)
}

// TestWhatIsOpenComesFirst: before new connections, in the same turn.
func TestWhatIsOpenComesFirst(t *testing.T) {
	l := newTestLoop(t)
	server, _ := l.listen(0)
	_, local := l.Names(server)
	h, _, peer := l.pair(unix.SOCK_STREAM, int(ReadAny))
	l.step(0)
	l.idle()
	l.holdThread()
	l.events = nil
	fd := must(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0))(t)
	t.Cleanup(func() { closeFD(fd) })
	must(0, unix.Connect(fd, &unix.SockaddrInet4{Port: local.Port, Addr: [4]byte{127, 0, 0, 1}}))(t)
	must(unix.Write(peer, []byte("x")))(t)
	l.step(patience)
	data := slices.IndexFunc(l.events, func(ev Event) bool { return ev.Kind == Data && ev.Handle == h })
	accepted := slices.IndexFunc(l.events, func(ev Event) bool { return ev.Kind == Accepted })
	if data < 0 || accepted < data {
		t.Errorf("data is event %d, the new connection %d", data, accepted)
	}
}

// TestWaitsForNothingWhileSomethingIsUnsettled: only a batch that changes nothing
// when it is settled lets the Lua thread wait first.
func TestWaitsForNothingWhileSomethingIsUnsettled(t *testing.T) {
	l := newTestLoop(t)
	h, _, peer := l.pair(unix.SOCK_STREAM, int(ReadAny))
	l.holdThread()
	for _, c := range []struct {
		name  string
		batch []Event
		want  bool
	}{
		{"nothing", nil, false},
		{"sent", []Event{{Kind: Drained, Handle: h}}, false},
		{"sent, and gone", []Event{{Kind: Drained, Handle: h + 1<<32}}, false},
		{"received", []Event{{Kind: Drained, Handle: h}, {Kind: Data, Handle: h}}, true},
		{"a note", []Event{{Kind: Note}}, true},
	} {
		if l.needsSettling(c.batch) != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
	l.cmd(h, cmdPause)
	l.step(0)
	l.holdThread()
	if !l.needsSettling([]Event{{Kind: Drained, Handle: h}}) {
		t.Error("a paused connection is not read ahead for its end")
	}
	must(unix.Write(peer, []byte("x")))(t)
	l.quiet()
}

// TestALoopThatMayNotReadDoesNotPoll: epoll would tell of what is to be left alone.
func TestALoopThatMayNotReadDoesNotPoll(t *testing.T) {
	l := newTestLoop(t)
	l.holdThread()
	l.starved = true
	if w := l.nextWait(l.clock()); w.FD >= 0 {
		t.Errorf("it waits for descriptor %d", w.FD)
	}
	l.starved = false
	if w := l.nextWait(l.clock()); w.FD != l.poller.fd {
		t.Errorf("then it waits for descriptor %d", w.FD)
	}
}

// TestTheLuaThreadEndsAWaitThatIsTooLong: what it asks at once may bring an alarm
// that is due before the end of the wait that it was told of.
func TestTheLuaThreadEndsAWaitThatIsTooLong(t *testing.T) {
	l := newTestLoop(t)
	if *ioThreadFlag != "never" {
		t.Skip("the Lua thread does not run the loop")
	}
	_, _, w, err := l.Step(Done{})
	if err != nil || w.Time >= 0 {
		t.Fatalf("it waits for %d ns at most (%v), want for ever", w.Time, err)
	}
	fds := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))(t)
	t.Cleanup(func() { closeFD(fds[0]); closeFD(fds[1]) })
	must(l.Loop.Adopt(fds[0], 0))(t) // has a deadline
	ready := make([]unix.EpollEvent, 1)
	if n := must(epollWait(w.FD, ready, 0))(t); n != 1 || handleOf(&ready[0]) != 0 {
		t.Errorf("%d descriptors are ready", n)
	}
}
