package loop

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"golang.org/x/sys/unix"

	"net.server_go/tls"
)

// proxyPort is a port behind a proxy at 127.0.0.1.
func proxyPort(t *testing.T, change func(*Settings)) (l *testLoop, server Handle, port int) {
	t.Helper()
	l = newTestLoop(t)
	t.Cleanup(l.forgetRefusals)
	server, _ = l.listen(0)
	_, local := l.Names(server)
	settings := DefaultSettings()
	settings.ProxyPorts, settings.ProxyTrusted = fmt.Sprint("1,", local.Port), "127.0.0.1"
	if change != nil {
		change(&settings)
	}
	l.Configure(settings)
	return l, server, local.Port
}

// proxyHeader is one of a connection from client to 192.0.2.20:5222.
func proxyHeader(t *testing.T, version byte, client string) string {
	t.Helper()
	from := net.TCPAddrFromAddrPort(must(netip.ParseAddrPort(client))(t))
	to := &net.TCPAddr{IP: net.ParseIP("192.0.2.20"), Port: 5222}
	if from.IP.To4() == nil {
		to.IP = net.ParseIP("2001:db8::20")
	}
	return string(must(proxyproto.HeaderProxyFromAddrs(version, from, to).Format())(t))
}

func TestProxyTellsTheClient(t *testing.T) {
	for _, version := range []byte{1, 2} {
		for _, client := range []string{"203.0.113.7:4711", "[2001:db8::7]:4711"} {
			for _, piece := range []int{1, 7, 4096} {
				l, server, port := proxyPort(t, nil)
				peer := from(t, "127.0.0.1", port)
				text := proxyHeader(t, version, client) + "hello"
				for len(text) > 0 {
					n := min(piece, len(text))
					_ = must(peer.Write([]byte(text[:n])))(t)
					text = text[n:]
					if piece < 4096 {
						l.step(0)
					}
				}
				accepted := l.await(Accepted, 0)
				want := must(netip.ParseAddrPort(client))(t)
				got, local := l.Names(accepted.Handle)
				if accepted.Listener != server || got != (Name{want.Addr().String(), int(want.Port()), true}) || local.Port != 5222 {
					t.Errorf("version %d, %s: %+v, from %+v to %+v", version, client, accepted, got, local)
				}
				if text := string(accepted.Bytes); !strings.HasPrefix(text, want.Addr().String()+"\x004711\x00") {
					t.Errorf("Lua gets %q", text)
				}
				l.wantData(accepted.Handle, "hello")
				l.put(accepted.Handle, "welcome")
				l.await(Drained, accepted.Handle)
				wantRead(t, peer, "welcome")
			}
		}
	}
}

func wantRead(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n := must(conn.Read(b))(t); string(b[:n]) != want {
		t.Errorf("read %q, want %q", b[:n], want)
	}
}

// TestProxyBeforeTLS: direct TLS, whose hello comes with the header.
func TestProxyBeforeTLS(t *testing.T) {
	l, _, port := proxyPort(t, nil)
	client := must(l.Dial("127.0.0.1", port, "", 0))(t).Handle
	l.await(Connected, client)
	l.put(client, proxyHeader(t, 2, "203.0.113.7:1"))
	l.startTLS(client, l.context("client"), 0, "")
	server := l.await(Accepted, 0).Handle
	l.startTLS(server, l.context("server"), startDirect, "")
	l.await(Secured, server)
	l.put(client, "hello")
	l.wantData(server, "hello")
	if got := tls.InfoOf(l.Session(server).ConnectionState()).Protocol; got != "TLSv1.3" {
		t.Errorf("protocol %s", got)
	}
}

// TestProxysOwnConnections, health checks for one, have the proxy's address.
func TestProxysOwnConnections(t *testing.T) {
	local := must((&proxyproto.Header{Version: 2, Command: proxyproto.LOCAL}).Format())(t)
	for _, header := range []string{string(local), "PROXY UNKNOWN\r\n", "PROXY UNKNOWN 1.2.3.4 5.6.7.8 9 10\r\n"} {
		l, _, port := proxyPort(t, nil)
		peer := from(t, "127.0.0.1", port)
		_ = must(peer.Write([]byte(header)))(t)
		h := l.await(Accepted, 0).Handle
		if got, _ := l.Names(h); got.Host != "127.0.0.1" {
			t.Errorf("%q: from %+v", header, got)
		}
	}
}

func TestWithoutAProperHeaderNobodyComesIn(t *testing.T) {
	v2 := proxyHeader(t, 2, "203.0.113.7:4711")
	for _, text := range []string{
		"<stream:stream>", "\x16\x03\x01\x02\x00\x01", "PROXY TCP4 203.0.113.7 192.0.2.20 1 99999\r\n",
		"PROXY TCP4 example.org 192.0.2.20 1 2\r\n", "PROXY TCP6 fe80::1%lo ::1 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
		"PROXY" + strings.Repeat("x", 200), v2[:13] + "\x12" + v2[14:], v2[:12] + "\x31" + v2[13:],
		v2[:14] + "\xff\xff" + strings.Repeat("x", 70000), v2[:14] + "\x00\x01x",
	} {
		l, _, port := proxyPort(t, nil)
		peer := from(t, "127.0.0.1", port)
		go func() { _, _ = peer.Write([]byte(text)) }()
		l.wantReset(peer)
		l.none(Accepted, 0)
		if got := l.Stats().Refused[LimitProxyProtocol]; got != 1 {
			t.Errorf("%.20q: %d are counted", text, got)
		}
	}
}

