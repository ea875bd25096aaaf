package loop

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// defaultOptions applies the settings to a socket that carries data. Unix
// sockets and UDP refuse what is only for TCP, which is as it should be.
func (l *Loop) defaultOptions(fd int) {
	set := func(level, option, value int) { _ = unix.SetsockoptInt(fd, level, option, value) }
	if l.settings.NoDelay {
		set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if l.settings.Keepalive {
		set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		if l.settings.KeepaliveIdle > 0 {
			set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, l.settings.KeepaliveIdle)
		}
	}
	// Whether or not keepalive is on: Prosody turns it on later, for c2s and s2s.
	if l.settings.KeepaliveInterval > 0 {
		set(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, l.settings.KeepaliveInterval)
	}
	if l.settings.KeepaliveCount > 0 {
		set(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, l.settings.KeepaliveCount)
	}
	if l.settings.UserTimeout > 0 {
		set(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, l.settings.UserTimeout*1000)
	}
}

// dialOptions applies the settings of a TCP socket that is to connect. With
// TCP Fast Open to a peer that is known, connect returns at once and the SYN
// takes along what is sent first.
func (l *Loop) dialOptions(fd int) {
	if l.settings.FastOpen > 0 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1) // an old kernel connects all the same
	}
}

// listenerOptions applies the settings of a listening socket; a kernel
// without them listens all the same.
func (l *Loop) listenerOptions(fd int) {
	if l.settings.FastOpen > 0 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, l.settings.FastOpen)
	}
	if l.settings.DeferAccept > 0 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, l.settings.DeferAccept)
	}
}

// options are LuaSocket's names of integer and boolean options.
var options = map[string]struct{ level, option int }{
	"broadcast":            {unix.SOL_SOCKET, unix.SO_BROADCAST},
	"dontroute":            {unix.SOL_SOCKET, unix.SO_DONTROUTE},
	"keepalive":            {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	"reuseaddr":            {unix.SOL_SOCKET, unix.SO_REUSEADDR},
	"reuseport":            {unix.SOL_SOCKET, unix.SO_REUSEPORT},
	"recv-buffer-size":     {unix.SOL_SOCKET, unix.SO_RCVBUF},
	"send-buffer-size":     {unix.SOL_SOCKET, unix.SO_SNDBUF},
	"ipv6-v6only":          {unix.IPPROTO_IPV6, unix.IPV6_V6ONLY},
	"tcp-nodelay":          {unix.IPPROTO_TCP, unix.TCP_NODELAY},
	"tcp-keepidle":         {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
	"tcp-keepcnt":          {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
	"tcp-keepintvl":        {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
	"tcp-defer-accept":     {unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT},
	"tcp-fastopen":         {unix.IPPROTO_TCP, unix.TCP_FASTOPEN},
	"tcp-fastopen-connect": {unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT},
}

// SetOption sets a socket option of h by LuaSocket's name for it. A boolean
// is 0 or 1; "linger" takes seconds, negative for off.
func (l *Loop) SetOption(h Handle, name string, value int) error {
	l.gate.enter()
	defer l.gate.leave()
	fd := l.fd(h)
	if fd < 0 {
		return errNotAlive
	}
	var err error
	if name == "linger" {
		linger := unix.Linger{}
		if value >= 0 {
			linger = unix.Linger{Onoff: 1, Linger: int32(value)}
		}
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &linger)
	} else if o, ok := options[name]; ok {
		err = unix.SetsockoptInt(fd, o.level, o.option, value)
	} else {
		return fmt.Errorf("unsupported option '%s'", name)
	}
	if err != nil {
		return &Error{err}
	}
	return nil
}

// FD is the descriptor of the connection or listener h, or -1.
func (l *Loop) FD(h Handle) int {
	l.gate.enter()
	defer l.gate.leave()
	return l.fd(h)
}

func (l *Loop) fd(h Handle) int {
	o, _ := l.objects.get(h)
	switch o := o.(type) {
	case *conn:
		if o.state != stateClosed {
			return o.fd
		}
	case *listener:
		return o.fd
	}
	return -1
}
