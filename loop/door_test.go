package loop

import (
	"bytes"
	stdtls "crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"net.server_go/tls"
)

// limited returns a loop with a port, and settings that exempt nobody.
func limited(t *testing.T, change func(*Settings)) (l *testLoop, port int) {
	t.Helper()
	l = newTestLoop(t)
	t.Cleanup(l.forgetRefusals)
	settings := DefaultSettings()
	settings.Exempt = ""
	change(&settings)
	l.Configure(settings)
	server, _ := l.listen(0)
	_, local := l.Names(server)
	return l, local.Port
}

// forgetRefusals: the next line in the log is due in a minute.
func (l *testLoop) forgetRefusals() {
	l.holdThread()
	l.alarms.remove(&l.door.refusals.alarm)
}

// from connects from an address of loopback. Unlike net.Dial it does not fail if the
// connection has been reset by the time that it looks.
func from(t *testing.T, address string, port int) net.Conn {
	t.Helper()
	fd := must(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))(t)
	file := os.NewFile(uintptr(fd), "")
	defer file.Close()
	for _, err := range []error{
		unix.Bind(fd, &unix.SockaddrInet4{Addr: netip.MustParseAddr(address).As4()}),
		unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	conn := must(net.FileConn(file))(t)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// wantReset: whoever is turned away is reset.
func (l *testLoop) wantReset(conn net.Conn) {
	l.t.Helper()
	for range 4 { // to accept it, to read from it
		l.step(20 * time.Millisecond)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset") {
		l.t.Errorf("reading gives %v, want a reset", err)
	}
}

func TestConnectionsOfAnAddressAreLimited(t *testing.T) {
	l, port := limited(t, func(s *Settings) { s.ConnectionsPerAddress = 2 })
	from(t, "127.0.0.2", port)
	first := l.await(Accepted, 0).Handle
	from(t, "127.0.0.2", port)
	l.await(Accepted, 0)
	l.wantReset(from(t, "127.0.0.2", port))
	from(t, "127.0.0.3", port) // is another
	l.await(Accepted, 0)
	l.Release(first)
	from(t, "127.0.0.2", port) // there is room again
	l.await(Accepted, 0)
	l.wantReset(from(t, "127.0.0.2", port))
	if got := l.Stats().Refused; got != [Limits]uint64{LimitConnections: 2} {
		t.Errorf("refused: %v", got)
	}
	note := string(l.await(Note, 0).Bytes)
	if !strings.HasPrefix(note, "warn\t") || !strings.Contains(note, "limit_connections_per_address 1; from 1 addresses, most from 127.0.0.2") {
		t.Errorf("the log has %q", note)
	}
	l.none(Note, 0) // within the minute
	l.advance(refusalsEach)
	if note := string(l.await(Note, 0).Bytes); !strings.Contains(note, "limit_connections_per_address 1; from 1 addresses") {
		t.Errorf("after a minute the log has %q", note)
	}
	l.advance(refusalsEach)
	l.quiet()
}

func TestExemptNetworksAreNotLimited(t *testing.T) {
	l, port := limited(t, func(s *Settings) {
		s.ConnectionsPerAddress, s.NewConnectionsPerAddress = 1, 1
		s.Exempt = "192.0.2.1,127.0.0.0/30"
	})
	for range 5 {
		from(t, "127.0.0.2", port)
		l.await(Accepted, 0)
	}
	from(t, "127.0.0.4", port)
	l.await(Accepted, 0)
	l.wantReset(from(t, "127.0.0.4", port))
}

func TestNewConnectionsOfAnAddressAreLimited(t *testing.T) {
	l, port := limited(t, func(s *Settings) { s.NewConnectionsPerAddress = 5 })
	for range 5 {
		from(t, "127.0.0.2", port)
		l.await(Accepted, 0)
	}
	l.wantReset(from(t, "127.0.0.2", port))
	time.Sleep(1100 * time.Millisecond)
	from(t, "127.0.0.2", port)
	l.await(Accepted, 0)
	if got := l.Stats().Refused[LimitNewConnections]; got == 0 {
		t.Error("nothing is counted")
	}
}

// TestPeersThatResetAtOnceAreLimited: the kernel forgets their names when they are asked
// for later.
func TestPeersThatResetAtOnceAreLimited(t *testing.T) {
	l, port := limited(t, func(s *Settings) { s.NewConnectionsPerAddress = 5 })
	for range 20 {
		conn := from(t, "127.0.0.2", port).(*net.TCPConn)
		_ = conn.SetLinger(0)
		conn.Close()
	}
	l.awaitStats(func(s Stats) bool { return s.Opened[KindAccepted]+s.Refused[LimitNewConnections] == 20 })
	if n := l.Stats().Refused[LimitNewConnections]; n < 10 {
		t.Errorf("%d of 20 are refused, want 15", n)
	}
}

func TestHandshakesOfAnAddressAreLimited(t *testing.T) {
	l, port := limited(t, func(s *Settings) { s.HandshakesPerAddress = 1 })
	context := l.context("server")
	begin := func(address string) Handle {
		from(t, address, port)
		h := l.await(Accepted, 0).Handle
		l.startTLS(h, context, 0, "")
		return h
	}
	first := begin("127.0.0.2")
	l.await(TLSStarted, first)
	l.awaitClosed(begin("127.0.0.2"), reasonTooManyHandshakes, false)
	l.await(TLSStarted, begin("127.0.0.3"))
	l.Release(first)
	l.await(TLSStarted, begin("127.0.0.2"))
}

// TestTheOldestHandshakeMakesRoom: honest peers get through while others never finish.
func TestTheOldestHandshakeMakesRoom(t *testing.T) {
	l, port := limited(t, func(s *Settings) { s.Handshakes = 3 })
	context := l.context("server")
	var handles []Handle
	for i := range 5 {
		from(t, fmt.Sprint("127.0.0.", 10+i), port)
		h := l.await(Accepted, 0).Handle
		l.startTLS(h, context, 0, "")
		l.await(TLSStarted, h)
		handles = append(handles, h)
	}
	l.awaitClosed(handles[0], reasonTooManyHandshakes, false)
	l.awaitClosed(handles[1], reasonTooManyHandshakes, false)
	if got := l.Stats().Refused[LimitHandshakes]; got != 2 {
		t.Errorf("refused: %d, want 2", got)
	}
	for _, h := range handles {
		l.Release(h)
	}
	l.step(10 * time.Millisecond)
	l.holdThread()
	if n := l.door.handshakes; n != 0 {
		t.Errorf("%d handshakes are counted after all have ended", n)
	}
}

// TestHandshakesThatWaitForUsAreNotEnded: if hellos come faster than they can be answered,
// most of those that came first are answered.
func TestHandshakesThatWaitForUsAreNotEnded(t *testing.T) {
	const most = 200
	l, port := limited(t, func(s *Settings) { s.HandshakesPerAddress, s.Handshakes = 0, most })
	context, hello := l.context("server"), clientHello()
	var handles []Handle
	for range 2 * most {
		_ = must(from(t, "127.0.0.2", port).Write(hello))(t)
		h := l.await(Accepted, 0).Handle
		l.starting[h] = true
		handles = append(handles, h)
	}
	l.awaitStats(func(s Stats) bool { return s.Undelivered == uint64(2*most*len(hello)) })
	for _, h := range handles {
		l.startTLS(h, context, 0, "")
	}
	l.awaitStats(func(s Stats) bool { return s.Refused[LimitHandshakes] > most/2 })
	l.step(10 * time.Millisecond)
	ended := 0 // of the first; some may be while the workers catch up
	for _, ev := range l.events {
		if ev.Kind == Closed && slices.Contains(handles[:most], ev.Handle) {
			ended++
		}
	}
	if ended > most/2 {
		t.Errorf("%d of the first %d handshakes ended", ended, most)
	}
	for _, h := range handles {
		l.Release(h)
	}
	for tls.Computing() > 0 { // it counts for the next test
		time.Sleep(time.Millisecond)
	}
}

// clientHello is what a client sends first.
func clientHello() []byte {
	var sent helloOnly
	_ = stdtls.Client(&sent, &stdtls.Config{InsecureSkipVerify: true}).Handshake()
	return sent.Bytes()
}

// helloOnly is a connection on which there is no answer.
type helloOnly struct {
	net.Conn
	bytes.Buffer
}

func (h *helloOnly) Read([]byte) (int, error)    { return 0, io.EOF }
func (h *helloOnly) Write(p []byte) (int, error) { return h.Buffer.Write(p) }
func (h *helloOnly) Close() error                { return nil }

// TestFinishedHandshakesDoNotCount: they leave the queue, too.
func TestFinishedHandshakesDoNotCount(t *testing.T) {
	l, _ := limited(t, func(s *Settings) { s.HandshakesPerAddress, s.Handshakes = 1, 1 })
	server, client := l.context("server"), l.context("client")
	for range 200 {
		c, s := l.ends()
		l.startTLS(s, server, 0, "")
		l.startTLS(c, client, 0, "")
		l.await(Secured, s)
		l.Release(c)
		l.Release(s)
	}
	l.holdThread()
	if n := len(l.door.queue); n > 70 {
		t.Errorf("the queue has %d handshakes that have ended", n)
	}
}

func TestSites(t *testing.T) {
	var d door
	d.exempt = must(ParseNetworks("10.0.0.0/8,fe80::/10,::1"))(t)
	for host, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"10.9.8.7": "", "::ffff:10.0.0.1": "", "fe80::1%eth0": "", "::1": "", "": "", "/run/socket": "",
	} {
		site, limited := d.limitedSite(Name{Host: host})
		if limited != (want != "") || limited && site != netip.MustParsePrefix(want) {
			t.Errorf("%q: %v %t, want %q", host, site, limited, want)
		}
	}
}

