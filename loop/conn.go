package loop

import (
	"bytes"
	"math"

	"golang.org/x/sys/unix"

	"net.server_go/tls"
)

// readMode says how received bytes are cut: a positive number is the most
// bytes at once, zero the setting read_size.
type readMode int

const (
	ReadAny   readMode = -1 // "*a": whatever there is
	ReadLines readMode = -2 // "*l": lines without their ends
)

// readAnySize bounds one delivery with ReadAny.
const readAnySize = 64 << 10

// limitGrain is the shortest pause, in ns, that a rate limit imposes: the
// reference's min_wait.
const limitGrain = 1_000_000

type connState uint8

const (
	// stateConnecting: the socket has not been writable yet.
	stateConnecting connState = iota
	stateOpen
	// statePeerClosed: the stream has ended; the rest of the output is sent.
	statePeerClosed
	// stateClosed: no descriptor; the handle waits for its release.
	stateClosed
)

// conn is a connection: accepted, dialled, or a duplicate of a socket that
// somebody else made.
type conn struct {
	registration
	alarm
	loop     *Loop
	state    connState
	datagram bool
	kind     Kind

	starting  bool // the Lua side has not sent cmdStart yet
	finishing bool // the Lua side has closed; the rest of the output is sent
	paused    bool
	held      bool // output is kept
	announced bool // Connected or Accepted was emitted
	wantWrite bool // connecting: wait to be writable
	dirty     bool // in loop.dirty
	drainDue  bool // something was written since the last Drained
	resuming  bool // in loop.resumed
	admitted  bool // counted among its visitor's open connections
	shaking   bool // counted among its visitor's handshakes
	mode      readMode
	drained   int // Drained that the Lua side has not come to yet: it may go on writing

	// pending was received and not yet taken by the Lua side; it includes
	// what an event in flight shows of it. Nil when all was taken.
	pending []byte
	// terms counts the commands that changed how data is delivered. A Data
	// event says under which it was made: the Lua side refuses older ones.
	terms int32
	// inFlight: an event that is not settled shows received bytes.
	inFlight bool
	visitor  *visitor // nil where the door does not count it
	proxied  *proxied // nil where the kernel's names hold
	limit    float64  // bytes per second

	// Output: direct is in the log of the present step, out[sentOut:] is
	// ours. At most one is non-empty; direct never outlives the step.
	direct  []byte
	out     []byte
	sentOut int
	sent    uint64
	server  string // its address, of an outgoing connection
	owed    int    // of out, at most so much answers what was read: see maxOwed

	holds     int  // bytes of its buffers that are counted: see ceiling
	throttled bool // not read, because it holds much and all together hold too much

	written uint64 // bytes that the Lua side wrote

	security security
	blocked  bool         // deliver nothing: TLS is about to start
	eof      bool         // the peer's stream has ended
	more     bool         // TLS: the session may have more to read
	session  *tls.Session // nil while plain
	dane     *tls.DANE
	early    []byte // written before the handshake was complete

	// ns on the loop's clock, 0 for none.
	readDeadline  int64
	writeDeadline int64
	// handshakeDeadline is for the whole handshake; writeDeadline for a step.
	handshakeDeadline int64
	pausedUntil       int64
	trimAt            int64
}

// newConn enters fd, which it owns, into the table; cmdStart has it enter
// epoll. It closes fd on error.
func (l *Loop) newConn(fd int, state connState, mode readMode, datagram bool) (*conn, error) {
	c := &conn{loop: l, state: state, mode: mode, datagram: datagram, wantWrite: true, starting: true}
	c.announced = state == stateOpen
	c.alarm.owner = c
	c.fd = fd
	if c.handle = l.objects.insert(c); c.handle == 0 {
		closeFD(fd)
		return nil, unix.EMFILE
	}
	l.now = l.clock()
	if state == stateConnecting {
		c.setWriteDeadline(l.settings.ConnectTimeout)
	} else {
		c.setReadDeadline(math.NaN())
	}
	c.armAlarm()
	return c, nil
}

// Opened is what the Lua side learns of a new object. FD is for show: it
// stays the loop's.
type Opened struct {
	Handle   Handle
	FD       int
	Datagram bool
}

func (c *conn) opening() Opened { return Opened{c.handle, c.fd, c.datagram} }

