package loop

import (
	"encoding/binary"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"net.server_go/tls"
)

// security is how far TLS has come on a connection.
type security uint8

const (
	plain security = iota
	// securityWaits: asked for; what was written before is sent in the clear
	// first, and nothing is read any more.
	securityWaits
	securityHandshake
	secured
)

// rawReadSize is how much ciphertext is read at once.
const rawReadSize = 64 << 10

// keptBuffer is how large a buffer of crypto/tls an idle connection may keep;
// idleTime is when, in seconds after it had a larger one, it is idle.
const (
	keptBuffer = 4 << 10
	idleTime   = 1
)

// What is kept of memory for output, so that each write need not get its own.
const (
	spareOutputs    = 8
	spareOutputSize = 128 << 10
)

// secureCommand is the payload of cmdStartTLS and cmdAnswerHello: a context
// (8 bytes), flags (4), the length of the rest (4), the rest.
type secureCommand struct {
	context Handle
	flags   uint32
	text    string
}

// Flags of secureCommand.
const (
	startDirect   = 1 // Connected follows the handshake
	startAskHello = 2 // the Lua side answers the client's hello
	answerChosen  = 1 // text is the ALPN protocol, "" for none
)

// SecureHeader is the size of such a payload before its text, in bytes.
const SecureHeader = 16

func readSecureCommand(payload []byte) (cmd secureCommand) {
	if len(payload) < SecureHeader {
		return cmd // no context: C never sends this
	}
	size := binary.NativeEndian.Uint32(payload[12:])
	return secureCommand{
		context: Handle(binary.NativeEndian.Uint64(payload)),
		flags:   binary.NativeEndian.Uint32(payload[8:]),
		text:    string(payload[SecureHeader:][:min(uint64(size), uint64(len(payload)-SecureHeader))]),
	}
}

// AddContext makes a TLS context known to commands, until RemoveContext.
// Connections that use it keep it.
func (l *Loop) AddContext(c *tls.Context) Handle {
	l.gate.enter()
	defer l.gate.leave()
	return l.contexts.insert(c)
}

// RemoveContext forgets a context.
func (l *Loop) RemoveContext(h Handle) {
	l.gate.enter()
	defer l.gate.leave()
	l.contexts.remove(h)
}

// EnableDANE has the connection h, before its TLS starts, be verified for the
// base domain name, and by the TLSA records that AddTLSA adds afterwards.
func (l *Loop) EnableDANE(h Handle, name string) {
	l.gate.enter()
	defer l.gate.leave()
	if c := l.conn(h); c != nil {
		c.dane = &tls.DANE{Name: name}
	}
}

// AddTLSA gives the connection h, after EnableDANE, a TLSA record.
func (l *Loop) AddTLSA(h Handle, record tls.TLSA) {
	l.gate.enter()
	defer l.gate.leave()
	if c := l.conn(h); c != nil && c.dane != nil {
		c.dane.Records = append(c.dane.Records, record)
	}
}

// Session is the TLS session of the connection h: nil before the handshake
// is complete. It stays after the connection has ended, until its release.
func (l *Loop) Session(h Handle) *tls.Session {
	l.gate.enter()
	defer l.gate.leave()
	if c := l.conn(h); c != nil && c.security == secured {
		return c.session
	}
	return nil
}

// reasonDatagram is why a datagram socket ends when TLS is asked for.
const reasonDatagram = "TLS needs a stream socket"

