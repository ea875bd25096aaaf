package loop

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"net.server_go/tls"
)

// A Limit is a bound on what peers may have here at once, before the Lua side hears
// of them. Stats count by it.
type Limit uint8

const (
	LimitConnections          Limit = iota // open connections of an address
	LimitNewConnections                    // new ones of an address in a second
	LimitHandshakesPerAddress              // unfinished TLS handshakes of an address
	LimitHandshakes                        // unfinished TLS handshakes of all
	LimitProxyProtocol                     // connections without a header that must have one
	Limits                                 // how many there are
)

// limitSettings are the names of the settings.
var limitSettings = [Limits]string{
	"limit_connections_per_address", "limit_new_connections_per_address", "limit_handshakes_per_address", "limit_handshakes",
	"proxy_protocol_ports",
}

// reasonTooManyHandshakes ends a connection whose handshake is beyond a limit.
const reasonTooManyHandshakes = "too many unfinished handshakes"

// ipv6Site is how much of an IPv6 address says whose it is: a site gets a /64 at least
// (RFC 6177), and may use all of its addresses.
const ipv6Site = 64

// door keeps the limits. Only addresses that it has something to remember of have a
// visitor: where no limit of connections is set, those whose handshakes run.
type door struct {
	exempt     []netip.Prefix
	visitors   map[netip.Prefix]*visitor
	sweepAt    int      // so many visitors have it look for those that can go
	queue      []Handle // of running handshakes, the oldest first, and some that have ended
	handshakes int      // running
	refusals   refusals
}

// visitor is an address, or a site of IPv6.
type visitor struct {
	from             netip.Prefix
	open, handshakes int
	refused          uint64  // since the last line in the log
	spent            float64 // of this second's new connections
	at               int64   // when spent was right, in ns since the loop started
}

// ParseNetworks reads addresses and networks in CIDR notation, separated by commas. Those
// of IPv4 in IPv6 (::ffff:0:0/96) are taken for IPv4's; zones are refused.
func ParseNetworks(list string) (networks []netip.Prefix, err error) {
	for _, text := range strings.Split(list, ",") {
		if text == "" {
			continue
		}
		network, ok := parseNetwork(text)
		if !ok {
			return nil, fmt.Errorf("%q is no address and no network", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

func parseNetwork(text string) (network netip.Prefix, ok bool) {
	network, err := netip.ParsePrefix(text)
	if err != nil {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return network, false
		}
		network = netip.PrefixFrom(address, address.BitLen())
	}
	if address := network.Addr(); address.Is4In6() {
		network = netip.PrefixFrom(address.Unmap(), network.Bits()-96)
	}
	return network, network.IsValid()
}

func (d *door) open(l *Loop) {
	d.visitors = map[netip.Prefix]*visitor{}
	d.refusals.loop = l
	d.refusals.owner = &d.refusals
	d.exempt, _ = ParseNetworks(l.settings.Exempt)
}

func inNetworks(networks []netip.Prefix, address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(address) })
}

// siteOf is whose a valid address is.
func siteOf(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = ipv6Site
	}
	return netip.PrefixFrom(address, bits).Masked()
}

// limitedSite is what the limits of an address are for: nothing for a unix socket, and
// for an exempt network.
func (d *door) limitedSite(peer Name) (site netip.Prefix, limited bool) {
	address, err := netip.ParseAddr(peer.Host)
	if err != nil || inNetworks(d.exempt, address) {
		return site, false
	}
	return siteOf(address), true
}

func (d *door) visitor(site netip.Prefix, now int64) *visitor {
	v := d.visitors[site]
	if v == nil {
		d.sweep(now)
		v = &visitor{from: site, at: now}
		d.visitors[site] = v
	}
	return v
}

// Fewer visitors than fewVisitors are not swept: that is some 100 KB.
const (
	fewVisitors  = 1 << 10
	manyVisitors = 1 << 14
)

// sweep drops visitors that nothing is to be remembered of. Each time it leaves room for
// as many again.
func (d *door) sweep(now int64) {
	if len(d.visitors) < max(d.sweepAt, fewVisitors) {
		return
	}
	many := len(d.visitors) > manyVisitors // the log can do without some names
	for site, v := range d.visitors {
		if v.open == 0 && v.handshakes == 0 && (v.refused == 0 || many) && now-v.at > 1e9 {
			delete(d.visitors, site)
		}
	}
	d.sweepAt = 2 * len(d.visitors)
}

