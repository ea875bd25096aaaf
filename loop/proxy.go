package loop

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
	"golang.org/x/sys/unix"
)

// maxProxyHeader bounds a header of the PROXY protocol, in bytes. What it has beyond the
// addresses (certificates' names, for one) is not used.
const maxProxyHeader = 4096

// proxyPorts are the local ports on which connections begin with a header of the PROXY
// protocol, from the networks that are trusted to tell the truth in it.
type proxyPorts struct {
	ports   map[int]bool
	trusted []netip.Prefix
}

func (p *proxyPorts) configure(s Settings) {
	p.ports = map[int]bool{}
	for _, port := range s.proxyPorts() {
		p.ports[port] = true
	}
	p.trusted, _ = ParseNetworks(s.ProxyTrusted) // whoever made the settings has checked them
}

func (p *proxyPorts) trusts(peer Name) bool {
	address, err := netip.ParseAddr(peer.Host)
	return err == nil && inNetworks(p.trusted, address)
}

// preface is an accepted connection whose header has not come yet. The Lua side does not
// know of it.
type preface struct {
	registration
	alarm
	loop     *Loop
	listener *listener
	peer     Name // the proxy
	local    Name
	received []byte // up to maxProxyHeader, and what follows the header
}

// awaitHeader takes a connection from a proxy, or turns it away.
func (s *listener) awaitHeader(fd int, peer, local Name) error {
	l := s.loop
	if !l.proxies.trusts(peer) {
		l.refuseProxy(peer)
		l.turnAway(fd)
		return nil
	}
	p := &preface{loop: l, listener: s, peer: peer, local: local}
	p.alarm.owner = p
	p.fd = fd
	if p.handle = l.objects.insert(p); p.handle == 0 {
		closeFD(fd)
		return unix.EMFILE
	}
	l.now = l.clock()
	l.arm(&p.alarm, addSeconds(l.now, l.settings.ConnectTimeout))
	if err := p.want(l.poller, readable); err != nil {
		l.release(p.handle)
		return err
	}
	return nil
}

// refuseProxy counts a connection that did not begin as it must. Exempt networks are
// counted too: proxies mostly are, and what is wrong between one and us must show.
func (l *Loop) refuseProxy(peer Name) {
	if address, err := netip.ParseAddr(peer.Host); err == nil {
		l.refuse(l.door.visitor(siteOf(address), l.now), LimitProxyProtocol)
	}
}

func (p *preface) ready(uint32) {
	room := p.loop.scratch[:maxProxyHeader-len(p.received)]
	n, err := receive(p.fd, room)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case len(p.received) == 0 && (n == 0 && err == nil || err == unix.ECONNRESET):
		p.loop.turnAway(p.detach()) // a health check, which only looks whether the port is open
		return
	case err != nil:
		p.fail(reason(err))
		return
	case n == 0:
		p.fail(reasonClosed)
		return
	}
	p.received = append(p.received, room[:n]...)
	size, err := proxyHeaderSize(p.received)
	switch {
	case err != nil:
		p.fail(err.Error())
	case size <= len(p.received) && size > 0:
		p.complete(size)
	}
}

// ring: the time is over.
func (p *preface) ring() { p.fail("no header in time") }

// fail ends a connection that has no proper header.
func (p *preface) fail(reason string) {
	p.loop.refuseProxy(p.peer)
	p.loop.emit(Event{Kind: Note, text: "debug\tPROXY protocol from " + p.peer.Host + ": " + reason + "\n"})
	p.loop.turnAway(p.detach())
}

// complete makes a connection of it, which begins with what follows the header.
func (p *preface) complete(size int) {
	client, server, err := parseProxyHeader(p.received[:size])
	if err != nil {
		p.fail(err.Error())
		return
	}
	var names *proxied
	if client.Known {
		names = &proxied{client, server}
	} else {
		client, server = p.peer, p.local // the proxy's own, such as a health check
	}
	fd, rest := p.detach(), p.received[size:]
	if o, _ := p.loop.objects.get(p.listener.handle); o != p.listener {
		p.loop.turnAway(fd) // the port was closed meanwhile
		return
	}
	if p.listener.admitted(fd, client, server, names, rest) != nil {
		p.loop.stats.AcceptErrors++
	}
}

// detach gives the descriptor back; the object is gone.
func (p *preface) detach() (fd int) {
	fd = p.fd
	p.loop.alarms.remove(&p.alarm)
	p.leave(p.loop.poller)
	p.fd = -1
	p.loop.objects.remove(p.handle)
	return fd
}

func (p *preface) close() {
	p.loop.alarms.remove(&p.alarm)
	p.leave(p.loop.poller)
	closeFD(p.fd)
	p.loop.descriptorClosed()
}

// proxied are the ends of a connection as its proxy tells them.
type proxied struct{ peer, local Name }

var (
	errNoProxyHeader   = errors.New("no header")
	errLongProxyHeader = errors.New("the header is too long")
	errProxyAddress    = errors.New("the header has no usable address")
)

// proxyHeaderSize is how long the header is that received begins with; 0 if that is not
// known yet (The PROXY protocol, versions 1 & 2, haproxy.org, sections 2.1 and 2.2).
func proxyHeaderSize(received []byte) (size int, err error) {
	const longestV1, fixedV2 = 107, 16
	switch {
	case beginsLike(received, proxyproto.SIGV2):
		if len(received) < fixedV2 {
			return 0, nil
		}
		size = fixedV2 + int(received[14])<<8 + int(received[15])
	case beginsLike(received, proxyproto.SIGV1):
		size = bytes.IndexByte(received, '\n') + 1
		if size == 0 && len(received) >= longestV1 {
			return 0, errLongProxyHeader
		}
	default:
		return 0, errNoProxyHeader
	}
	if size > maxProxyHeader {
		return 0, errLongProxyHeader
	}
	return size, nil
}

// beginsLike reports whether received begins with signature, as far as it goes.
func beginsLike(received, signature []byte) bool {
	n := min(len(received), len(signature))
	return bytes.Equal(received[:n], signature[:n])
}

// parseProxyHeader reads a whole header. The names are unknown if it is about no
// connection but the proxy's own.
func parseProxyHeader(header []byte) (client, server Name, err error) {
	reader := bufio.NewReaderSize(bytes.NewReader(header), max(len(header), 16))
	h, err := proxyproto.Read(reader)
	switch {
	case err != nil:
		return client, server, err
	case reader.Buffered() > 0:
		return client, server, errProxyAddress
	case h.Command.IsLocal():
		return client, server, nil
	}
	source, destination, ok := h.TCPAddrs()
	if !ok {
		return client, server, errProxyAddress
	}
	client, fromOK := proxiedName(source)
	server, toOK := proxiedName(destination)
	if !fromOK || !toOK {
		return Name{}, Name{}, errProxyAddress
	}
	return client, server, nil
}

func proxiedName(a *net.TCPAddr) (Name, bool) {
	address := a.AddrPort().Addr().Unmap()
	if !address.IsValid() || address.Zone() != "" {
		return Name{}, false
	}
	return Name{Host: address.String(), Port: a.Port, Known: true}, true
}
