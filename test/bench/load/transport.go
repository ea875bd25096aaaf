package main

import (
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A transport is a non-blocking descriptor under crypto/tls or alone. Read says errAgain when nothing is there,
// which a tls.Conn forgives because it is temporary; a Write waits until all is taken.
type transport struct {
	fd      int
	empty   bool // the last read took all there was
	waiting bool // Read waits too: during the handshake
	wait    func(fd int, events int16) error
}

type again struct{}

func (again) Error() string   { return "nothing to read yet" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

var errAgain net.Error = again{}

func (t *transport) Read(buffer []byte) (int, error) {
	for {
		if t.empty {
			if !t.waiting {
				return 0, errAgain
			}
			if err := t.wait(t.fd, unix.POLLIN); err != nil {
				return 0, err
			}
		}
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(t.fd), address(buffer), uintptr(len(buffer)))
		switch {
		case errno == unix.EAGAIN:
			t.empty = true
		case errno != 0:
			return 0, os.NewSyscallError("read", errno)
		case n == 0:
			return 0, io.EOF
		default:
			t.empty = int(n) < len(buffer)
			return int(n), nil
		}
	}
}

func (t *transport) Write(data []byte) (int, error) {
	for done := 0; done < len(data); {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(t.fd), address(data[done:]), uintptr(len(data)-done))
		switch errno {
		case 0:
			done += int(n)
		case unix.EAGAIN:
			if err := t.wait(t.fd, unix.POLLOUT); err != nil {
				return done, err
			}
		default:
			return done, os.NewSyscallError("write", errno)
		}
	}
	return len(data), nil
}

func await(fd int, events int16) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, int(dialTimeout/time.Millisecond))
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			return os.ErrDeadlineExceeded
		}
		return os.NewSyscallError("poll", err)
	}
}

func (t *transport) Close() error { return unix.Close(t.fd) }

// What a net.Conn must have besides; crypto/tls does not use it unless asked.

func (t *transport) LocalAddr() net.Addr              { return nil }
func (t *transport) RemoteAddr() net.Addr             { return nil }
func (t *transport) SetDeadline(time.Time) error      { return nil }
func (t *transport) SetReadDeadline(time.Time) error  { return nil }
func (t *transport) SetWriteDeadline(time.Time) error { return nil }
