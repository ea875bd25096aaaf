package loop

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// wantObjects checks how many of a kind there are, and have been.
func (l *testLoop) wantObjects(name string, k Kind, open, total uint64) {
	l.t.Helper()
	s := l.Stats()
	if s.Opened[k]-s.Closed[k] != open || s.Opened[k] != total {
		l.t.Errorf("%s: %d open of %d, want %d of %d", name, s.Opened[k]-s.Closed[k], s.Opened[k], open, total)
	}
}

func TestStatsCountObjectsByKind(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends() // and releases the listener
	l.wantObjects("listener", KindListener, 0, 1)
	l.wantObjects("accepted", KindAccepted, 1, 1)
	l.wantObjects("outgoing", KindOutgoing, 1, 1)
	l.cmd(server, cmdFinish)
	l.awaitClosed(server, "", false)
	l.wantObjects("accepted, closed but not released", KindAccepted, 0, 1)
	l.Release(server)
	l.Release(client)
	l.wantObjects("accepted, released", KindAccepted, 0, 1)
	l.wantObjects("outgoing, released", KindOutgoing, 0, 1)

	adopted, _, _ := l.pair(unix.SOCK_STREAM, 0)
	l.pair(unix.SOCK_DGRAM, 0)
	must(l.Dial("127.0.0.1", 9, "udp", 0))(t)
	l.wantObjects("adopted", KindAdopted, 1, 1)
	l.wantObjects("datagram", KindDatagram, 2, 2)
	l.cmd(adopted, cmdRelease)
	l.step(0)
	l.wantObjects("adopted, released", KindAdopted, 0, 1)

	r, _ := pipe(t)
	watch := must(l.Watch(r, 1))(t).Handle
	l.wantObjects("watch", KindWatch, 1, 1)
	l.Release(watch)
	l.wantObjects("watch, released", KindWatch, 0, 1)
}

func TestStatsOfFailedOpens(t *testing.T) {
	l := newTestLoop(t)
	_, address := l.listen(0)
	if _, err := l.Listen("127.0.0.1", must(net.ResolveTCPAddr("tcp", address))(t).Port, 0); err == nil {
		t.Error("bound twice")
	}
	if _, err := l.Dial("no such address", 1, "", 0); err == nil {
		t.Error("dialled no address")
	}
	if _, err := l.Adopt(-1, 0); err == nil {
		t.Error("adopted no socket")
	}
	for k, want := range [Kinds]uint64{KindListener: 1} {
		l.wantObjects(fmt.Sprint("kind ", k), Kind(k), want, want)
	}
}

func TestStatsCountBytesOnTheWire(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(int(ReadAny))
	say(t, peer, "12345")
	l.wantData(h, "12345")
	l.put(h, "1234567")
	l.await(Drained, h)
	if s := l.Stats(); s.Received != 5 || s.Sent != 7 {
		t.Errorf("%d received, %d sent; want 5, 7", s.Received, s.Sent)
	}
	udp, _, other := l.pair(unix.SOCK_DGRAM, 0)
	l.put(udp, "abc")
	l.step(0)
	if err := unix.Send(other, []byte("de"), 0); err != nil {
		t.Fatal(err)
	}
	l.wantData(udp, "de")
	if s := l.Stats(); s.Received != 7 || s.Sent != 10 {
		t.Errorf("%d received, %d sent; want 7, 10", s.Received, s.Sent)
	}
}

func TestStatsOfWhatWaits(t *testing.T) {
	l := newTestLoop(t)
	h, _ := l.accept(int(ReadAny)) // the peer does not read
	const n = 16 << 20
	l.put(h, strings.Repeat("x", n))
	l.step(0)
	if s := l.Stats(); s.Unsent == 0 || s.Unsent+s.Sent != n {
		t.Errorf("%d sent and %d unsent are not the %d written", s.Sent, s.Unsent, n)
	}
	l.Release(h)
	if s := l.Stats(); s.Unsent != 0 {
		t.Errorf("%d bytes unsent after the release", s.Unsent)
	}

	h, peer := l.accept(int(ReadAny))
	l.refuse = func(Event) bool {
		l.cmd(h, cmdPause)
		return true
	}
	say(t, peer, "12345")
	l.awaitStats(func(s Stats) bool { return s.Undelivered != 0 })
	if s := l.Stats(); s.Undelivered != 5 {
		t.Errorf("%d bytes undelivered, want 5", s.Undelivered)
	}
	l.refuse = nil
	l.cmd(h, cmdResume)
	l.wantData(h, "12345")
	l.step(0)
	if s := l.Stats(); s.Undelivered != 0 {
		t.Errorf("%d bytes undelivered after their delivery", s.Undelivered)
	}
}

func TestStatsCountEvents(t *testing.T) {
	l := newTestLoop(t)
	l.accept(0)
	l.step(0)
	if s := l.Stats(); s.Events != 1 { // the connection was accepted
		t.Errorf("%d events, want 1", s.Events)
	}
}

