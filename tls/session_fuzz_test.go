package tls

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// FuzzSessionHandshake feeds the server side of a handshake with anything, cut
// anyhow: it never panics, never hangs, holds no more than what it was given
// and what a handshake takes, and leaves no goroutine. The first byte of cuts
// chooses the version and whether the hello is asked about, the rest are the
// lengths of the pieces.
func FuzzSessionHandshake(f *testing.F) {
	for _, seed := range recordedInput(f) {
		f.Add(seed, []byte{0})
		f.Add(seed, []byte{1, 1, 2, 3})
		f.Add(seed, []byte{7, 5, 1})
	}
	contexts := fuzzContexts(f)
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		flags, cuts := splitCuts(cuts)
		before := runtime.NumGoroutine()
		s := newEndpoint(contexts[flags%3], Options{AskHello: flags&4 != 0})
		s.start()
		output := 0
		feedPieces(data, cuts, func(piece []byte) {
			s.Feed(piece)
			output += len(s.Output())
		})
		s.FeedEOF()
		finishHandshake(t, s, Answer{Context: contexts[flags%3]})
		output += len(s.Output())
		if s.State() == StateOpen {
			t.Fatal("a handshake without a peer that knows the keys")
		}
		if reason := s.Reason(s.Err()); !reasons()[reason] || strings.Contains(s.Err().Error(), "internal error: ") {
			t.Fatalf("reason %q for %v", reason, s.Err())
		}
		if output > 64<<10 {
			t.Fatalf("%d bytes of output for %d of input", output, len(data))
		}
		noGoroutines(t, before)
	})
}

// FuzzSessionClient does the same to a client.
func FuzzSessionClient(f *testing.F) {
	for _, seed := range recordedInput(f) {
		f.Add(seed, []byte{0, 3})
	}
	client := sessionContext(f, "client", func(c *Config) { c.ALPN = []string{"xmpp-client"} }, "p256")
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		_, cuts = splitCuts(cuts)
		before := runtime.NumGoroutine()
		c := newEndpoint(client, Options{ServerName: "a.example"})
		c.start()
		feedPieces(data, cuts, c.Feed)
		c.FeedEOF()
		finishHandshake(t, c, Answer{})
		if c.State() == StateOpen || !reasons()[c.Reason(c.Err())] || strings.Contains(c.Err().Error(), "internal error: ") {
			t.Fatalf("state %d, %v", c.State(), c.Err())
		}
		noGoroutines(t, before)
	})
}

// FuzzSessionEstablished feeds an established server with anything: whatever
// comes is an error that stays, an end or nothing yet, never data, for the
// fuzzer does not know the keys. With true data in front, that is delivered.
func FuzzSessionEstablished(f *testing.F) {
	for _, seed := range recordedInput(f) {
		f.Add(seed, []byte{0})
		f.Add(seed, []byte{5, 1, 100})
	}
	contexts := fuzzContexts(f)
	client := sessionContext(f, "client", nil)
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		flags, cuts := splitCuts(cuts)
		before := runtime.NumGoroutine()
		s, c := connected(t, contexts[flags%3], client)
		want := ""
		if flags&4 != 0 {
			want = "truth"
			_ = c.Write([]byte(want)) // a fresh session takes it
			data = append(c.Output(), data...)
		}
		var got bytes.Buffer
		var sticky error
		buffer := make([]byte, 512)
		drain := func() {
			for range 1 << 16 {
				n, err := s.Read(buffer)
				got.Write(buffer[:n])
				if sticky != nil && (n > 0 || err == nil || Again(err)) {
					t.Fatalf("%d bytes and %v after %v", n, err, sticky)
				}
				if err != nil && !Again(err) {
					sticky = err
				}
				if err != nil {
					return
				}
			}
			t.Fatal("reads without end")
		}
		feedPieces(data, cuts, func(piece []byte) {
			s.Feed(piece)
			drain()
		})
		s.FeedEOF()
		drain()
		if sticky == nil {
			t.Fatal("no end after the end")
		}
		if !errors.Is(sticky, io.EOF) && !reasons()[s.Reason(sticky)] {
			t.Fatalf("no reason for %v", sticky)
		}
		if got.String() != want {
			t.Fatalf("delivered %q, want %q", &got, want)
		}
		if n := len(s.Output()); n > 4<<10 {
			t.Fatalf("%d bytes of output", n)
		}
		_ = s.Write([]byte("reply")) // may be too late
		s.CloseNotify()
		s.Stop()
		noGoroutines(t, before)
	})
}

func fuzzContexts(f *testing.F) [3]*Context {
	relaxed := func(c *Config) {
		c.Verify, c.VerifyExt = []string{"peer"}, []string{"lsec_continue"}
		c.ALPN = []string{"xmpp-client", "http/1.1"}
	}
	return [3]*Context{
		sessionContext(f, "server", relaxed, "p256", "rsa"),
		sessionContext(f, "server", func(c *Config) { relaxed(c); c.Protocol = "tlsv1_2" }, "p256"),
		sessionContext(f, "server", func(c *Config) { relaxed(c); c.Protocol = "tlsv1_3" }, "ed25519"),
	}
}

// recordedInput are the files of testdata/fuzz/records: what s_client and a client of
// Go send, and what is no TLS; see testdata/record-hellos.
func recordedInput(f *testing.F) (inputs [][]byte) {
	names, err := filepath.Glob("testdata/fuzz/records/*.hex")
	if err != nil || len(names) == 0 {
		f.Fatal("no testdata/fuzz/records", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		data, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			f.Fatal(name, err)
		}
		inputs = append(inputs, data)
	}
	return inputs
}

func splitCuts(cuts []byte) (flags int, rest []byte) {
	if len(cuts) == 0 {
		return 0, nil
	}
	return int(cuts[0]), cuts[1:]
}

// feedPieces cuts data into pieces of those lengths, over and over.
func feedPieces(data, cuts []byte, feed func([]byte)) {
	for i := 0; len(data) > 0; i++ {
		n := len(data)
		if len(cuts) > 0 {
			n = min(n, max(int(cuts[i%len(cuts)]), 1))
		}
		feed(bytes.Clone(data[:n]))
		data = data[n:]
	}
}

func finishHandshake(t *testing.T, e *endpoint, answer Answer) {
	deadline := time.After(time.Minute)
	for !e.done() {
		if e.State() == StateHello {
			e.Answer(answer)
		}
		select {
		case <-e.bell:
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("the handshake hangs")
		}
	}
}