// startTLS begins TLS as soon as everything written so far has been sent.
// What was received and not delivered belongs to TLS.
func (c *conn) startTLS(cmd secureCommand) {
	if c.security != plain || c.state == stateClosed || c.finishing {
		return
	}
	context, ok := c.loop.contexts.get(cmd.context)
	if !ok {
		c.loop.stats.handshakeFailed(reasonNoContext)
		c.end(cmd.text, false) // what was wrong with it
		return
	}
	if c.datagram { // what is written from now on must not go out as it is
		c.end(reasonDatagram, false)
		return
	}
	c.security = securityWaits
	c.session = tls.NewSession(context, tls.Options{
		ServerName: cmd.text,
		AskHello:   cmd.flags&startAskHello != 0,
		DANE:       c.dane,
		Classic:    c.classic(context),
	})
	c.dane = nil
	if cmd.flags&startDirect != 0 {
		c.announced = false
	}
	c.blocked, c.paused = false, false
	if !c.inFlight {
		c.feedPending(0)
	}
	c.readDeadline = 0
	if c.state != stateConnecting {
		c.setHandshakeDeadline()
		c.markDirty() // flush begins the handshake
	}
}

// feedPending gives what was received before TLS started to TLS, less what
// the Lua side has taken of it.
func (c *conn) feedPending(taken int) {
	c.session.Feed(c.pending[taken:])
	c.pending = nil
}

// setHandshakeDeadline is for a step of the handshake; the first time it sets that
// for the whole too.
func (c *conn) setHandshakeDeadline() {
	step, whole := c.loop.settings.HandshakeTimeout, c.loop.settings.HandshakeDeadline
	c.writeDeadline = c.loop.deadline(step, step)
	if c.handshakeDeadline == 0 {
		c.handshakeDeadline = c.loop.deadline(whole, whole)
	}
}

func (c *conn) beginHandshake() {
	if !c.loop.admitHandshake(c) {
		c.loop.stats.handshakeFailed(reasonTooManyHandshakes)
		c.end(reasonTooManyHandshakes, false)
		return
	}
	c.security = securityHandshake
	c.move(c.loop.poller, true)
	c.setHandshakeDeadline()
	c.loop.emit(Event{Kind: TLSStarted, Handle: c.handle})
	c.session.Start(func() { c.loop.Post(c.handshakeProgress) })
	c.update()
}

// handshakeProgress is called when the handshake has output, a question, or
// an end.
func (c *conn) handshakeProgress() {
	if c.state == stateClosed {
		return
	}
	c.takeCiphertext()
	if c.security == securityHandshake {
		switch c.session.State() {
		case tls.StateHello:
			hello := c.session.Hello()
			c.loop.emit(Event{Kind: Hello, Handle: c.handle,
				text: strings.Join(append([]string{hello.ServerName}, hello.ALPN...), "\x00") + "\x00"})
		case tls.StateOpen:
			c.handshakeDone()
		case tls.StateFailed:
			c.note(c.session.Notice())
			c.endWithAlert(c.session.Err())
			return
		}
	}
	c.flush()
	c.update()
}

// note has the Lua side log a notice, if there is one.
func (c *conn) note(n tls.Notice) {
	if n.Text != "" {
		c.loop.emit(Event{Kind: Note, Handle: c.handle, text: n.Level + "\t" + n.Text})
	}
}

func (c *conn) handshakeDone() {
	c.security = secured
	c.move(c.loop.poller, false)
	c.loop.stats.handshakeDone(c.session.Context().Server())
	c.session.Trim(0)
	c.handshakeOver()
	c.writeDeadline, c.handshakeDeadline = 0, 0
	c.setReadDeadline(c.loop.settings.ReadTimeout)
	info := tls.InfoOf(c.session.ConnectionState())
	c.loop.emit(Event{Kind: Secured, Handle: c.handle, text: info.Protocol + "\x00" + info.Cipher + "\x00"})
	if !c.announced && !c.finishing {
		c.opened(false)
	}
	if len(c.early) > 0 {
		c.encrypt(c.early)
		c.early = nil
	}
	if c.finishing {
		c.sayGoodbye()
	}
	c.more = true // what came with the last flight
	c.update()
}

func (c *conn) answerHello(cmd secureCommand) {
	if c.security != securityHandshake {
		return
	}
	context, _ := c.loop.contexts.get(cmd.context)
	c.session.Answer(tls.Answer{Context: context, ALPN: cmd.text, ALPNChosen: cmd.flags&answerChosen != 0})
}

