package loop

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReasons(t *testing.T) {
	for err, want := range map[error]string{
		unix.EADDRINUSE:    "address already in use",
		unix.EACCES:        "permission denied",
		unix.ECONNREFUSED:  "connection refused",
		unix.ECONNRESET:    "closed",
		unix.ECONNABORTED:  "closed",
		unix.EPIPE:         "closed",
		unix.ETIMEDOUT:     "timeout",
		unix.EISCONN:       "already connected",
		unix.EHOSTUNREACH:  "No route to host",
		unix.ENETUNREACH:   "Network is unreachable",
		unix.EADDRNOTAVAIL: "Cannot assign requested address",
		unix.EMFILE:        "Too many open files",
		unix.EPERM:         "Operation not permitted",
		errBadFD:           "invalid fd",
	} {
		wrapped := []error{err, &Error{err}, fmt.Errorf("in some call: %w", err)}
		if err == errBadFD {
			wrapped = wrapped[:1]
		} else {
			wrapped = append(wrapped, os.NewSyscallError("call", err))
		}
		for _, e := range wrapped {
			if got := reason(e); got != want {
				t.Errorf("reason(%#v) = %q, want %q", e, got, want)
			}
		}
	}
}

func TestEveryErrnoHasAReason(t *testing.T) {
	for errno := unix.Errno(1); errno < 140; errno++ {
		if got := reason(errno); got == "" {
			t.Errorf("errno %d has no text", errno)
		}
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	err := error(&Error{unix.EADDRINUSE})
	if !errors.Is(err, unix.EADDRINUSE) || err.Error() != "address already in use" {
		t.Errorf("%v hides its cause", err)
	}
}
