package loop

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var runtimePoller struct {
	sync.Mutex
	started bool
}

// startRuntimePoller has Go's runtime open the two descriptors of its own
// poller. It would do so for its first timer, and end the process if there
// were no descriptors then (runtime.netpollinit).
func startRuntimePoller() error {
	p := &runtimePoller
	p.Lock()
	defer p.Unlock()
	if p.started {
		return nil
	}
	if err := descriptorsAreLeft(2); err != nil {
		return err
	}
	time.AfterFunc(time.Hour, func() {}).Stop()
	p.started = true
	return nil
}

// descriptorsAreLeft returns why n descriptors cannot be opened.
func descriptorsAreLeft(n int) error {
	for range n {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			return os.NewSyscallError("eventfd", err)
		}
		defer closeFD(fd)
	}
	return nil
}