// encrypt turns data into output.
func (c *conn) encrypt(data []byte) {
	if n := len(c.loop.spare); n > 0 {
		c.session.ReuseOutput(c.loop.spare[n-1])
		c.loop.spare = c.loop.spare[:n-1]
	}
	if err := c.session.Write(data); err != nil {
		c.end(c.session.Reason(err), false)
		return
	}
	c.takeCiphertext()
}

func (c *conn) takeCiphertext() {
	output := c.session.Output()
	if len(c.out) == 0 {
		c.out, c.sentOut = output, 0
	} else {
		c.keep(output)
		c.loop.recycle(output)
	}
}

// recycle keeps the memory of output that has gone.
func (l *Loop) recycle(output []byte) {
	if cap(output) > 0 && cap(output) <= spareOutputSize && len(l.spare) < spareOutputs {
		l.spare = append(l.spare, output)
	}
}

func (c *conn) sayGoodbye() {
	c.session.CloseNotify()
	c.takeCiphertext()
}

// readRaw reads ciphertext.
func (c *conn) readRaw() {
	scratch := c.loop.scratch[:]
	n, err := receive(c.fd, scratch)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil:
		text := reason(err)
		c.end(text, text == reasonClosed)
		return
	case n == 0:
		c.eof = true
		c.session.FeedEOF()
	default:
		c.loop.countRead(n)
		if c.security == securityHandshake {
			c.session.Feed(scratch[:n])
		} else {
			c.session.Lend(scratch[:n])
			defer c.session.TakeBack()
		}
	}
	if c.security == securityHandshake {
		c.setHandshakeDeadline()
		c.update()
	} else {
		c.readSecured()
	}
}

// readSecured delivers what there is, as far as one delivery goes.
func (c *conn) readSecured() {
	size := c.readSize()
	room := c.loop.room(size)
	c.more = true
	if room == nil {
		c.update()
		return
	}
	n, err := c.readRecords(room)
	c.takeAnswers()
	switch {
	case n > 0:
		c.received(room[:n])
		c.update()
	case err == io.EOF:
		c.eof = true // after a close_notify nothing counts
		c.peerClosed()
	case err != nil && tls.Again(err):
		c.more = false
		c.trimLater()
		c.update()
	case err != nil:
		c.endWithAlert(err)
	}
}

// readRecords reads into room until it is full or nothing more is there. It
// tells of an error only if there is nothing before it; the next call finds it
// again.
func (c *conn) readRecords(room []byte) (n int, err error) {
	for n < len(room) && err == nil && c.owed+c.session.OutputSize() < maxOwed {
		var more int
		more, err = c.session.Read(room[n:])
		n += more
	}
	if n > 0 {
		err = nil
	}
	return n, err
}

// maxOwed is how many bytes that TLS itself answers (to key updates, RFC 8446,
// section 4.6.3) may wait for the kernel while more is read: a peer may go on asking
// and never read. What the Lua side wrote does not count, for two that write much
// before they read must not wait for each other.
const maxOwed = 64 << 10

func (c *conn) owesMuch() bool { return c.owed >= maxOwed }

// takeAnswers takes the output that reading has caused.
func (c *conn) takeAnswers() {
	c.owed += c.session.OutputSize()
	c.takeCiphertext()
}

// trimLater has the session let go of large buffers, unless the next large
// record comes soon.
func (c *conn) trimLater() {
	if c.trimAt == 0 && c.session.Holds(keptBuffer) {
		c.trimAt = addSeconds(c.loop.now, idleTime)
	}
}

// endWithAlert ends the connection after err, which TLS may have put into an
// alert to the peer: that goes out if the kernel takes it at once.
func (c *conn) endWithAlert(err error) {
	c.takeCiphertext()
	c.sendLast()
	c.end(c.session.Reason(err), false)
}
