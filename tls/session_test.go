package tls

import (
	"bytes"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// sessionContext is a context with the certificates of testdata/keys.
func sessionContext(t testing.TB, mode string, change func(*Config), names ...string) *Context {
	t.Helper()
	cfg := Config{Mode: mode, Protocol: "any"}
	for _, name := range names {
		cfg.Certificates = append(cfg.Certificates, KeyPair{Certificate: keys + name + ".crt", Key: keys + name + ".key"})
	}
	if change != nil {
		change(&cfg)
	}
	c, _, err := NewContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestMain starts what stays, before goroutines are counted.
func TestMain(m *testing.M) {
	startWorkers()
	os.Exit(m.Run())
}

// endpoint is a session with the bell that its handshake rings.
type endpoint struct {
	*Session
	bell chan struct{}
}

func newEndpoint(c *Context, o Options) *endpoint {
	return &endpoint{NewSession(c, o), make(chan struct{}, 1)}
}

func (e *endpoint) start() {
	e.Start(func() {
		select {
		case e.bell <- struct{}{}:
		default:
		}
	})
}

func (e *endpoint) done() bool { return e.State() == StateOpen || e.State() == StateFailed }

// move carries ciphertext from one to the other, in pieces of that size (0:
// whole), and tells whether there was any.
func move(from, to *endpoint, piece int) bool {
	out := from.Output()
	for rest := out; len(rest) > 0; {
		n := len(rest)
		if piece > 0 {
			n = min(n, piece)
		}
		to.Feed(rest[:n])
		rest = rest[n:]
	}
	return len(out) > 0
}

// shake runs both handshakes to their ends; answer is called for a hello.
func shake(t testing.TB, server, client *endpoint, piece int, answer func(Hello) Answer) {
	t.Helper()
	server.start()
	client.start()
	deadline := time.After(time.Minute)
	for {
		if server.State() == StateHello && answer != nil {
			server.Answer(answer(server.Hello()))
		}
		done := server.done() && client.done()
		moved := move(client, server, piece)
		moved = move(server, client, piece) || moved
		if done && !moved {
			return
		}
		// One that has failed says no more.
		if server.State() == StateFailed {
			client.FeedEOF()
		}
		if client.State() == StateFailed {
			server.FeedEOF()
		}
		select {
		case <-server.bell:
		case <-client.bell:
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("no end: server in state %d, client in state %d", server.State(), client.State())
		}
	}
}

func connected(t testing.TB, server, client *Context) (*endpoint, *endpoint) {
	t.Helper()
	s, c := newEndpoint(server, Options{}), newEndpoint(client, Options{})
	shake(t, s, c, 0, nil)
	if s.Err() != nil || c.Err() != nil {
		t.Fatalf("server: %v, client: %v", s.Err(), c.Err())
	}
	return s, c
}

// noGoroutines waits for the goroutines to be no more than before.
func noGoroutines(t testing.TB, before int) {
	t.Helper()
	for range 10_000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	stacks := make([]byte, 1<<16)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}

func read(t testing.TB, e *endpoint) string {
	t.Helper()
	var got bytes.Buffer
	buffer := make([]byte, 4096)
	for {
		n, err := e.Read(buffer)
		got.Write(buffer[:n])
		if err != nil {
			if !Again(err) {
				t.Fatalf("read: %v", err)
			}
			return got.String()
		}
	}
}

func eachVersion(t *testing.T, f func(t *testing.T, change func(*Config))) {
	for _, version := range []string{"tlsv1_2", "tlsv1_3"} {
		t.Run(version, func(t *testing.T) {
			f(t, func(c *Config) { c.Protocol = version })
		})
	}
}

func TestSessionHandshake(t *testing.T) {
	for _, key := range []string{"rsa", "p256", "ed25519"} {
		for _, piece := range []int{0, 1, 7, 1000} {
			t.Run(fmt.Sprintf("%s in pieces of %d", key, piece), func(t *testing.T) {
				eachVersion(t, func(t *testing.T, change func(*Config)) {
					before := runtime.NumGoroutine()
					s := newEndpoint(sessionContext(t, "server", change, key), Options{})
					c := newEndpoint(sessionContext(t, "client", nil), Options{ServerName: "a.example"})
					shake(t, s, c, piece, nil)
					if s.Err() != nil || c.Err() != nil {
						t.Fatalf("server: %v, client: %v", s.Err(), c.Err())
					}
					noGoroutines(t, before)
					if s.ServerName() != "a.example" || c.ServerName() != "a.example" {
						t.Errorf("names %q and %q", s.ServerName(), c.ServerName())
					}
					if len(c.PeerCertificates()) != 1 || len(s.PeerCertificates()) != 0 {
						t.Error("certificates:", len(c.PeerCertificates()), len(s.PeerCertificates()))
					}
					for range 3 {
						if err := c.Write([]byte("question")); err != nil {
							t.Fatal(err)
						}
						move(c, s, piece)
						if got := read(t, s); got != "question" {
							t.Errorf("server read %q", got)
						}
						if err := s.Write([]byte("answer")); err != nil {
							t.Fatal(err)
						}
						move(s, c, piece)
						if got := read(t, c); got != "answer" {
							t.Errorf("client read %q", got)
						}
					}
				})
			})
		}
	}
}

func TestSessionReadsAgain(t *testing.T) {
	eachVersion(t, func(t *testing.T, change func(*Config)) {
		s, c := connected(t, sessionContext(t, "server", change, "p256"), sessionContext(t, "client", nil))
		buffer := make([]byte, 100)
		if n, err := s.Read(buffer); n != 0 || !Again(err) {
			t.Fatalf("nothing there: %d, %v", n, err)
		}
		// A record whose bytes come one by one is not there before the last.
		if err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		record := c.Output()
		for i, b := range record {
			s.Feed([]byte{b})
			n, err := s.Read(buffer)
			if last := i == len(record)-1; !last && (n != 0 || !Again(err)) {
				t.Fatalf("%d bytes of %d: %d, %v", i+1, len(record), n, err)
			} else if last && (string(buffer[:n]) != "hello" || err != nil && !Again(err)) {
				t.Fatalf("all bytes: %q, %v", buffer[:n], err)
			}
		}
		// Many records, read little by little
		big := bytes.Repeat([]byte("0123456789"), 20_000)
		if err := c.Write(big); err != nil {
			t.Fatal(err)
		}
		move(c, s, 5000)
		if got := read(t, s); got != string(big) {
			t.Errorf("%d bytes of %d", len(got), len(big))
		}
	})
}

func TestSessionEnds(t *testing.T) {
	eachVersion(t, func(t *testing.T, change func(*Config)) {
		server, client := sessionContext(t, "server", change, "p256"), sessionContext(t, "client", nil)
		buffer := make([]byte, 100)

		s, c := connected(t, server, client)
		_ = c.Write([]byte("last")) // seen by what is read
		c.CloseNotify()
		move(c, s, 0)
		c.Session.CloseNotify() // harmless
		n, err := s.Read(buffer)
		if string(buffer[:n]) != "last" || err != nil && err != io.EOF {
			t.Errorf("read %q, %v", buffer[:n], err)
		}
		if _, err = s.Read(buffer); err != io.EOF {
			t.Errorf("after close_notify: %v", err)
		}
		if err := s.Write([]byte("still")); err != nil {
			t.Errorf("the other direction is open: %v", err)
		}

		s, c = connected(t, server, client)
		_ = c.Write([]byte("last"))
		move(c, s, 0)
		s.FeedEOF()
		if n, err := s.Read(buffer); string(buffer[:n]) != "last" || err != nil {
			t.Errorf("read %q, %v", buffer[:n], err)
		}
		_, err = s.Read(buffer)
		if err == nil || Again(err) || s.Reason(err) != "unexpected eof while reading" {
			t.Errorf("after a cut: %v", err)
		}

		s, c = connected(t, server, client)
		_ = c.Write([]byte("falsified"))
		record := c.Output()
		record[len(record)-1] ^= 1
		s.Feed(record)
		_, err = s.Read(buffer)
		if err == nil || Again(err) || s.Reason(err) != "decryption failed or bad record mac" {
			t.Errorf("a changed record: %v", err)
		}
		move(s, c, 0)
		if _, err = c.Read(buffer); err == nil || c.Reason(err) != "sslv3 alert bad record mac" {
			t.Errorf("the alert: %v", err)
		}
	})
}

func TestSessionStop(t *testing.T) {
	before := runtime.NumGoroutine()
	server, client := sessionContext(t, "server", nil, "rsa"), sessionContext(t, "client", nil)
	fed := func() *endpoint {
		c := newEndpoint(client, Options{ServerName: "a.example"})
		c.start()
		<-c.bell
		s := newEndpoint(server, Options{AskHello: true})
		move(c, s, 0)
		c.Stop()
		return s
	}

	t.Run("with nothing received", func(t *testing.T) {
		s := newEndpoint(server, Options{})
		s.start()
		s.Stop()
		noGoroutines(t, before+1) // the subtest's own
	})
	t.Run("with half a hello", func(t *testing.T) {
		s := newEndpoint(server, Options{})
		s.start()
		s.Feed([]byte{22, 3, 1, 1})
		s.Stop()
		noGoroutines(t, before+1)
	})
	t.Run("waiting for an answer", func(t *testing.T) {
		s := fed()
		s.start()
		for s.State() != StateHello {
			<-s.bell
		}
		s.Stop()
		s.Stop()
		noGoroutines(t, before+1)
	})
	t.Run("between the hello's arrival and the question", func(t *testing.T) {
		s := fed()
		s.Stop()
		s.start()
		noGoroutines(t, before+1)
	})
	t.Run("at any moment", func(t *testing.T) {
		for i := range 50 {
			s := fed()
			s.start()
			time.Sleep(time.Duration(i) * 10 * time.Microsecond)
			s.Stop()
		}
		noGoroutines(t, before+1)
	})
	t.Run("of a client", func(t *testing.T) {
		c := newEndpoint(client, Options{})
		c.start()
		<-c.bell
		c.Stop()
		noGoroutines(t, before+1)
	})
}

func TestSessionHello(t *testing.T) {
	eachVersion(t, func(t *testing.T, change func(*Config)) {
		first := sessionContext(t, "server", change, "rsa")
		second := sessionContext(t, "server", func(c *Config) {
			change(c)
			c.ALPN = []string{"b", "a"}
		}, "p256")
		client := sessionContext(t, "client", func(c *Config) { c.ALPN = []string{"a", "b"} })
		try := func(answer Answer) (*endpoint, *endpoint, Hello) {
			s := newEndpoint(first, Options{AskHello: true})
			c := newEndpoint(client, Options{ServerName: "b.example"})
			var hello Hello
			shake(t, s, c, 0, func(h Hello) Answer {
				hello = h
				return answer
			})
			return s, c, hello
		}

		s, c, hello := try(Answer{Context: second})
		if hello.ServerName != "b.example" || strings.Join(hello.ALPN, " ") != "a b" {
			t.Errorf("hello: %+v", hello)
		}
		if s.Err() != nil || c.Err() != nil {
			t.Fatalf("server: %v, client: %v", s.Err(), c.Err())
		}
		if s.Context() != second {
			t.Error("the context is not the one of the answer")
		}
		if got := c.PeerCertificates()[0].PublicKeyAlgorithm.String(); got != "ECDSA" {
			t.Errorf("the key is %s", got)
		}
		if got := c.ConnectionState().NegotiatedProtocol; got != "b" {
			t.Errorf("protocol %q", got)
		}

		_, c, _ = try(Answer{Context: second, ALPN: "a", ALPNChosen: true})
		if got := c.ConnectionState().NegotiatedProtocol; got != "a" {
			t.Errorf("chosen protocol %q", got)
		}
		_, c, _ = try(Answer{Context: second, ALPNChosen: true})
		if got := c.ConnectionState().NegotiatedProtocol; got != "" || c.Err() != nil {
			t.Errorf("no protocol: %q, %v", got, c.Err())
		}

		s, c, _ = try(Answer{})
		if s.State() != StateFailed || s.Reason(s.Err()) != "callback failed" {
			t.Errorf("refused: %v", s.Err())
		}
		if c.State() != StateFailed || c.Reason(c.Err()) != "tlsv1 unrecognized name" {
			t.Errorf("refused, the client: %v", c.Err())
		}
	})
}

func TestSessionALPN(t *testing.T) {
	for _, test := range []struct {
		server, client []string
		want           string
	}{
		{[]string{"x", "y"}, []string{"y", "x"}, "x"},
		{[]string{"x"}, []string{"y"}, ""},
		{nil, []string{"y"}, ""},
		{[]string{"x"}, nil, ""},
	} {
		eachVersion(t, func(t *testing.T, change func(*Config)) {
			s, c := connected(t,
				sessionContext(t, "server", func(cfg *Config) { change(cfg); cfg.ALPN = test.server }, "p256"),
				sessionContext(t, "client", func(cfg *Config) { cfg.ALPN = test.client }))
			for _, e := range []*endpoint{s, c} {
				if got := e.ConnectionState().NegotiatedProtocol; got != test.want {
					t.Errorf("%v and %v: %q", test.server, test.client, got)
				}
			}
		})
	}
}

func TestSessionClientCertificate(t *testing.T) {
	eachVersion(t, func(t *testing.T, change func(*Config)) {
		asking := func(verify, ext []string) *Context {
			return sessionContext(t, "server", func(c *Config) { change(c); c.Verify, c.VerifyExt = verify, ext }, "p256")
		}
		relaxed := []string{"lsec_continue", "lsec_ignore_purpose"}

		s, _ := connected(t, asking([]string{"peer"}, relaxed), sessionContext(t, "client", nil, "p384"))
		if len(s.PeerCertificates()) != 1 || s.Verification().OK {
			t.Errorf("%d certificates, %+v", len(s.PeerCertificates()), s.Verification())
		}
		s, _ = connected(t, asking([]string{"peer"}, relaxed), sessionContext(t, "client", nil))
		if len(s.PeerCertificates()) != 0 || !s.Verification().OK {
			t.Errorf("without: %d certificates, %+v", len(s.PeerCertificates()), s.Verification())
		}

		s, c := newEndpoint(asking([]string{"peer"}, nil), Options{}), newEndpoint(sessionContext(t, "client", nil, "p384"), Options{})
		shake(t, s, c, 0, nil)
		if s.Err() == nil || s.Reason(s.Err()) != "certificate verify failed" {
			t.Errorf("untrusted: %v", s.Err())
		}
		s, c = newEndpoint(asking([]string{"peer", "fail_if_no_peer_cert"}, nil), Options{}), newEndpoint(sessionContext(t, "client", nil), Options{})
		shake(t, s, c, 0, nil)
		if s.Err() == nil || s.Reason(s.Err()) != "peer did not return a certificate" {
			t.Errorf("missing: %v", s.Err())
		}
	})
}

// TestHandshakeInputIsBounded: a chain as long as crypto/tls takes one.
func TestHandshakeInputIsBounded(t *testing.T) {
	eachVersion(t, func(t *testing.T, change func(*Config)) {
		for size, want := range map[int]string{90 << 10: "", 250 << 10: "excessive message size"} {
			server := sessionContext(t, "server", func(c *Config) { change(c); federation(c) }, "p256")
			client := sessionContext(t, "client", nil, "p384")
			leaf := client.certificates[0].Certificate[0]
			for n := len(leaf); n < size; n += len(leaf) + 5 {
				client.certificates[0].Certificate = append(client.certificates[0].Certificate, leaf)
			}
			s, c := newEndpoint(server, Options{}), newEndpoint(client, Options{})
			shake(t, s, c, 0, nil)
			if want == "" && s.Err() != nil || want != "" && (s.Err() == nil || s.Reason(s.Err()) != want) {
				t.Errorf("%d bytes of certificates: %v, want %q", size, s.Err(), want)
			}
		}
	})
}

func TestSessionBinding(t *testing.T) {
	eachVersion(t, func(t *testing.T, change func(*Config)) {
		s, c := connected(t, sessionContext(t, "server", func(cfg *Config) {
			change(cfg)
			cfg.Options = []string{"no_ticket"}
		}, "p256"), sessionContext(t, "client", nil))
		a, err := s.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		if err != nil || len(a) != 32 {
			t.Fatal(len(a), err)
		}
		if b, err := c.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err != nil || !bytes.Equal(a, b) {
			t.Error("the sides differ", err)
		}
		want := 12
		if s.ConnectionState().Version == stdtls.VersionTLS13 {
			want = 0
		}
		if len(s.Finished()) != want || !bytes.Equal(s.Finished(), c.Finished()) {
			t.Errorf("Finished: %x, %x", s.Finished(), c.Finished())
		}
	})
}

func TestSessionKeyUpdate(t *testing.T) {
	// A plain crypto/tls client updates its keys after some time only, so the
	// record is made by hand: what matters is that garbage after the handshake
	// is an error, and once only one.
	s, _ := connected(t, sessionContext(t, "server", nil, "p256"), sessionContext(t, "client", nil))
	s.Feed(bytes.Repeat([]byte{0x17, 3, 3, 0, 4, 1, 2, 3, 4}, 10))
	buffer := make([]byte, 10)
	_, first := s.Read(buffer)
	_, second := s.Read(buffer)
	if first == nil || Again(first) || !errors.Is(second, first) && second.Error() != first.Error() {
		t.Errorf("%v, then %v", first, second)
	}
}

// TestSessionIdleMemory measures what an idle session keeps, both sides.
func TestSessionIdleMemory(t *testing.T) {
	const count, most = 100, 16 << 10
	eachVersion(t, func(t *testing.T, change func(*Config)) {
		server, client := sessionContext(t, "server", change, "p256"), sessionContext(t, "client", nil)
		held := make([]*endpoint, 0, 2*count)
		s, c := connected(t, server, client) // what is made once
		held = append(held, s, c)
		before, goroutines := heap(), runtime.NumGoroutine()
		for range count {
			s, c := connected(t, server, client)
			for range 3 { // some small talk
				_ = c.Write([]byte("<presence/>"))
				move(c, s, 0)
				read(t, s)
				_ = s.Write([]byte("<presence/>"))
				move(s, c, 0)
				read(t, c)
			}
			held = append(held, s, c)
		}
		noGoroutines(t, goroutines)
		each := (heap() - before) / (2 * count)
		t.Logf("%.1f KiB an idle session", float64(each)/1024)
		if each > most {
			t.Errorf("%d bytes an idle session, more than %d", each, most)
		}
		runtime.KeepAlive(held)
	})
}

// A file of 200 MiB is that much output, in pieces of 64 KiB: whatever each
// costs beyond its own size is garbage to collect.
func TestSessionWriteAllocatesOnce(t *testing.T) {
	eachVersion(t, func(t *testing.T, change func(*Config)) {
		server, _ := connected(t, sessionContext(t, "server", change, "p256"), sessionContext(t, "client", nil))
		piece := make([]byte, 64<<10)
		const pieces = 200
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range pieces {
			if err := server.Write(piece); err != nil {
				t.Fatal(err)
			}
			server.Output()
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / pieces; each > 84<<10 {
			t.Errorf("%d KiB allocated for each piece of 64 KiB", each>>10)
		}
	})
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
