package loop

import (
	stdtls "crypto/tls"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// halfHello is the beginning of a client's hello, of n bytes.
func halfHello(t testing.TB, n int) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		client := stdtls.Client(theirs, &stdtls.Config{ServerName: "a.example"})
		_ = client.Handshake() // nobody answers
	}()
	hello := make([]byte, n)
	readFull(t, ours, 5)
	if _, err := ours.Read(hello[5:]); err != nil {
		t.Fatal(err)
	}
	copy(hello, []byte{22, 3, 1, 5, 200})
	return hello
}

// resident is the memory of the process, in bytes.
func resident(t testing.TB) int {
	t.Helper()
	status := string(must(os.ReadFile("/proc/self/statm"))(t))
	return must(strconv.Atoi(strings.Fields(status)[1]))(t) * os.Getpagesize()
}

// honest logs in, with the loop stepping, and returns how long that took.
func (l *testLoop) honest(address string, context Handle) time.Duration {
	l.t.Helper()
	over := make(chan error)
	start := time.Now()
	go func() {
		client, err := stdtls.Dial("tcp", address, &stdtls.Config{InsecureSkipVerify: true})
		if err == nil {
			_, err = client.Write([]byte("hello"))
			_ = client.Close() // the test is over
		}
		over <- err
	}()
	h := l.await(Accepted, 0).Handle
	l.startTLS(h, context, startDirect, "")
	if got := l.awaitData(h, 5); got != "hello" {
		l.t.Errorf("%q", got)
	}
	took := time.Since(start)
	if err := <-over; err != nil {
		l.t.Error(err)
	}
	l.Release(h)
	return took
}

// TestHalfOpenHandshakes has many clients begin a handshake and say no more.
// HALF_OPEN says how many: 10,000 need 20,100 descriptors (ulimit -n).
func TestHalfOpenHandshakes(t *testing.T) {
	count := 200
	if text := os.Getenv("HALF_OPEN"); text != "" {
		count = must(strconv.Atoi(text))(t)
	}
	l := newTestLoop(t)
	_, address := l.listen(0)
	context := l.context("server")
	hello := halfHello(t, 300)
	l.honest(address, context) // what is made once
	runtime.GC()
	before := resident(t)

	peers, handles := make([]net.Conn, 0, count), make([]Handle, 0, count)
	for range count {
		peer := must(net.Dial("tcp", address))(t)
		peers = append(peers, peer)
		if _, err := peer.Write(hello); err != nil {
			t.Fatal(err)
		}
		h := l.await(Accepted, 0).Handle
		l.startTLS(h, context, startDirect, "")
		handles = append(handles, h)
	}
	l.awaitStats(func(s Stats) bool { return s.Running == count && s.Received >= uint64(count*len(hello)) })
	held := resident(t) - before

	times := make([]time.Duration, 0, 20)
	for i := range 20 {
		for j := i; j < count; j += 20 { // they go on, byte by byte
			if _, err := peers[j].Write([]byte{0}); err != nil {
				t.Fatal(err)
			}
		}
		times = append(times, l.honest(address, context))
	}
	slices.Sort(times)
	if worst := times[len(times)-1]; worst > 500*time.Millisecond {
		t.Errorf("an honest login takes %v", worst)
	}

	l.advance(DefaultSettings().HandshakeDeadline + 1)
	for range handles {
		l.Release(l.await(Closed, 0).Handle)
	}
	if s := l.Stats(); s.Running != 0 || s.Failures["connection timeout"] != uint64(count) {
		t.Errorf("%d go on, failures %v", s.Running, s.Failures)
	}
	for _, p := range peers {
		_ = p.Close() // it was open until now
	}
	peers, handles, l.events = nil, nil, nil
	left := resident(t) - before
	for start := time.Now(); count >= 1000 && left > held/4 && time.Since(start) < 10*time.Second; left = resident(t) - before {
		l.step(100 * time.Millisecond)
	}
	t.Logf("%d half-open handshakes hold %.1f MB, %.1f KiB each; honest logins median %v, worst %v; left %.1f MB",
		count, float64(held)/1e6, float64(held)/1024/float64(count), times[len(times)/2], times[len(times)-1], float64(left)/1e6)
	if count >= 1000 && left > held/2 {
		t.Errorf("%d of %d bytes are still held", left, held)
	}
}
