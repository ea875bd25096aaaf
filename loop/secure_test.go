package loop

import (
	stdtls "crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"net.server_go/tls"
)

// context adds a TLS context to the loop: a server's has a certificate.
func (l *testLoop) context(mode string, alpn ...string) Handle {
	l.t.Helper()
	config := tls.Config{Mode: mode, Protocol: "any", ALPN: alpn}
	if mode == "server" {
		const keys = "../tls/testdata/keys/"
		config.Certificates = []tls.KeyPair{{Certificate: keys + "p256.crt", Key: keys + "p256.key"}}
	}
	c, _, err := tls.NewContext(config)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.AddContext(c)
}

func securePayload(context Handle, flags uint32, text string) []byte {
	b := binary.NativeEndian.AppendUint64(nil, uint64(context))
	b = binary.NativeEndian.AppendUint32(b, flags)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(text)))
	return append(b, text...)
}

func (l *testLoop) startTLS(h, context Handle, flags uint32, text string) {
	l.starting[h] = true
	l.log = append(l.log, record(h, cmdStartTLS, securePayload(context, flags, text))...)
}

// ends returns two connections of the loop with each other.
func (l *testLoop) ends() (client, server Handle) {
	l.t.Helper()
	listener, _ := l.listen(0)
	_, bound := l.Names(listener)
	client = must(l.Dial(bound.Host, bound.Port, "", 0))(l.t).Handle
	l.await(Connected, client)
	server = l.await(Accepted, 0).Handle
	l.Release(listener)
	return client, server
}

func TestStartTLSThenEcho(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	l.put(server, "in the clear")
	l.startTLS(server, l.context("server"), 0, "")
	l.put(server, "encrypted") // waits for the handshake
	l.wantData(client, "in the clear")
	l.startTLS(client, l.context("client"), 0, "example.org")
	for _, h := range []Handle{client, server} {
		l.await(TLSStarted, h)
		l.await(Secured, h)
		l.none(Connected, h) // that has been told
	}
	if got := l.Session(server).ServerName(); got != "example.org" {
		t.Errorf("the client asked for %q", got)
	}
	l.wantData(client, "encrypted")
	l.await(Drained, server)
	for _, text := range []string{"x", pattern(300_000), "y"} {
		l.put(server, text)
		l.wantData(client, text)
		l.await(Drained, server)
	}
	if got, want := l.Sent(server), uint64(len("in the clear")+len("encrypted")+300_002); got != want {
		t.Errorf("Sent = %d, want %d: what was written, not what became of it", got, want)
	}
	l.put(client, "last")
	l.cmd(client, cmdFinish)
	l.wantData(server, "last")
	l.awaitClosed(client, "", false)
	l.awaitClosed(server, "closed", true)
}

func TestDirectTLSIsConnectedAfterTheHandshake(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	l.startTLS(client, l.context("client"), startDirect, "")
	l.startTLS(server, l.context("server"), startDirect, "")
	for _, h := range []Handle{client, server} {
		l.await(Secured, h)
		l.await(Connected, h)
	}
	l.put(client, "hello")
	l.wantData(server, "hello")
}

func TestHelloIsAnswered(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	context := l.context("server", "b")
	l.startTLS(client, l.context("client", "a", "b"), 0, "example.org")
	l.startTLS(server, context, startAskHello, "")
	if got, want := string(l.await(Hello, server).Bytes), "example.org\x00a\x00b\x00"; got != want {
		t.Errorf("the hello is %q, want %q", got, want)
	}
	l.none(Secured, server)
	l.log = append(l.log, record(server, cmdAnswerHello, securePayload(context, answerChosen, "b"))...)
	l.await(Secured, server)
	l.await(Secured, client)
}

