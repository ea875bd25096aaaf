package loop

import (
	"golang.org/x/sys/unix"

	"net.server_go/tls"
)

// classicPeers are servers that did not answer a client hello with a post-quantum
// group (tls.Session's Unanswered), by address. The next hello to them goes without, so
// that a server, or a box before it, that cannot read a hello of two packets is
// reached at the second attempt. Whoever can cut our connection to a server can
// cause that, too; what is encrypted then is as safe as without ML-KEM.
type classicPeers map[string]int64 // address → until when, in ns since the loop started

const (
	classicTime     = 3600 // seconds
	maxClassicPeers = 1024
)

func (p classicPeers) has(address string, now int64) bool { return p[address] > now }

// add forgets those whose time is over if there are many, or all.
func (p classicPeers) add(address string, now int64) {
	if len(p) >= maxClassicPeers {
		for other, until := range p {
			if until <= now {
				delete(p, other)
			}
		}
	}
	if len(p) >= maxClassicPeers {
		clear(p)
	}
	p[address] = addSeconds(now, classicTime)
}

// classic reports whether the handshake that begins on c, with this context, does
// without post-quantum groups.
func (c *conn) classic(context *tls.Context) bool {
	if !c.loop.settings.PostQuantum {
		return true
	}
	if context.Server() {
		return false
	}
	if c.server == "" {
		peer, _ := readName(unix.SYS_GETPEERNAME, c.fd)
		c.server = peer.Host
	}
	return c.loop.classic.has(c.server, c.loop.now)
}

// helloUnanswered takes note of a handshake that fails before the server has answered.
func (c *conn) helloUnanswered() {
	if c.server != "" && c.session.Unanswered() {
		c.loop.classic.add(c.server, c.loop.now)
	}
}
