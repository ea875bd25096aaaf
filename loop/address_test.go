package loop

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestResolveLiterals(t *testing.T) {
	for _, c := range []struct {
		host   string
		family int
		want   string // "" for an error
	}{
		{"127.0.0.1", unix.AF_UNSPEC, "127.0.0.1"},
		{"127.0.0.1", unix.AF_INET, "127.0.0.1"},
		{"127.0.0.1", unix.AF_INET6, ""},
		{"::1", unix.AF_UNSPEC, "::1"},
		{"::1", unix.AF_INET6, "::1"},
		{"::1", unix.AF_INET, ""},
		{"2001:DB8:0:0::1", unix.AF_UNSPEC, "2001:db8::1"},
		{"fe80::1%lo", unix.AF_UNSPEC, "fe80::1%lo"},
		{"::ffff:127.0.0.1", unix.AF_INET6, "::ffff:127.0.0.1"},
		{"", unix.AF_UNSPEC, ""},
		{"\x00", unix.AF_UNSPEC, ""},
		{"127.0.0.1\x00.example", unix.AF_UNSPEC, ""},
		{"localhost\x00", unix.AF_UNSPEC, ""},
		{"a b", unix.AF_UNSPEC, ""},
		{"..", unix.AF_UNSPEC, ""},
		{strings.Repeat("a", 300), unix.AF_UNSPEC, ""},
	} {
		ips, err := resolve(c.host, c.family)
		if c.want == "" {
			if !errors.Is(err, errUnresolved) {
				t.Errorf("resolve(%.20q, %d) = %v, %v; want an error", c.host, c.family, ips, err)
			}
		} else if err != nil || len(ips) != 1 || ips[0].String() != c.want {
			t.Errorf("resolve(%q, %d) = %v, %v; want %s", c.host, c.family, ips, err, c.want)
		}
	}
}

func TestResolveLocalhost(t *testing.T) {
	start := time.Now()
	for family, is4 := range map[int]bool{unix.AF_INET: true, unix.AF_INET6: false} {
		ips, err := resolve("localhost", family)
		if family == unix.AF_INET6 && err != nil {
			continue // not every /etc/hosts has one
		}
		if err != nil || len(ips) == 0 {
			t.Fatalf("resolve(localhost, %d) = %v, %v", family, ips, err)
		}
		for _, ip := range ips {
			if !ip.IsLoopback() || ip.Is4() != is4 {
				t.Errorf("family %d: localhost is %v", family, ip)
			}
		}
	}
	if took := time.Since(start); took > resolveTimeout+patience {
		t.Errorf("took %v", took)
	}
}

// boundName binds a socket to sa and returns the name that it then has.
func boundName(t *testing.T, family int, sa unix.Sockaddr) Name {
	t.Helper()
	fd := must(unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))(t)
	defer closeFD(fd)
	if sa != nil {
		if err := unix.Bind(fd, sa); err != nil {
			t.Fatalf("bind %+v: %v", sa, err)
		}
	}
	name, _ := readName(unix.SYS_GETSOCKNAME, fd)
	return name
}

func TestSockaddrRoundTrip(t *testing.T) {
	for _, text := range []string{"127.0.0.1", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1"} {
		ip := netip.MustParseAddr(text)
		sa, err := sockaddr(ip, 0)
		if err != nil {
			t.Errorf("sockaddr(%s): %v", text, err)
			continue
		}
		if got := boundName(t, familyOf(ip), sa); got.Host != text || !got.Known || (text[0] != ':' && text != "0.0.0.0" && got.Port == 0) {
			t.Errorf("the name of %s is %+v", text, got)
		}
	}
}

func TestZones(t *testing.T) {
	for zone, ok := range map[string]bool{"lo": true, "1": true, "no-such-zone": false} {
		sa, err := sockaddr(netip.MustParseAddr("fe80::1%"+zone), 1)
		if !ok {
			if !errors.Is(err, errUnresolved) {
				t.Errorf("zone %s: %v, %v; want an error", zone, sa, err)
			}
		} else if six, is6 := sa.(*unix.SockaddrInet6); err != nil || !is6 || six.ZoneId != 1 {
			t.Errorf("zone %s: %+v, %v; want the loopback interface", zone, sa, err)
		}
	}
	// One whose interface is gone keeps its number.
	if got := zoneName(1 << 30); got != "1073741824" {
		t.Errorf("an unknown zone is %q", got)
	}
	if got := zoneName(1); got != "lo" {
		t.Errorf("zone 1 is %q", got)
	}
}

func TestNamesOfUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for want, sa := range map[string]unix.Sockaddr{
		path:             &unix.SockaddrUnix{Name: path},
		"@net.server_go": &unix.SockaddrUnix{Name: "@net.server_go"},
		"":               nil,
	} {
		if got := boundName(t, unix.AF_UNIX, sa); got != (Name{want, 0, true}) {
			t.Errorf("the name of %+v is %+v, want %q", sa, got, want)
		}
	}
	if got, _ := readName(unix.SYS_GETSOCKNAME, -1); got.Known {
		t.Errorf("no socket has the name %+v", got)
	}
}

func TestNamesOfBothEnds(t *testing.T) {
	l := newTestLoop(t)
	for _, host := range []string{"127.0.0.1", "::1"} {
		server := must(l.Listen(host, 0, 0))(t).Handle
		_, bound := l.Names(server)
		client := must(l.Dial(host, bound.Port, "", 0))(t).Handle
		l.await(Connected, client)
		accepted := l.await(Accepted, 0).Handle
		clientPeer, clientLocal := l.Names(client)
		serverPeer, serverLocal := l.Names(accepted)
		if clientPeer != bound || serverLocal != bound || clientLocal != serverPeer || clientLocal.Host != host {
			t.Errorf("client %+v %+v, server %+v %+v, bound %+v", clientPeer, clientLocal, serverPeer, serverLocal, bound)
		}
	}
	peer, local := l.Names(0)
	if peer.Known || local.Known {
		t.Errorf("nobody has names %+v, %+v", peer, local)
	}
}