func TestStatsCountAcceptErrors(t *testing.T) {
	l := newTestLoop(t)
	server, _ := l.listen(0)
	o, _ := l.objects.get(server)
	o.(*listener).failed(unix.EMFILE)
	if s := l.Stats(); s.AcceptErrors != 1 {
		t.Errorf("%d accept errors, want 1", s.AcceptErrors)
	}
}

func TestStatsCountHandshakes(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	context := l.context("server")
	l.startTLS(server, context, 0, "")
	l.await(TLSStarted, server)
	if s := l.Stats(); s.Running != 1 || s.ServerHandshakes != 0 {
		t.Errorf("%d handshakes running, %d done; want 1, 0", s.Running, s.ServerHandshakes)
	}
	l.startTLS(client, l.context("client"), 0, "")
	l.await(Secured, client)
	l.await(Secured, server)
	s := l.Stats()
	if s.ClientHandshakes != 1 || s.ServerHandshakes != 1 || s.Running != 0 || len(s.Failures) != 0 {
		t.Errorf("%d as client, %d as server, %d running, failures %v; want 1, 1, 0, none",
			s.ClientHandshakes, s.ServerHandshakes, s.Running, s.Failures)
	}
	if s.Received < 500 { // the certificate alone is larger than that
		t.Errorf("a handshake received %d bytes", s.Received)
	}

	cut, peer := l.accept(0)
	l.startTLS(cut, context, 0, "")
	l.await(TLSStarted, cut)
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	l.awaitClosed(cut, "unexpected eof while reading", false)
	refused, _ := l.accept(0)
	l.startTLS(refused, 0, 0, "no such context")
	l.awaitClosed(refused, "no such context", false)
	want := map[string]uint64{"unexpected eof while reading": 1, "no usable context": 1}
	if s := l.Stats(); fmt.Sprint(s.Failures) != fmt.Sprint(want) || s.Running != 0 {
		t.Errorf("failures %v and %d running, want %v and none", s.Failures, s.Running, want)
	}
}

// TestConnectionFailureIsNoHandshakeFailure: the handshake had not begun.
func TestConnectionFailureIsNoHandshakeFailure(t *testing.T) {
	l := newTestLoop(t)
	server, address := l.listen(0)
	l.Release(server)
	port := must(net.ResolveTCPAddr("tcp", address))(t).Port
	client := must(l.Dial("127.0.0.1", port, "", 0))(t).Handle
	l.startTLS(client, l.context("client"), startDirect, "")
	l.awaitClosed(client, "connection refused", false)
	if s := l.Stats(); len(s.Failures) != 0 {
		t.Errorf("failures %v, want none", s.Failures)
	}
}

func TestHandshakeFailuresAreBounded(t *testing.T) {
	var s Stats
	for i := range 10 * maxReasons {
		s.handshakeFailed(fmt.Sprint("reason ", i))
	}
	s.handshakeFailed("reason 0")
	if n := len(s.Failures); n != maxReasons+1 {
		t.Errorf("%d reasons, want %d and what is beyond", n, maxReasons)
	}
	if s.Failures["reason 0"] != 2 || s.Failures["other"] != 9*maxReasons {
		t.Errorf("%d and %d, want 2 and %d", s.Failures["reason 0"], s.Failures["other"], 9*maxReasons)
	}
}

// TestStatsAreACopy: who reads them later sees what was.
func TestStatsAreACopy(t *testing.T) {
	l := newTestLoop(t)
	l.stats.handshakeFailed("x")
	s := l.Stats()
	l.stats.handshakeFailed("x")
	if s.Failures["x"] != 1 {
		t.Errorf("%d failures in the copy, want 1", s.Failures["x"])
	}
}

// TestGoodbyesAreCounted: what a closing connection sends last.
func TestGoodbyesAreCounted(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	l.startTLS(client, l.context("client"), 0, "")
	l.startTLS(server, l.context("server"), 0, "")
	l.await(Secured, client)
	l.await(Secured, server)
	l.quiet() // session tickets come behind the handshake
	l.awaitStats(func(s Stats) bool { return s.Sent == s.Received })
	before := l.Stats()
	l.Release(server)
	l.await(Closed, client) // it has said goodbye too, which nobody reads
	after := l.Stats()
	sent, received := after.Sent-before.Sent, after.Received-before.Received
	if received == 0 || sent != 2*received {
		t.Errorf("%d bytes sent, %d received; want one goodbye each", sent, received)
	}
}

func TestStatsCountGoroutines(t *testing.T) {
	l := newTestLoop(t)
	before := l.Stats()
	if before.Threads == 0 {
		t.Error("no threads")
	}
	stay, ended := make(chan struct{}), make(chan struct{})
	go func() {
		<-stay
		close(ended)
	}()
	if s := l.Stats(); s.Goroutines != before.Goroutines+1 {
		t.Errorf("%d goroutines, want one more than %d", s.Goroutines, before.Goroutines)
	}
	close(stay)
	<-ended
}