// canRead reports whether data may be read from the socket: whether the Lua
// side will take it, or the handshake.
func (c *conn) canRead() bool {
	if c.throttled {
		return false
	}
	switch c.security {
	case securityWaits:
		return false
	case securityHandshake:
		return c.state == stateOpen && !c.eof && !c.inFlight && !c.session.Full()
	case secured:
		if c.more || c.eof || c.owesMuch() {
			return false
		}
	}
	return (c.state == stateOpen || c.datagram && c.state == stateConnecting) &&
		!c.finishing && c.pending == nil && c.mayDeliver()
}

func (c *conn) inPause() bool { return c.paused || c.blocked || c.pausedUntil != 0 }

func (c *conn) mayDeliver() bool { return !c.inPause() && !c.inFlight }

// mayReadAhead reports whether nothing but a pause keeps from reading: no byte
// waits for the Lua side that would come before the end of the stream, and it
// is not in the midst of an answer, which a half-closed peer is to get.
func (c *conn) mayReadAhead() bool {
	return c.inPause() && !c.inFlight && !c.owesMuch() && c.drained == 0 && c.pending == nil && c.state == stateOpen && !c.finishing &&
		(c.security == plain || c.security == secured)
}

// register asks epoll for what the connection waits for.
func (c *conn) register() error {
	if c.starting {
		return nil
	}
	var interest uint32
	switch {
	case c.canRead():
		interest = readable | hangUp
	case c.mayReadAhead():
		// Most pauses end before more data comes: ready drops IN when it does.
		interest = c.interest&readable | hangUp
	case c.state == stateOpen && !c.finishing:
		interest = c.interest & (readable | hangUp)
		if !c.added && !c.outputWaits() {
			return nil // left because the socket is broken
		}
	}
	if c.outputWaits() {
		interest |= writable
	}
	return c.want(c.loop.poller, interest)
}

func (c *conn) outputWaits() bool {
	if c.state == stateConnecting {
		return c.wantWrite
	}
	return len(c.out) > 0 && !c.keepsBack()
}

// keepsBack reports whether output is kept back: pause_writes does not concern
// the handshake.
func (c *conn) keepsBack() bool { return c.held && c.security != securityHandshake }

// update is called after anything that changes what the connection waits for.
func (c *conn) update() {
	if c.state == stateClosed {
		return
	}
	c.account()
	if (c.pending != nil || c.more && !c.owesMuch()) && c.mayDeliver() && !c.resuming {
		c.resuming = true
		c.loop.resumed = append(c.loop.resumed, c)
	}
	if err := c.register(); err != nil {
		c.end(reason(err), false)
		return
	}
	c.armAlarm()
}

func (c *conn) ready(events uint32) {
	if c.state == stateConnecting && events&(writable|broken) != 0 {
		c.connectFinished()
		return
	}
	if events&writable != 0 || events&broken != 0 && len(c.out) > 0 {
		c.flush()
	}
	if events&(readable|hangUp|broken) == 0 || c.state == stateClosed {
		return
	}
	if c.canRead() || events&(hangUp|broken) != 0 && c.mayReadAhead() {
		c.read()
	} else if events&broken != 0 {
		c.leave(c.loop.poller)
	} else if err := c.want(c.loop.poller, c.interest&^(events&(readable|hangUp))); err != nil {
		c.end(reason(err), false)
	}
}

func (c *conn) connectFinished() {
	errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	if err != nil {
		c.end(reason(err), false)
		return
	}
	c.writeDeadline = 0
	if c.finishing || c.security == securityWaits {
		c.state = stateOpen
		c.flush()
		return
	}
	c.opened(false)
	c.markDirty() // what was written meanwhile
	c.update()
}

func (c *conn) opened(byData bool) {
	c.state = stateOpen
	c.announced = true
	if !c.paused {
		c.setReadDeadline(math.NaN())
	}
	c.loop.emit(Event{Kind: Connected, Handle: c.handle, Flag: byData})
}

// readSize is how many bytes may be read and delivered at once.
func (c *conn) readSize() int {
	size := int(c.mode)
	switch {
	case c.datagram:
		size = readAnySize // a datagram is never cut
	case c.mode == 0:
		size = c.loop.settings.ReadSize
	case c.mode == ReadAny:
		size = readAnySize
	case c.mode == ReadLines:
		size = c.loop.settings.ReadSize
	}
	if c.limit > 0 && !c.datagram {
		size = min(size, c.loop.settings.ReadSize)
	}
	return min(max(size, 1), arenaSize/2)
}