// TestOnlyTrustedProxiesAreBelieved: others are turned away, whatever they say.
func TestOnlyTrustedProxiesAreBelieved(t *testing.T) {
	l, _, port := proxyPort(t, nil)
	peer := from(t, "127.0.0.2", port)
	_, _ = peer.Write([]byte(proxyHeader(t, 1, "203.0.113.7:4711")))
	l.wantReset(peer)
	l.none(Accepted, 0)
}

// TestExemptProxiesShowInTheLog: most are exempt, and one that is not trusted, or sends no
// header, must not be refused without a word.
func TestExemptProxiesShowInTheLog(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "127.0.0.2"} { // trusted, and not
		l, _, port := proxyPort(t, func(s *Settings) { s.Exempt = "127.0.0.0/8" })
		peer := from(t, address, port)
		_, _ = peer.Write([]byte("<stream:stream>"))
		l.wantReset(peer)
		if note := string(l.await(Note, 0).Bytes); !strings.Contains(note, "proxy_protocol_ports 1; from 1 addresses, most from "+address) {
			t.Errorf("%s: the log has %q", address, note)
		}
	}
}

// TestHealthChecksAreNotRefused: whoever only looks whether the port is open, and ends
// by a FIN or by a reset.
func TestHealthChecksAreNotRefused(t *testing.T) {
	for _, reset := range []bool{false, true} {
		l, _, port := proxyPort(t, nil)
		peer := from(t, "127.0.0.1", port).(*net.TCPConn)
		l.step(20 * time.Millisecond)
		if reset {
			_ = peer.SetLinger(0)
		}
		_ = peer.Close()
		l.step(20 * time.Millisecond)
		l.none(Note, 0)
		if got := l.Stats().Refused; got != [Limits]uint64{} {
			t.Errorf("refused: %v (by a reset: %t)", got, reset)
		}
	}
}

// TestARefusedProxiedConnectionLeavesADescriptor: a port that had none goes on at once.
func TestARefusedProxiedConnectionLeavesADescriptor(t *testing.T) {
	l, server, port := proxyPort(t, func(s *Settings) { s.NewConnectionsPerAddress = 1 })
	for _, closed := range []bool{false, true} {
		peer := from(t, "127.0.0.1", port)
		l.step(20 * time.Millisecond)
		l.step(20 * time.Millisecond)
		l.holdThread()
		o, _ := l.objects.get(must(l.Listen("127.0.0.1", 0, 0))(t).Handle)
		short := o.(*listener)
		l.door.visitor(netip.MustParsePrefix("203.0.113.7/32"), l.now).spent = 1
		if closed {
			l.Release(server)
		}
		short.failed(unix.EMFILE)
		_ = must(peer.Write([]byte(proxyHeader(t, 2, "203.0.113.7:1"))))(t)
		l.wantReset(peer)
		l.holdThread()
		if short.retry != 0 {
			t.Errorf("the port waits (other port closed: %t)", closed)
		}
	}
}

func TestProxyHeaderHasATime(t *testing.T) {
	l, _, port := proxyPort(t, nil)
	peer := from(t, "127.0.0.1", port)
	_ = must(peer.Write([]byte("PROXY TCP4 ")))(t)
	l.step(0)
	l.step(0)
	l.advance(DefaultSettings().ConnectTimeout)
	l.wantReset(peer)
}

// TestLimitsSeeTheClient: of one proxy's clients each has its own.
func TestLimitsSeeTheClient(t *testing.T) {
	l, _, port := proxyPort(t, func(s *Settings) { s.ConnectionsPerAddress, s.Exempt = 1, "127.0.0.1" })
	for i, client := range []string{"203.0.113.7:1", "203.0.113.8:1", "203.0.113.7:2"} {
		peer := from(t, "127.0.0.1", port)
		_ = must(peer.Write([]byte(proxyHeader(t, 2, client))))(t)
		if i < 2 {
			l.await(Accepted, 0)
		} else {
			l.wantReset(peer)
		}
	}
}

// TestPortIsClosedBeforeTheHeader: nobody is there any more to hear of the connection.
func TestPortIsClosedBeforeTheHeader(t *testing.T) {
	l, server, port := proxyPort(t, nil)
	peer := from(t, "127.0.0.1", port)
	l.step(0)
	l.step(0)
	l.Release(server)
	_ = must(peer.Write([]byte(proxyHeader(t, 2, "203.0.113.7:1"))))(t)
	l.wantReset(peer)
	l.none(Accepted, 0)
}

// FuzzProxyHeader: what is not a header is refused as soon as that is known, and a name
// is an address.
func FuzzProxyHeader(f *testing.F) {
	for _, seed := range []string{"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n", "PROXY UNKNOWN\r\n",
		string(proxyproto.SIGV2) + "\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x09\x00\x0a"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, received []byte) {
		size, err := proxyHeaderSize(received)
		switch {
		case size < 0 || size > maxProxyHeader || err != nil && size != 0:
			t.Fatalf("%d, %v", size, err)
		case err == nil && size == 0 && len(received) >= 107:
			t.Fatal("no answer for a whole header")
		case size == 0 || size > len(received):
			return
		}
		client, server, err := parseProxyHeader(received[:size])
		if err != nil && (client.Known || server.Known) || client.Known != server.Known {
			t.Fatalf("%+v %+v %v", client, server, err)
		}
		for _, name := range []Name{client, server} {
			if name.Known && net.ParseIP(name.Host) == nil {
				t.Fatalf("%+v", name)
			}
		}
	})
}