// TestRefusedHelloBelongsToTLS: a fast client's hello is there before the
// Lua side has called starttls.
func TestRefusedHelloBelongsToTLS(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	l.startTLS(client, l.context("client"), 0, "")
	refused := 0
	l.refuse = func(ev Event) bool {
		refused++
		return ev.Handle == server
	}
	l.cmd(server, cmdBlockReads)
	for range 10 {
		l.step(5 * time.Millisecond)
	}
	l.startTLS(server, l.context("server"), 0, "")
	l.await(Secured, server)
	l.await(Secured, client)
	l.none(Data, server)
}

// TestStartTLSAmidABatch flushes while the data that asked for TLS is still
// being delivered: it was delivered, so it is not part of the handshake.
func TestStartTLSAmidABatch(t *testing.T) {
	for _, mode := range []int{0, int(ReadLines)} {
		l := newTestLoop(t)
		client, server := l.ends()
		l.num(server, cmdReadMode, float64(mode))
		n := 0
		l.refuse = func(ev Event) bool { n++; return true }
		l.put(client, "starttls")
		for start := time.Now(); n == 0 && time.Since(start) < patience; {
			l.step(50 * time.Millisecond) // so that it comes from pending the next time
		}
		context := l.context("server")
		l.refuse = func(ev Event) bool {
			if string(ev.Bytes) == "starttls" {
				l.Flush(record(server, cmdStartTLS, securePayload(context, 0, "")))
			}
			return false
		}
		l.wantData(server, "starttls")
		l.startTLS(client, l.context("client"), 0, "")
		l.await(Secured, server)
		l.await(Secured, client)
	}
}

// TestRefusalAmidABatchIsFedOnce: the hello is in flight when TLS starts,
// and is given back.
func TestRefusalAmidABatchIsFedOnce(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	n := 0
	l.refuse = func(ev Event) bool { n++; return true }
	l.startTLS(client, l.context("client"), 0, "")
	for start := time.Now(); n == 0 && time.Since(start) < patience; {
		l.step(50 * time.Millisecond)
	}
	context := l.context("server")
	started := false
	l.refuse = func(ev Event) bool {
		if !started {
			l.Flush(record(server, cmdStartTLS, securePayload(context, 0, "")))
			started = true
		}
		return true
	}
	l.await(Secured, server)
	l.await(Secured, client)
}

func TestHandshakeTimeout(t *testing.T) {
	l := newTestLoop(t)
	starttls, _ := l.accept(0)
	direct, _ := l.accept(0)
	context := l.context("server")
	l.startTLS(starttls, context, 0, "")
	l.startTLS(direct, context, startDirect, "")
	l.await(TLSStarted, starttls)
	l.await(TLSStarted, direct)
	l.advance(DefaultSettings().HandshakeTimeout - 5)
	l.quiet()
	l.advance(6)
	l.awaitClosed(starttls, "write timeout", false)
	l.awaitClosed(direct, "connection timeout", false)
}

// TestHandshakeTimeoutIsForEachStep has a client send its hello bit by bit.
func TestHandshakeTimeoutIsForEachStep(t *testing.T) {
	l := newTestLoop(t)
	settings := DefaultSettings()
	settings.HandshakeDeadline = 3600
	l.Configure(settings)
	h, peer := l.accept(0)
	l.startTLS(h, l.context("server"), 0, "")
	l.await(TLSStarted, h)
	for i, b := range []byte("\x16\x03\x01\x01\x00\x01") {
		l.advance(DefaultSettings().HandshakeTimeout - 5)
		say(t, peer, string(b))
		l.quiet()
		l.awaitStats(func(s Stats) bool { return s.Received > uint64(i) })
	}
	l.advance(DefaultSettings().HandshakeTimeout + 1)
	l.awaitClosed(h, "write timeout", false)
}

