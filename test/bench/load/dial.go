package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const dialTimeout = 20 * time.Second

// One address has some 28,000 ports, and one that was used is not free for a minute.
const sourceAddresses = 100

var dialled atomic.Uint32

func dial(o options) (*net.TCPConn, error) {
	source := net.IPv4(127, 0, 0, byte(2+dialled.Add(1)%sourceAddresses))
	dialer := net.Dialer{Timeout: dialTimeout, LocalAddr: &net.TCPAddr{IP: source}, KeepAlive: -1}
	conn, err := dialer.Dial("tcp4", o.addr)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// dialTLS gives a net.Conn that is served by Go's runtime.
func dialTLS(o options, config *tls.Config) (net.Conn, error) {
	conn, err := dial(o)
	if err != nil || config == nil {
		return conn, err
	}
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, err
	}
	secured := tls.Client(conn, config)
	if err := secured.Handshake(); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, conn.SetDeadline(time.Time{})
}

// dialRaw gives a descriptor that Go's runtime does not know, so that it has no work with it.
func dialRaw(o options) (int, error) {
	conn, err := dial(o)
	if err != nil {
		return -1, err
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	if err := raw.Control(func(known uintptr) { fd, err = unix.FcntlInt(known, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, os.NewSyscallError("fcntl", err)
}

func tlsConfig(o options) (*tls.Config, error) {
	// No ClientSessionCache: no resumption. The server's certificate is not this program's concern, and to
	// verify it would only take time from the server; so would a key share that OpenSSL 3.0 does not know.
	config := &tls.Config{ServerName: o.name, InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}}
	switch o.tls {
	case 0:
		return nil, nil
	case 12:
		config.MaxVersion = tls.VersionTLS12
	case 13:
		config.MinVersion = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("-tls is %d; it must be 12 or 13", o.tls)
	}
	return config, nil
}
