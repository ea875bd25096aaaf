package loop

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// signals turns process signals into events.
type signals struct {
	received chan os.Signal
	done     chan struct{}
}

// HookSignal has the signal number delivered as Signal events from now on,
// instead of by its present handler.
func (l *Loop) HookSignal(number int) error {
	sig, err := hookable(number)
	if err != nil {
		return err
	}
	s := &l.signals
	if s.received == nil {
		s.received, s.done = make(chan os.Signal, 16), make(chan struct{})
		go l.forwardSignals(s.received, s.done)
	}
	signal.Notify(s.received, sig)
	return nil
}

// UnhookSignal gives the signal back to what handled it before.
func (l *Loop) UnhookSignal(number int) error {
	sig, err := hookable(number)
	if err == nil {
		signal.Reset(sig)
	}
	return err
}

// hookable refuses numbers that are none, what no process can catch, and what
// the processor raises on the instruction at fault: a loop is no place for
// those, and Go's runtime needs them and SIGURG.
func hookable(number int) (unix.Signal, error) {
	sig := unix.Signal(number)
	switch sig {
	case unix.SIGKILL, unix.SIGSTOP, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGURG:
	default:
		if number > 0 && number <= 64 && number != 32 && number != 33 { // 32, 33: libc's own
			return sig, nil
		}
	}
	return 0, fmt.Errorf("signal %d cannot be handled", number)
}

func (l *Loop) forwardSignals(received <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case sig := <-received:
			number := int32(sig.(unix.Signal))
			l.Post(func() { l.emit(Event{Kind: Signal, Value: number}) })
		case <-done:
			return
		}
	}
}

func (s *signals) stop() {
	if s.received != nil {
		signal.Stop(s.received)
		close(s.done)
	}
}
