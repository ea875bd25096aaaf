package loop

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// reasonClosed is the reason for an end of stream, a reset or a broken pipe.
const reasonClosed = "closed"

// luaSocketTexts are LuaSocket's words for errors (its pierror.h), which
// Prosody and its modules know.
var luaSocketTexts = map[unix.Errno]string{
	unix.EADDRINUSE:   "address already in use",
	unix.EISCONN:      "already connected",
	unix.EACCES:       "permission denied",
	unix.ECONNREFUSED: "connection refused",
	unix.ECONNABORTED: reasonClosed,
	unix.ECONNRESET:   reasonClosed,
	unix.EPIPE:        reasonClosed,
	unix.ETIMEDOUT:    "timeout",
}

// reason is the text that Lua gets for err: LuaSocket's where it has one,
// else that of strerror(3).
func reason(err error) string {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	if text, ok := luaSocketTexts[errno]; ok {
		return text
	}
	// Go's texts are strerror's with the first letter in lower case.
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// An Error carries the text that Lua gets for an error from the system.
type Error struct{ err error }

func (e *Error) Error() string { return reason(e.err) }
func (e *Error) Unwrap() error { return e.err }

var (
	errBadFD        = errors.New("invalid fd")
	errUnresolved   = errors.New("host or service not provided, or not known")
	errPortRange    = errors.New("port out of range (0 to 65535)")
	errSocketType   = errors.New("invalid socket type")
	errInvalidIP    = errors.New("invalid-ip")
	errNotListening = errors.New("not a listening socket")
	errNotAlive     = errors.New("closed")
)