// spend takes one of the new connections that a second has; false if there is none left.
// They come back bit by bit.
func (v *visitor) spend(perSecond int, now int64) bool {
	v.spent = max(0, v.spent-float64(now-v.at)/1e9*float64(perSecond))
	v.at = now
	if v.spent+1 > float64(perSecond) {
		return false
	}
	v.spent++
	return true
}

// admit reports whether a connection from peer may come in. Its visitor, if there is one,
// counts it as open already.
func (l *Loop) admit(peer Name) (v *visitor, ok bool) {
	s := &l.settings
	if s.ConnectionsPerAddress == 0 && s.NewConnectionsPerAddress == 0 {
		return nil, true
	}
	site, limited := l.door.limitedSite(peer)
	if !limited {
		return nil, true
	}
	v = l.door.visitor(site, l.now)
	switch {
	case s.ConnectionsPerAddress > 0 && v.open >= s.ConnectionsPerAddress:
		l.refuse(v, LimitConnections)
	case s.NewConnectionsPerAddress > 0 && !v.spend(s.NewConnectionsPerAddress, l.now):
		l.refuse(v, LimitNewConnections)
	default:
		v.open++
		return v, true
	}
	return nil, false
}

// turnedBack: what was admitted could not be made a connection.
func (v *visitor) turnedBack() {
	if v != nil {
		v.open--
	}
}

// turnAway closes a connection that was not admitted. A reset leaves no TIME_WAIT here.
func (l *Loop) turnAway(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	closeFD(fd)
	l.descriptorClosed()
}

// admitHandshake reports whether the handshake of c, an accepted connection, may begin. If
// there are too many in all, the oldest ends: a peer that does not go on is what keeps one
// for long. Unless most wait for us: then c's may not begin, because of those that end half
// computed none would get through.
func (l *Loop) admitHandshake(c *conn) bool {
	s, d := &l.settings, &l.door
	if c.kind != KindAccepted || s.HandshakesPerAddress == 0 && s.Handshakes == 0 {
		return true
	}
	v := c.visitor
	if v == nil {
		peer, _ := c.names()
		site, limited := d.limitedSite(peer)
		if !limited {
			return true
		}
		v = d.visitor(site, l.now)
	}
	if s.HandshakesPerAddress > 0 && v.handshakes >= s.HandshakesPerAddress {
		l.refuse(v, LimitHandshakesPerAddress)
		return false
	}
	if s.Handshakes > 0 && d.handshakes >= s.Handshakes && d.waitForUs() {
		l.refuse(v, LimitHandshakes)
		return false
	}
	c.visitor, c.shaking = v, true
	v.handshakes++
	d.handshakes++
	d.remember(l, c.handle)
	for s.Handshakes > 0 && d.handshakes > s.Handshakes {
		l.endOldestHandshake()
	}
	return true
}

// waitForUs reports whether more handshakes come than can be computed.
func (d *door) waitForUs() bool {
	const few = 32 // each has a short step when it begins, and when it ends
	return int(tls.Computing()) > max(d.handshakes/2, few)
}

// remember enters a handshake into the queue, and leaves out those that have ended
// whenever they are the most.
func (d *door) remember(l *Loop, h Handle) {
	if len(d.queue) > 2*d.handshakes+64 {
		d.queue = slices.DeleteFunc(d.queue, func(h Handle) bool { c := l.conn(h); return c == nil || !c.shaking })
	}
	d.queue = append(d.queue, h)
}

func (l *Loop) endOldestHandshake() {
	for len(l.door.queue) > 0 {
		h := l.door.queue[0]
		l.door.queue = l.door.queue[1:]
		if c := l.conn(h); c != nil && c.shaking {
			l.refuse(c.visitor, LimitHandshakes)
			c.end(reasonTooManyHandshakes, false)
			return
		}
	}
	l.door.handshakes = 0 // not reached: each that runs is in the queue
}

// handshakeOver counts out a handshake, however it has ended.
func (c *conn) handshakeOver() {
	if c.shaking {
		c.shaking = false
		c.visitor.handshakes--
		c.loop.door.handshakes--
		if !c.admitted {
			c.visitor = nil
		}
	}
}

// leaveDoor counts out a connection that ends.
func (c *conn) leaveDoor() {
	c.handshakeOver()
	if c.admitted {
		c.admitted = false
		c.visitor.open--
	}
	c.visitor = nil
}
