package tls

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"

	"net.server_go/bell"
)

// A Session is TLS on one connection, over memory: ciphertext goes in by
// Feed and comes out by Output. The handshake runs on a worker; after it all
// methods are for one thread.
type Session struct {
	context   *Context // a server's after SNI
	first     *Context // the one before SNI: the port's
	options   Options
	conn      *stdtls.Conn
	transport transport
	result    Result // not OK before verify says so
	refusal   error  // why the hello was refused, if it was

	offer *stdtls.ClientHelloInfo // during a server's handshake

	mu     bell.Lock // guards what follows, shared with the handshake
	state  State
	hello  Hello
	err    error // why the handshake failed
	notice Notice
	answer Answer
	// stopped: nobody will answer the hello.
	stopped bool
}

// Options are what a session needs beside its context.
type Options struct {
	// ServerName is sent by a client as SNI; empty sends none.
	ServerName string
	// AskHello has a server wait in StateHello for Answer.
	AskHello bool
	DANE     *DANE
	// Classic leaves post-quantum groups out, unless the configuration names them.
	Classic bool
}

// State is how far a session has come.
type State int

const (
	StateHandshake State = iota
	// StateHello: the client's hello is there, and Answer is waited for.
	StateHello
	StateOpen
	StateFailed
)

var (
	errAgain    error = again{}
	errCut            = errors.New("unexpected eof while reading")
	errUntrusty       = errors.New("certificate verify failed")
	errName           = errors.New("callback failed")
	errHello          = errors.New("bad extension")
	errTooMuch        = errors.New("excessive message size")
	errStopped        = errors.New("closed")
)

// NewSession prepares a session; Start begins it.
func NewSession(c *Context, o Options) *Session {
	s := &Session{context: c, first: c, options: o}
	pace.sessionBegun()
	if c.Server() {
		// All else is in the configuration that gotHello returns.
		s.conn = stdtls.Server(&s.transport, &stdtls.Config{GetConfigForClient: s.gotHello})
	} else {
		config := c.ClientConfig()
		config.ServerName = o.ServerName
		config.NextProtos = c.ALPN()
		config.VerifyConnection = s.verify
		if o.Classic {
			config.CurvePreferences = c.groups.classic
		}
		s.conn = stdtls.Client(&s.transport, config)
	}
	return s
}

// Start begins the handshake. tell is called, on another goroutine, when there
// is output, or the state has changed.
func (s *Session) Start(tell func()) {
	s.transport.begin(newHandshake(s.handshake, tell))
}

func (s *Session) handshake(yield func()) {
	s.transport.yield = yield
	err := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = panicked{r}
			}
		}()
		return s.conn.Handshake()
	}()
	s.transport.handshakeOver()
	s.mu.Lock()
	s.err = err
	s.state = StateOpen
	if err != nil {
		s.state, s.result = StateFailed, Result{}
		s.notice = s.failureNotice(err)
	}
	s.offer = nil
	s.mu.Unlock()
	pace.leaves(0)
}

// failureNotice is what an administrator has to know beside the reason.
func (s *Session) failureNotice(err error) Notice {
	var p panicked
	if errors.As(err, &p) {
		return Notice{"error", p.Error()}
	}
	switch s.Reason(err) {
	case reasonNoCipher, reasonNoVersion, reasonNoKeyShare, reasonNoSignature:
		if s.offer != nil {
			return Notice{"debug", offerText(s.offer)}
		}
	}
	return Notice{}
}

// panicked is the error for a panic, which nobody expects.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("internal error: %.200q", fmt.Sprint(p.value)) }

// Notice is what is to be logged of a handshake that failed, if its text is not
// empty.
func (s *Session) Notice() Notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notice
}

// State returns the present state.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Err is why the session is in StateFailed.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// verify is crypto/tls's last word before the handshake is done.
func (s *Session) verify(cs stdtls.ConnectionState) error {
	if err := s.checkPeer(cs.PeerCertificates); err != nil {
		return err
	}
	s.result = s.context.verify(cs.PeerCertificates, s.first.Depth(), s.options.DANE)
	if !s.result.OK && (s.context.refusesUntrusted() || s.first.refusesUntrusted()) {
		return errUntrusty
	}
	return nil
}

// Feed adds ciphertext from the peer.
func (s *Session) Feed(data []byte) { s.transport.feed(data) }