func (c *conn) read() {
	if c.more {
		c.readSecured()
		return
	}
	if c.security != plain {
		c.readRaw()
		return
	}
	size := c.readSize()
	room := c.loop.room(size)
	if room == nil {
		return // epoll tells again
	}
	n, err := receive(c.fd, room)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != nil:
		text := reason(err)
		c.end(text, text == reasonClosed)
	case n == 0 && !c.datagram:
		c.eof = true
		c.peerClosed()
	case n > 0:
		c.loop.countRead(n)
		if c.state == stateConnecting {
			c.opened(true)
		}
		c.received(room[:n])
	}
}

// received delivers data, which is the start of the arena's room, or keeps it
// if it was read ahead.
func (c *conn) received(data []byte) {
	if !c.mayDeliver() {
		c.pending = bytes.Clone(data)
		c.account()
		return
	}
	c.loop.arena.take(len(data))
	n, consumed := c.cut(data)
	// Of a line its CRs and its end are taken; if it comes back, they count.
	line := c.mode == ReadLines && !c.datagram
	if consumed < len(data) || n < consumed || line && bytes.IndexByte(data, '\r') >= 0 {
		c.pending = bytes.Clone(data)
	}
	c.deliver(data[:n], consumed)
}

// deliverPending delivers the next part of what the Lua side did not take.
func (c *conn) deliverPending() {
	if c.pending == nil && c.more && c.state == stateOpen && c.mayDeliver() && !c.finishing && !c.owesMuch() {
		c.readSecured()
		return
	}
	if c.state != stateOpen || c.pending == nil || !c.mayDeliver() {
		return
	}
	n, consumed := c.cut(c.pending)
	size := max(n, 1) // each event has an end of its own: see arena.free
	room := c.loop.room(size)
	if room == nil {
		c.update() // the next turn may have room
		return
	}
	copy(room, c.pending)
	c.deliver(c.loop.arena.take(size)[:n], consumed)
}

// cut says how many bytes of data to deliver at once and how many of it they
// stand for; they differ by the ends of lines.
func (c *conn) cut(data []byte) (n, consumed int) {
	if c.mode != ReadLines || c.datagram {
		n = min(len(data), c.readSize())
		return n, n
	}
	if end := bytes.IndexByte(data, '\n'); end >= 0 {
		return end, end + 1
	}
	return len(data), len(data)
}

func (c *conn) deliver(data []byte, consumed int) {
	if c.mode == ReadLines {
		data = withoutCR(data)
	}
	c.loop.emit(Event{Kind: Data, Handle: c.handle, Value: c.terms, Bytes: data, consumed: consumed, end: c.loop.arena.head})
	c.inFlight = true
	c.setReadDeadline(math.NaN())
	if c.limit > 0 {
		if pause := float64(consumed) / c.limit; pause*1e9 > limitGrain {
			c.readDeadline = 0
			c.pauseFor(pause)
		}
	}
	c.armAlarm()
}

// withoutCR removes every CR, as LuaSocket does in its line mode.
func withoutCR(line []byte) []byte {
	kept := line[:0]
	for _, b := range line {
		if b != '\r' {
			kept = append(kept, b)
		}
	}
	return kept
}

// settleDrained learns that the Lua side has come to a Drained.
func (c *conn) settleDrained() {
	c.drained--
	if c.inPause() {
		c.update()
	}
}

// settle learns whether the Lua side took the bytes of ev.
func (c *conn) settle(ev *Event) {
	c.inFlight = false
	if c.state == stateClosed || c.finishing {
		return
	}
	switch {
	case c.security != plain && c.security != secured: // TLS started meanwhile
		switch {
		case !ev.refused && c.pending != nil:
			c.feedPending(ev.consumed)
		case !ev.refused:
		case c.pending != nil:
			c.feedPending(0)
		default:
			c.session.Feed(ev.Bytes)
		}
	case ev.refused:
		if c.pending == nil {
			c.pending = bytes.Clone(ev.Bytes)
		}
	case ev.consumed < len(c.pending):
		c.pending = c.pending[ev.consumed:]
	default:
		c.pending = nil
	}
	c.update()
}