// TestVisitorsAreBounded: an address that left nothing to remember is forgotten.
func TestVisitorsAreBounded(t *testing.T) {
	d := door{visitors: map[netip.Prefix]*visitor{}}
	for i := range 100_000 {
		address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		d.visitor(netip.PrefixFrom(address, 32), int64(i)*10_000_000) // a hundred a second
	}
	if n := len(d.visitors); n > 3*fewVisitors {
		t.Errorf("%d visitors are remembered", n)
	}
}

func TestParseNetworks(t *testing.T) {
	for list, want := range map[string]string{
		"": "[]", "192.0.2.1": "[192.0.2.1/32]", "10.1.2.3/8,::1": "[10.0.0.0/8 ::1/128]",
		"::ffff:192.0.2.1": "[192.0.2.1/32]", "::ffff:10.1.2.3/104": "[10.0.0.0/8]",
	} {
		if got, err := ParseNetworks(list); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v; want %s", list, got, err, want)
		}
	}
	for _, list := range []string{"example.org", "10.0.0.0/33", "1.2.3", "::1/129", "10.0.0.0/8, ::1", "fe80::1%lo", "::ffff:10.0.0.0/64"} {
		if got, err := ParseNetworks(list); err == nil {
			t.Errorf("%q: %v, want an error", list, got)
		}
	}
}