// TestHandshakeDeadlineIsForTheWhole: a byte just before each step's timeout holds
// no connection, be we server or client, with TLS from the start or not.
func TestHandshakeDeadlineIsForTheWhole(t *testing.T) {
	for _, mode := range []string{"server", "client"} {
		for flags, reason := range map[uint32]string{0: "write timeout", startDirect: "connection timeout"} {
			l := newTestLoop(t)
			settings := DefaultSettings()
			settings.HandshakeDeadline = 130
			l.Configure(settings)
			h, peer := l.accept(0)
			l.startTLS(h, l.context(mode), flags, "")
			l.await(TLSStarted, h)
			l.quiet()
			for i, b := range []byte("\x16\x03") {
				l.advance(DefaultSettings().HandshakeTimeout - 5)
				say(t, peer, string(b))
				l.quiet()
				l.awaitStats(func(s Stats) bool { return s.Received > uint64(i) })
			}
			l.advance(130 - 2*55 - 2)
			l.quiet()
			l.advance(3)
			l.awaitClosed(h, reason, false)
		}
	}
}

// TestHandshakeDeadlineEndsWithIt: an open connection has none.
func TestHandshakeDeadlineEndsWithIt(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	l.secure(client, server)
	l.quiet()
	l.advance(DefaultSettings().HandshakeDeadline + 1)
	l.quiet()
	if l.inner(client).handshakeDeadline != 0 || l.inner(server).handshakeDeadline != 0 {
		t.Error("the deadline stays")
	}
}

// TestHandshakeTimeoutAfterTheConnect: TLS was asked for before that.
func TestHandshakeTimeoutAfterTheConnect(t *testing.T) {
	l := newTestLoop(t)
	s := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = s.Close() })
	h := must(l.Dial("127.0.0.1", s.Addr().(*net.TCPAddr).Port, "", 0))(t).Handle
	l.startTLS(h, l.context("client"), startDirect, "")
	l.await(TLSStarted, h)
	l.advance(DefaultSettings().HandshakeTimeout - 5)
	l.quiet()
	l.advance(6)
	l.awaitClosed(h, "connection timeout", false)
	l.none(Connected, h)
}

func TestNoContext(t *testing.T) {
	l := newTestLoop(t)
	h, _ := l.accept(0)
	l.startTLS(h, 99, 0, "what was wrong")
	l.awaitClosed(h, "what was wrong", false)
}

func TestNoTLSAtTheOtherEnd(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.startTLS(h, l.context("server"), 0, "")
	say(t, peer, "GET / HTTP/1.0\r\n\r\n")
	ev := l.await(Closed, h)
	if len(ev.Bytes) == 0 || ev.Flag {
		t.Errorf("closed for %q, by peer %v", ev.Bytes, ev.Flag)
	}
}

// TestPeerIsCutOff: TCP ends without TLS having said so.
func TestPeerIsCutOff(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	l.startTLS(client, l.context("client"), 0, "")
	l.startTLS(server, l.context("server"), 0, "")
	l.await(Secured, client)
	l.await(Secured, server)
	l.inner(client).security = plain // so that Release says no goodbye
	l.Release(client)
	l.awaitClosed(server, "unexpected eof while reading", false)
}

// TestReleaseInAHandshake leaves no goroutine and calls nobody.
func TestReleaseInAHandshake(t *testing.T) {
	l := newTestLoop(t)
	context := l.context("server")
	for range 10 {
		h, _ := l.accept(0)
		l.startTLS(h, context, 0, "")
		l.await(TLSStarted, h)
		l.Release(h)
	}
	l.quiet()
}

func TestPausedTLSDeliversNothing(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	l.startTLS(client, l.context("client"), 0, "")
	l.startTLS(server, l.context("server"), 0, "")
	l.await(Secured, client)
	l.await(Secured, server)
	l.cmd(server, cmdPause)
	l.step(0)
	want := pattern(100_000)
	l.put(client, want)
	l.await(Drained, client)
	l.quiet()
	l.cmd(server, cmdResume)
	l.wantData(server, want)
}

