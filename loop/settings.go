package loop

import (
	"strconv"
	"strings"
)

// Settings are Prosody's network_settings as far as the I/O side needs
// them. Times are in seconds. The names and defaults are those of
// net.server_epoll; NoDelay and Backlog are the exceptions (see docs/differences.md).
type Settings struct {
	ReadTimeout         float64
	SendTimeout         float64
	ConnectTimeout      float64
	HandshakeTimeout    float64 // for each step of it
	HandshakeDeadline   float64 // for all of it
	AcceptRetryInterval float64
	ReadSize            int
	Backlog             int
	NoDelay             bool
	Keepalive           bool
	KeepaliveIdle       int // seconds; 0 leaves the system's, as in the next three
	KeepaliveInterval   int // seconds between probes
	KeepaliveCount      int // probes without an answer that end a connection
	UserTimeout         int // seconds that sent data may stay unacknowledged (RFC 5482)
	FastOpen            int
	DeferAccept         int
	IOThread            IOThread
	// Limits at the door; 0 is none. NewConnectionsPerAddress is for a second.
	ConnectionsPerAddress, NewConnectionsPerAddress int
	HandshakesPerAddress, Handshakes                int
	Exempt                                          string // from them: see ParseNetworks

	// Connections to ProxyPorts (numbers, separated by commas) begin with a header of the
	// PROXY protocol, and come from ProxyTrusted.
	ProxyPorts, ProxyTrusted string

	PostQuantum   bool // key exchange with ML-KEM, where the configuration names no groups
	BufferCeiling int  // bytes of all connections together; 0: a part of the memory
}

// DefaultSettings are what an empty network_settings means.
func DefaultSettings() Settings {
	return Settings{
		ReadTimeout:         14 * 60,
		SendTimeout:         180,
		ConnectTimeout:      20,
		HandshakeTimeout:    60,
		HandshakeDeadline:   60,
		AcceptRetryInterval: 10,
		ReadSize:            8192,
		Backlog:             4096, // a wave of reconnections overflows 128
		NoDelay:             true,
		PostQuantum:         true,

		HandshakesPerAddress: 1000,
		Handshakes:           10000,
		Exempt:               "127.0.0.0/8,::1",
		ProxyTrusted:         "127.0.0.0/8,::1",
	}
}

// proxyPorts are the numbers in ProxyPorts.
func (s Settings) proxyPorts() (ports []int) {
	for _, text := range strings.Split(s.ProxyPorts, ",") {
		if port, err := strconv.Atoi(text); err == nil {
			ports = append(ports, port)
		}
	}
	return ports
}
