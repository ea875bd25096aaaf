package loop

import (
	"testing"

	"golang.org/x/sys/unix"
)

func option(t *testing.T, fd, level, name int) int {
	t.Helper()
	return must(unix.GetsockoptInt(fd, level, name))(t)
}

func TestSetOption(t *testing.T) {
	l := newTestLoop(t)
	h, _ := l.accept(0)
	fd := l.FD(h)
	for _, c := range []struct {
		name        string
		level, code int
		value       int
	}{
		{"keepalive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"keepalive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0},
		{"tcp-nodelay", unix.IPPROTO_TCP, unix.TCP_NODELAY, 0},
		{"tcp-nodelay", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"tcp-keepidle", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 77},
		{"tcp-keepintvl", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 7},
		{"tcp-keepcnt", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 5},
		{"reuseaddr", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{"reuseport", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{"broadcast", unix.SOL_SOCKET, unix.SO_BROADCAST, 1},
		{"dontroute", unix.SOL_SOCKET, unix.SO_DONTROUTE, 1},
	} {
		if err := l.SetOption(h, c.name, c.value); err != nil {
			t.Errorf("%s = %d: %v", c.name, c.value, err)
		} else if got := option(t, fd, c.level, c.code); got != c.value {
			t.Errorf("%s is %d after setting %d", c.name, got, c.value)
		}
	}
	for _, name := range []string{"recv-buffer-size", "send-buffer-size"} {
		if err := l.SetOption(h, name, 30_000); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := option(t, fd, unix.SOL_SOCKET, unix.SO_SNDBUF); got != 60_000 { // Linux doubles it
		t.Errorf("send-buffer-size is %d after setting 30000", got)
	}
}

func TestLinger(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	for _, c := range []struct {
		value int
		want  unix.Linger
	}{{5, unix.Linger{Onoff: 1, Linger: 5}}, {-1, unix.Linger{}}, {0, unix.Linger{Onoff: 1}}} {
		if err := l.SetOption(h, "linger", c.value); err != nil {
			t.Fatal(err)
		}
		got := must(unix.GetsockoptLinger(l.FD(h), unix.SOL_SOCKET, unix.SO_LINGER))(t)
		if got.Onoff != c.want.Onoff || got.Onoff != 0 && got.Linger != c.want.Linger {
			t.Errorf("linger %d is %+v, want %+v", c.value, *got, c.want)
		}
	}
	l.Release(h)
	if _, err := peer.Read(make([]byte, 1)); err == nil {
		t.Error("the peer got no reset")
	}
}

func TestSetOptionFails(t *testing.T) {
	l := newTestLoop(t)
	h, _ := l.accept(0)
	for _, c := range []struct {
		h     Handle
		name  string
		value int
		want  string
	}{
		{h, "no-such-option", 1, "unsupported option 'no-such-option'"},
		{h, "", 1, "unsupported option ''"},
		{h, "tcp-keepidle", -1, "Invalid argument"},
		{h, "ipv6-v6only", 1, "Protocol not available"},
		{0, "keepalive", 1, "closed"},
		{h + 1<<indexBits, "keepalive", 1, "closed"},
	} {
		if err := l.SetOption(c.h, c.name, c.value); err == nil || err.Error() != c.want {
			t.Errorf("SetOption(%q, %d): %v; want %q", c.name, c.value, err, c.want)
		}
	}
}

func TestSettingsBecomeOptions(t *testing.T) {
	nagle, all := DefaultSettings(), DefaultSettings()
	nagle.NoDelay = false
	all.Keepalive, all.KeepaliveIdle = true, 99
	all.KeepaliveInterval, all.KeepaliveCount, all.UserTimeout = 7, 3, 30
	all.DeferAccept, all.FastOpen = 3, 5
	for _, c := range []struct {
		settings                     Settings
		noDelay, keepalive, keepidle int
	}{
		{DefaultSettings(), 1, 0, -1},
		{nagle, 0, 0, -1},
		{all, 1, 1, 99},
	} {
		l := newTestLoop(t)
		l.Configure(c.settings)
		server, _ := l.listen(0)
		_, local := l.Names(server)
		client := must(l.Dial("127.0.0.1", local.Port, "", 0))(t).Handle
		l.await(Connected, client)
		l.put(client, "x") // TCP_DEFER_ACCEPT waits for it
		accepted := l.await(Accepted, 0).Handle
		for _, h := range []Handle{client, accepted} {
			fd := l.FD(h)
			if got := option(t, fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); got != c.noDelay {
				t.Errorf("TCP_NODELAY is %d, want %d", got, c.noDelay)
			}
			if got := option(t, fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE); got != c.keepalive {
				t.Errorf("SO_KEEPALIVE is %d, want %d", got, c.keepalive)
			}
			if got := option(t, fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); c.keepidle >= 0 && got != c.keepidle {
				t.Errorf("TCP_KEEPIDLE is %d, want %d", got, c.keepidle)
			}
			for name, o := range map[string]struct{ option, set, want int }{
				"TCP_KEEPINTVL":    {unix.TCP_KEEPINTVL, c.settings.KeepaliveInterval, 7},
				"TCP_KEEPCNT":      {unix.TCP_KEEPCNT, c.settings.KeepaliveCount, 3},
				"TCP_USER_TIMEOUT": {unix.TCP_USER_TIMEOUT, c.settings.UserTimeout, 30000}, // milliseconds
			} {
				if got := option(t, fd, unix.IPPROTO_TCP, o.option); o.set > 0 && got != o.want || o.set == 0 && got == o.want {
					t.Errorf("%s is %d with the setting %d, want %d", name, got, o.set, o.want)
				}
			}
		}
		if got := option(t, l.FD(server), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT); (got > 0) != (c.settings.DeferAccept > 0) {
			t.Errorf("TCP_DEFER_ACCEPT is %d, want %d", got, c.settings.DeferAccept)
		}
		if got := option(t, l.FD(server), unix.IPPROTO_TCP, unix.TCP_FASTOPEN); got != c.settings.FastOpen {
			t.Errorf("TCP_FASTOPEN is %d, want %d", got, c.settings.FastOpen)
		}
		if got := option(t, l.FD(client), unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT); (got > 0) != (c.settings.FastOpen > 0) {
			t.Errorf("TCP_FASTOPEN_CONNECT is %d with tcp_fastopen = %d", got, c.settings.FastOpen)
		}
	}
}

// TestServedSocketsGetTheOptionsToo: as in the reference, also those that
// somebody else made.
func TestServedSocketsGetTheOptionsToo(t *testing.T) {
	l := newTestLoop(t)
	theirs, _ := l.listen(0)
	settings := DefaultSettings()
	settings.FastOpen = 7
	l.Configure(settings)
	ours := must(l.Serve(l.FD(theirs), 0))(t)
	if got := option(t, ours.FD, unix.IPPROTO_TCP, unix.TCP_FASTOPEN); got != 7 {
		t.Errorf("TCP_FASTOPEN is %d, want 7", got)
	}
}

// TestDescriptorsAreNotInherited: every one must be closed by exec and never block.
func TestDescriptorsAreNotInherited(t *testing.T) {
	l := newTestLoop(t)
	server, _ := l.listen(0)
	_, local := l.Names(server)
	client := must(l.Dial("127.0.0.1", local.Port, "", 0))(t).Handle
	accepted := l.await(Accepted, 0).Handle
	owners := must(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0))(t) // blocking, and inherited
	t.Cleanup(func() { closeFD(owners) })
	adopted := must(l.Adopt(owners, 0))(t).Handle
	for _, fd := range []int{l.poller.fd, l.poller.later, l.wake.fd, l.FD(server), l.FD(client), l.FD(accepted), l.FD(adopted)} {
		if flags := must(unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0))(t); flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d is inherited", fd)
		}
		if flags := must(unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0))(t); flags&unix.O_NONBLOCK == 0 && fd != l.poller.fd && fd != l.poller.later {
			t.Errorf("descriptor %d may block", fd)
		}
	}
}