// secure has both ends complete a handshake.
func (l *testLoop) secure(client, server Handle) {
	l.t.Helper()
	l.startTLS(server, l.context("server"), 0, "")
	l.startTLS(client, l.context("client"), 0, "")
	l.await(Secured, client)
	l.await(Secured, server)
}

// TestTLSPeerIsGoneInAPause ends with close_notify, without, and by a reset.
func TestTLSPeerIsGoneInAPause(t *testing.T) {
	for name, reason := range map[string]string{"goodbye": "closed", "cut": "unexpected eof while reading", "reset": "closed"} {
		for _, spoken := range []string{"", "request"} {
			t.Run(name+" "+spoken, func(t *testing.T) {
				l := newTestLoop(t)
				client, server := l.ends()
				l.secure(client, server)
				l.put(client, spoken)
				l.await(Drained, client)
				l.wantData(server, spoken)
				l.cmd(server, cmdPause)
				l.quiet()
				c := l.inner(client)
				switch name {
				case "cut":
					c.security = plain // so that Release says no goodbye
				case "reset":
					c.security = plain
					if err := unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
						t.Fatal(err)
					}
				}
				l.Release(client)
				l.awaitClosed(server, reason, name != "cut")
			})
		}
	}
}

// TestTLSDataBeforeTheEndInAPause has more of it than is read ahead.
func TestTLSDataBeforeTheEndInAPause(t *testing.T) {
	for _, size := range []int{1, 30_000} {
		l := newTestLoop(t)
		client, server := l.ends()
		l.secure(client, server)
		l.cmd(server, cmdPause)
		l.step(0)
		want := pattern(size)
		l.put(client, want)
		l.await(Drained, client)
		l.Release(client)
		l.quiet()
		l.cmd(server, cmdPause) // asks epoll again
		l.quiet()
		if n := l.Stats().Undelivered; n == 0 || n > uint64(l.inner(server).readSize()) {
			t.Errorf("%d bytes read ahead", n)
		}
		l.cmd(server, cmdResume)
		if got := l.untilClosed(server); got != want {
			t.Errorf("%d bytes arrived, want %d in order", len(got), len(want))
		}
	}
}

// TestHelloReadAheadBelongsToTLS: the client has ended its stream behind it.
func TestHelloReadAheadBelongsToTLS(t *testing.T) {
	for _, pause := range []uint32{cmdPause, cmdBlockReads} {
		l := newTestLoop(t)
		server, peer := l.accept(0)
		l.cmd(server, pause)
		l.step(0)
		over := make(chan error)
		go func() {
			over <- stdtls.Client(peer, &stdtls.Config{ServerName: "example.org", InsecureSkipVerify: true}).Handshake()
		}()
		l.quiet()
		halfClose(t, peer)
		l.quiet()
		if l.Stats().Undelivered == 0 {
			t.Error("no hello was read ahead")
		}
		l.startTLS(server, l.context("server"), startAskHello, "")
		if got := string(l.await(Hello, server).Bytes); got != "example.org\x00" {
			t.Errorf("the hello is %q", got)
		}
		l.Release(server)
		if err := <-over; err == nil {
			t.Error("the handshake is complete")
		}
	}
}

// TestTLSRefusalAtRandom is TestRefusalAtRandom through TLS, with lines.
func TestTLSRefusalAtRandom(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	l.startTLS(client, l.context("client"), 0, "")
	l.startTLS(server, l.context("server"), 0, "")
	l.await(Secured, client)
	l.await(Secured, server)
	want := strings.ReplaceAll(strings.ReplaceAll(pattern(300_000), "\n", "n"), "\r", "r")
	n := 0
	l.refuse = func(Event) bool {
		n++
		l.num(server, cmdReadMode, []float64{0, 100, float64(ReadAny), 20_000, float64(ReadLines)}[n%5])
		return n%3 == 0
	}
	l.put(client, want)
	if got := l.awaitData(server, len(want)); got != want {
		t.Errorf("%d bytes arrived, want %d in order", len(got), len(want))
	}
}

