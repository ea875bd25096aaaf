package loop

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newNetwork gives the test's thread a network of its own, with a loopback
// interface and TCP Fast Open for both sides.
func newNetwork(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // for ever: the thread ends with the test's goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("a network of its own needs root: unshare: %v", err)
	}
	fd := must(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))(t)
	defer closeFD(fd)
	lo := must(unix.NewIfreq("lo"))(t)
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_fastopen", []byte("3"), 0o644); err != nil {
		t.Skipf("tcp_fastopen cannot be enabled here: %v", err)
	}
}

// tcpCounter is a counter of the TcpExt group of the thread's network.
func tcpCounter(t *testing.T, name string) string {
	t.Helper()
	lines := strings.Split(string(must(os.ReadFile("/proc/thread-self/net/netstat"))(t)), "\n")
	names, values := strings.Fields(lines[0]), strings.Fields(lines[1])
	for i := range names {
		if names[i] == name {
			return values[i]
		}
	}
	t.Fatalf("no counter %s", name)
	return ""
}

// TestFastOpen connects four times. The first asks for the cookie; then
// data goes with the SYN, the last time more than fits.
func TestFastOpen(t *testing.T) {
	newNetwork(t)
	l := newTestLoop(t)
	settings := DefaultSettings()
	settings.FastOpen = 5
	l.Configure(settings)
	server, _ := l.listen(int(ReadAny))
	_, bound := l.Names(server)
	for _, size := range []int{5, 5, 5, 300_000} {
		client := must(l.Dial("127.0.0.1", bound.Port, "", int(ReadAny)))(t).Handle
		l.await(Connected, client)
		l.put(client, pattern(size))
		accepted := l.await(Accepted, 0).Handle
		l.wantData(accepted, pattern(size))
		l.put(accepted, "reply")
		l.wantData(client, "reply")
		l.Release(client)
		l.awaitClosed(accepted, reasonClosed, true)
		l.Release(accepted)
	}
	if got := tcpCounter(t, "TCPFastOpenPassive"); got != "3" {
		t.Errorf("%s connections opened with data, want 3", got)
	}
	// And one that is refused, which shows only when it sends.
	l.Release(server)
	client := must(l.Dial("127.0.0.1", bound.Port, "", 0))(t).Handle
	l.await(Connected, client)
	l.put(client, "x")
	l.awaitClosed(client, "connection refused", false)

	// The cookie is forgotten between connect and send: the SYN goes alone.
	server, _ = l.listen(int(ReadAny))
	_, bound = l.Names(server)
	client = must(l.Dial("127.0.0.1", bound.Port, "", 0))(t).Handle
	l.await(Connected, client)
	if out, err := exec.Command("ip", "tcp_metrics", "flush").CombinedOutput(); err != nil {
		t.Fatalf("ip: %v: %s", err, out)
	}
	l.put(client, "x")
	l.wantData(l.await(Accepted, 0).Handle, "x")
}