// Unanswered reports, if the handshake fails, whether that may be because the server
// cannot read our hello: a post-quantum group makes it longer than one packet. Such a
// server sends nothing, or an alert.
func (s *Session) Unanswered() bool {
	c := s.first // gotHello may be about to set the other
	offered := !c.Server() && !s.options.Classic && c.base.MaxVersion == stdtls.VersionTLS13 && !slices.Equal(c.groups.preferred, c.groups.classic)
	return offered && s.transport.firstReceived() != recordHandshake
}

// recordHandshake is the type of a record (RFC 8446, section 5.1).
const recordHandshake = 22

// Lend is Feed without a copy: data stays the caller's, and must stay as it
// is until TakeBack.
func (s *Session) Lend(data []byte) {
	if !s.transport.lend(data) {
		s.Feed(data)
	}
}

// TakeBack ends what Lend began: what was not read is copied.
func (s *Session) TakeBack() { s.transport.takeBack() }

// Full reports whether so much ciphertext waits that no more should be read
// now. The loop is told when there is room again.
func (s *Session) Full() bool { return s.transport.isFull() }

// FeedEOF says that the peer's stream has ended.
func (s *Session) FeedEOF() { s.transport.end(errCut) }

// Held is how many bytes a handshake holds: what was read, and what is to be sent.
func (s *Session) Held() int { return s.transport.held() }

// ReuseOutput gives the session memory for its next output.
func (s *Session) ReuseOutput(memory []byte) { s.transport.reuse(memory) }

// Output takes the ciphertext that is ready to be sent, nil if there is none.
func (s *Session) Output() []byte { return s.transport.takeOutput() }

// OutputSize is how many bytes Output would take.
func (s *Session) OutputSize() int { return s.transport.outputSize() }

// Read decrypts. It returns errors that Again reports as temporary when
// there is no whole record, io.EOF after the peer's close_notify.
func (s *Session) Read(p []byte) (int, error) { return s.conn.Read(p) }

// Again reports whether err means that Read has nothing yet.
func Again(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// Write encrypts all of p.
func (s *Session) Write(p []byte) error {
	s.transport.reserve(len(p) + len(p)/32 + 64) // room for the records' heads and tags
	_, err := s.conn.Write(p)
	return err
}

// CloseNotify says goodbye to the peer, if the handshake got that far.
func (s *Session) CloseNotify() {
	if s.State() == StateOpen {
		_ = s.conn.CloseWrite() // an earlier error of the connection: nothing to say
	}
}

// Stop ends a handshake that is under way. The session is of no use
// afterwards, but for what it knows of the peer.
func (s *Session) Stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.transport.end(errStopped)
	s.Answer(Answer{})
}

// Release says, once, that nobody will ask the session for anything more: there
// is memory to collect.
func (s *Session) Release() { pace.leaves(1) }

// ConnectionState is crypto/tls's, once the session is open.
func (s *Session) ConnectionState() stdtls.ConnectionState { return s.conn.ConnectionState() }

// PeerCertificates is the chain as the peer sent it, leaf first.
func (s *Session) PeerCertificates() []*x509.Certificate {
	return s.conn.ConnectionState().PeerCertificates
}

// Verification is the result of verifying the peer.
func (s *Session) Verification() Result { return s.result }

// Context is the context in use: a server's after SNI.
func (s *Session) Context() *Context { return s.context }

// ServerName is the name asked for by SNI.
func (s *Session) ServerName() string {
	if s.context.Server() {
		return s.Hello().ServerName
	}
	return s.options.ServerName
}

// Finished is the peer's Finished message for tls-unique (RFC 5929), nil
// where crypto/tls does not keep it: TLS 1.3 and resumed sessions.
func (s *Session) Finished() []byte { return s.ConnectionState().TLSUnique }

// OwnFinished is our Finished message. crypto/tls keeps only the first of a
// handshake, which is ours if we are the client, or the server that resumes a
// session (RFC 5929, section 3.1); otherwise it is nil.
func (s *Session) OwnFinished() []byte {
	cs := s.ConnectionState()
	if s.context.Server() != cs.DidResume {
		return nil
	}
	return cs.TLSUnique
}

// ExportKeyingMaterial is RFC 5705's exporter.
func (s *Session) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	cs := s.ConnectionState()
	return cs.ExportKeyingMaterial(label, context, length)
}