// TestNothingIsSentBeforeItsTurn looks at what a peer without TLS receives.
func TestNothingIsSentBeforeItsTurn(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.put(h, "<proceed/>")
	l.startTLS(h, l.context("server"), 0, "")
	l.put(h, "secret")
	l.await(TLSStarted, h)
	l.cmd(h, cmdRelease)
	l.step(0)
	got, _ := io.ReadAll(peer) // a reset is as good as an end
	if !slices.Equal(got, []byte("<proceed/>")) {
		t.Errorf("the peer received %q in the clear", got)
	}
}

// TestFinishBeforeTheHandshake: proceed, starttls and close in one callback
// must not wait for a peer that never says hello.
func TestFinishBeforeTheHandshake(t *testing.T) {
	l := newTestLoop(t)
	client, server := l.ends()
	l.put(server, "proceed")
	l.startTLS(server, l.context("server"), 0, "")
	l.cmd(server, cmdFinish)
	l.wantData(client, "proceed")
	l.awaitClosed(server, "", false)
}

// TestDataRightBehindTheHandshake is for what a peer sends before the loop has
// learnt that its handshake is complete: it was left in memory that the next
// connection reads into.
func TestDataRightBehindTheHandshake(t *testing.T) {
	l := newTestLoop(t)
	server, peer := l.accept(0)
	l.startTLS(server, l.context("server"), 0, "")
	l.await(TLSStarted, server)
	client := stdtls.Client(peer, &stdtls.Config{InsecureSkipVerify: true})
	spoken := make(chan error, 1)
	go func() {
		_, err := client.Write([]byte("hello"))
		spoken <- err
	}()
	c := l.inner(server)
	for start := time.Now(); c.session.State() != tls.StateOpen && time.Since(start) < patience; time.Sleep(time.Millisecond) {
		c.takeCiphertext()
		c.flush()
		// Few bytes at once: what follows the handshake stays in the socket.
		if n, err := receive(c.fd, l.scratch[:200]); err == nil && n > 0 {
			c.session.Feed(l.scratch[:n])
		}
	}
	if err := <-spoken; err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte(" world")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // for it to arrive
	c.readRaw()
	clear(l.scratch[:]) // as another connection does
	l.wantData(server, "hello world")
}

// TestReleasedSessionsAreCollected: not only when handshakes have ended. Here
// none begins, for what was written before is held.
func TestReleasedSessionsAreCollected(t *testing.T) {
	l := newTestLoop(t)
	context := l.context("server")
	forced := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumForcedGC
	}
	const burst = 64
	var handles [burst]Handle
	for i := range handles {
		handles[i], _, _ = l.pair(unix.SOCK_STREAM, 0)
		l.cmd(handles[i], cmdHoldWrites)
		l.put(handles[i], "in the clear")
		l.startTLS(handles[i], context, 0, "")
	}
	l.step(0)
	before := forced()
	for start := time.Now(); time.Since(start) < 3*time.Second; time.Sleep(10 * time.Millisecond) {
		if now := forced(); now != before { // earlier tests' handshakes
			before, start = now, time.Now()
		}
	}
	for _, h := range handles {
		l.Release(h)
	}
	for start := time.Now(); forced() == before; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("no memory was given back")
		}
	}
}

// TestDatagramsHaveNoTLS: what is written to be encrypted is never sent as it is.
func TestDatagramsHaveNoTLS(t *testing.T) {
	l := newTestLoop(t)
	h, _, peer := l.pair(unix.SOCK_DGRAM, int(ReadAny))
	l.startTLS(h, l.context("client"), 0, "")
	l.put(h, "secret")
	l.stepOnce(0)
	if n, err := receive(peer, make([]byte, 4096)); n > 0 || err == nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	l.awaitClosed(h, reasonDatagram, false)
}
