package loop

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func raise(t *testing.T, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

func TestSignalsAreEvents(t *testing.T) {
	l := newTestLoop(t)
	for _, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGHUP} {
		if err := l.HookSignal(int(sig)); err != nil {
			t.Fatal(err)
		}
	}
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGUSR1} {
		raise(t, sig)
		if ev := l.await(Signal, 0); ev.Value != int32(sig) {
			t.Errorf("signal %d arrived as %d", sig, ev.Value)
		}
	}
	l.quiet()
}

func TestSignalHookedTwiceArrivesOnce(t *testing.T) {
	l := newTestLoop(t)
	for range 2 {
		if err := l.HookSignal(int(unix.SIGUSR1)); err != nil {
			t.Fatal(err)
		}
	}
	raise(t, unix.SIGUSR1)
	l.await(Signal, 0)
	l.quiet()
}

func TestUnhookedSignalIsNoEvent(t *testing.T) {
	l := newTestLoop(t)
	number := int(unix.SIGWINCH) // ignored by default
	if err := cmpError(l.HookSignal(number), l.UnhookSignal(number)); err != nil {
		t.Fatal(err)
	}
	raise(t, unix.SIGWINCH)
	l.quiet()
	if err := l.HookSignal(number); err != nil {
		t.Fatal(err)
	}
	raise(t, unix.SIGWINCH)
	l.await(Signal, 0)
}

func TestSignalsThatCannotBeHandled(t *testing.T) {
	l := newTestLoop(t)
	for _, number := range []int{0, -1, 65, 1 << 30, int(unix.SIGKILL), int(unix.SIGSTOP)} {
		if err := l.HookSignal(number); err == nil {
			t.Errorf("HookSignal(%d) succeeded", number)
		}
		if err := l.UnhookSignal(number); err == nil {
			t.Errorf("UnhookSignal(%d) succeeded", number)
		}
	}
	if l.signals.received != nil {
		t.Error("a goroutine was started for nothing")
	}
}

func TestCloseEndsTheSignalGoroutine(t *testing.T) {
	warm := must(New())(t)
	if err := warm.HookSignal(int(unix.SIGWINCH)); err != nil { // starts os/signal's own
		t.Fatal(err)
	}
	warm.Close()
	time.Sleep(10 * time.Millisecond)
	before := runtime.NumGoroutine()
	for range 5 {
		l := must(New())(t)
		if err := l.HookSignal(int(unix.SIGWINCH)); err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	raise(t, unix.SIGWINCH)
	for start := time.Now(); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("%d goroutines, %d at the start", runtime.NumGoroutine(), before)
		}
	}
}
