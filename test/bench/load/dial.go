package main

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const dialTimeout = 20 * time.Second

// One address has some 28,000 ports, and one that was used is not free for a minute.
const sourceAddresses = 100

var dialled atomic.Uint32

func nextSource() [4]byte { return [4]byte{127, 0, 0, byte(2 + dialled.Add(1)%sourceAddresses)} }

// dialRaw gives a descriptor that Go's runtime does not know, so that it has no work with it.
func dialRaw(o options) (*transport, error) {
	t, err := beginDial(o)
	if err != nil {
		return nil, err
	}
	if err := t.connected(); err != nil {
		t.Close()
		return nil, fmt.Errorf("connect to %s: %w", o.addr, err)
	}
	return t, nil
}

// beginDial does not wait: the first write does, and says if the connection failed.
func beginDial(o options) (*transport, error) {
	server, err := netip.ParseAddrPort(o.addr)
	if err == nil && !server.Addr().Is4() {
		err = fmt.Errorf("%s is not an IPv4 address", server.Addr())
	}
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	t := &transport{fd: fd, wait: await}
	if err := t.connect(server); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *transport) connect(server netip.AddrPort) error {
	if err := unix.SetsockoptInt(t.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(t.fd, &unix.SockaddrInet4{Addr: nextSource()}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	err := unix.Connect(t.fd, &unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())})
	if err == unix.EINPROGRESS {
		return nil
	}
	return os.NewSyscallError("connect", err)
}

func (t *transport) connected() error {
	if err := t.wait(t.fd, unix.POLLOUT); err != nil {
		return err
	}
	failed, err := unix.GetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && failed != 0 {
		err = unix.Errno(failed)
	}
	return err
}

func tlsConfig(o options) (*tls.Config, error) {
	// No ClientSessionCache: no resumption. The server's certificate is not this program's concern, and to
	// verify it would only take time from the server; so would a key share that OpenSSL 3.0 does not know.
	config := &tls.Config{ServerName: o.name, InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}}
	switch o.group {
	case "":
	case "X25519MLKEM768":
		config.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768}
	default:
		return nil, fmt.Errorf("-group is %q; only X25519MLKEM768 is known", o.group)
	}
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