// peerClosed ends the connection once its output is sent, be it held or not:
// the Lua side would wait in vain to be told.
func (c *conn) peerClosed() {
	c.held = false
	if len(c.out) == 0 {
		c.end(reasonClosed, true)
		return
	}
	c.state = statePeerClosed
	c.readDeadline = 0
	c.flush()
}

// write queues data, which stays valid until the end of the step.
func (c *conn) write(data []byte) {
	c.written += uint64(len(data))
	c.drainDue = true
	switch {
	case c.state == stateClosed || c.finishing:
		return
	case c.datagram:
		c.sendDatagram(data)
	case len(data) == 0:
	case c.security == secured:
		c.encrypt(data)
	case c.security != plain:
		c.early = append(c.early, data...)
	case len(c.out) == 0 && len(c.direct) == 0:
		c.direct = data
	default:
		c.keepDirect()
		c.keep(data)
	}
	c.account()
	c.markDirty()
}

func (c *conn) keepDirect() {
	c.keep(c.direct)
	c.direct = nil
}

func (c *conn) keep(data []byte) {
	if c.sentOut > len(c.out)/2 {
		c.out = c.out[:copy(c.out, c.out[c.sentOut:])]
		c.sentOut = 0
	}
	c.out = append(c.out, data...)
}

func (c *conn) markDirty() {
	if !c.dirty && c.state != stateClosed {
		c.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// sendDatagram sends data as one datagram. One that the kernel has no room
// for is lost, as datagrams are.
func (c *conn) sendDatagram(data []byte) {
	c.sent += uint64(len(data))
	if len(data) == 0 {
		return // nobody means to send an empty datagram
	}
	err := unix.Send(c.fd, data, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	if err == nil {
		c.loop.countSent(len(data))
	} else if err != unix.EAGAIN && err != unix.ENOBUFS && err != unix.EINTR {
		c.end(reason(err), false)
	}
}

// flush sends what it can of the output.
func (c *conn) flush() {
	if c.state == stateClosed || c.state == stateConnecting || c.keepsBack() {
		c.keepDirect()
		c.update()
		return
	}
	data := c.direct
	if len(c.out) > 0 {
		data = c.out[c.sentOut:]
	}
	n := 0
	if len(data) > 0 {
		var err error
		n, err = send(c.fd, data)
		// EINPROGRESS: TCP Fast Open has sent a SYN that had no room for data.
		if err != nil && err != unix.EAGAIN && err != unix.EINTR && err != unix.EINPROGRESS {
			c.end(reason(err), false)
			return
		}
		c.loop.countSent(n)
		if c.security < securityHandshake {
			c.sent += uint64(n)
		}
	}
	if n == len(data) {
		c.flushed()
		return
	}
	if len(c.out) > 0 {
		c.sentOut += n
		c.owed = min(c.owed, len(c.out)-c.sentOut)
	} else {
		c.direct = data[n:]
		c.keepDirect()
	}
	if (n > 0 || c.writeDeadline == 0) && c.security != securityHandshake {
		c.setWriteDeadline(math.NaN())
	}
	c.update()
}

// flushed is called when all output has gone.
func (c *conn) flushed() {
	c.loop.recycle(c.out)
	c.direct, c.out, c.sentOut, c.owed = nil, nil, 0, 0
	switch c.security {
	case securityWaits:
		if c.finishing && len(c.early) == 0 {
			c.end("", false) // nothing is left that TLS would be for
			return
		}
		c.beginHandshake()
		return
	case securityHandshake:
		c.update()
		return
	case secured:
		c.sent = c.written
	}
	if !c.datagram {
		c.writeDeadline = 0
	}
	switch {
	case c.finishing:
		c.end("", false)
	case c.state == statePeerClosed:
		c.end(reasonClosed, true)
	default:
		if c.drainDue {
			c.drainDue = false
			c.drained++
			c.loop.emit(Event{Kind: Drained, Handle: c.handle, Sent: c.sent})
		}
		c.update()
	}
}

// finish closes the connection once everything written has been sent, or
// when the deadline for that passes. One that still connects does so first.
func (c *conn) finish() {
	if c.state == stateClosed || c.finishing {
		return
	}
	c.finishing, c.held = true, false
	c.pending = nil
	c.readDeadline, c.pausedUntil = 0, 0
	if c.security == secured {
		c.sayGoodbye()
	}
	c.markDirty()
}

// pauseFor stops delivery for a number of seconds; negative ends the pause.
func (c *conn) pauseFor(seconds float64) {
	c.pausedUntil = 0
	if seconds >= 0 {
		c.pausedUntil = max(addSeconds(c.loop.now, seconds), 1)
	}
}

func (c *conn) setReadDeadline(seconds float64) {
	c.readDeadline = c.loop.deadline(seconds, c.loop.settings.ReadTimeout)
}

func (c *conn) setWriteDeadline(seconds float64) {
	c.writeDeadline = c.loop.deadline(seconds, c.loop.settings.SendTimeout)
}

// deadline is the time seconds from now; NaN stands for standard, negative
// for no deadline.
func (l *Loop) deadline(seconds, standard float64) int64 {
	if math.IsNaN(seconds) {
		seconds = standard
	}
	if seconds < 0 {
		return 0
	}
	return max(addSeconds(l.now, seconds), 1)
}

func (c *conn) armAlarm() {
	first := int64(never)
	for _, due := range [...]int64{c.readDeadline, c.writeDeadline, c.handshakeDeadline, c.pausedUntil, c.trimAt} {
		if due != 0 {
			first = min(first, due)
		}
	}
	if first != never {
		c.loop.arm(&c.alarm, first)
	}
}

// ring is called when one of the deadlines may have passed.
func (c *conn) ring() {
	now := c.loop.now
	passed := func(due int64) bool { return due != 0 && due <= now }
	if passed(c.writeDeadline) || passed(c.handshakeDeadline) {
		text := "write timeout"
		if !c.announced || c.finishing {
			text = "connection timeout"
		}
		c.end(text, false)
		return
	}
	if passed(c.readDeadline) {
		c.readDeadline = 0
		c.loop.emit(Event{Kind: ReadTimeout, Handle: c.handle})
	}
	if passed(c.trimAt) {
		c.trimAt = 0
		c.session.Trim(keptBuffer)
	}
	if passed(c.pausedUntil) {
		c.pausedUntil = 0
		if c.state == stateOpen && !c.paused { // as server_epoll of 13.0.6 does
			c.setReadDeadline(math.NaN())
		}
	}
	c.update()
}

// end closes the descriptor and emits the last event. An empty text means
// that the Lua side had asked for it.
func (c *conn) end(text string, byPeer bool) {
	if c.state == stateClosed {
		return
	}
	if c.security == securityHandshake {
		c.loop.stats.handshakeFailed(text)
		c.helloUnanswered()
	}
	c.loop.emit(Event{Kind: Closed, Handle: c.handle, Flag: byPeer, text: text})
	c.close()
}

func (c *conn) close() {
	if c.state == stateClosed {
		return
	}
	switch {
	case c.security == securityHandshake:
		c.session.Stop()
	case c.state != stateOpen || c.datagram:
	case c.security == secured:
		c.sayGoodbye()
		c.sendLast()
		c.discardInput()
	default:
		c.discardInput()
	}
	c.leaveDoor()
	c.state = stateClosed
	c.loop.stats.Closed[c.kind]++
	c.loop.alarms.remove(&c.alarm)
	// A socket that others share, by a duplicate or a fork, does not leave
	// epoll when our descriptor is closed.
	c.leave(c.loop.poller)
	closeFD(c.fd)
	c.loop.descriptorClosed()
	c.direct, c.out, c.sentOut, c.pending, c.early = nil, nil, 0, nil, nil
	c.account()
}

// sendLast sends as much of the output as the kernel takes at once.
func (c *conn) sendLast() {
	if len(c.out) == c.sentOut {
		return
	}
	if n, err := send(c.fd, c.out[c.sentOut:]); err == nil { // nobody is left to hear of an error
		c.sentOut += n
		c.loop.countSent(n)
	}
}

// discardInput reads what has arrived. Closing a TCP socket that has unread
// input resets the connection, and the peer may lose what we sent last
// (RFC 2525, 2.17).
func (c *conn) discardInput() {
	if c.eof {
		return
	}
	var buffer [4096]byte
	for range 64 { // a peer that never stops sending gets its reset
		if n, err := receive(c.fd, buffer[:]); err != nil || n <= 0 {
			return
		}
	}
}
