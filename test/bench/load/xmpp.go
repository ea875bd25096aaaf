package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A session is one XMPP client. It knows what Prosody answers, and no more XML than that.
type session struct {
	transport *transport
	stream    io.ReadWriter // the transport, or TLS over it
	host      string
	framed    bool // in WebSocket
	user      string
	config    *tls.Config // nil: no STARTTLS
	buffer    []byte      // received, not used yet
}

func newSession(o options, config *tls.Config, number int, t *transport) session {
	return session{transport: t, stream: t, host: o.name, framed: o.websocket, user: userName(number), config: config}
}

const resource = "bench"

func userName(number int) string { return fmt.Sprintf("user%d", number) }

// login goes from nothing to a bound resource.
func (s *session) login() error {
	if s.framed {
		socket, err := openWebSocket(s.stream, s.host)
		if err != nil {
			return fmt.Errorf("WebSocket: %w", err)
		}
		s.stream = socket
	}
	if err := s.open(); err != nil {
		return err
	}
	if s.config != nil {
		if err := s.startTLS(); err != nil {
			return fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if err := s.authenticate(); err != nil {
		return fmt.Errorf("SASL: %w", err)
	}
	if err := s.open(); err != nil {
		return err
	}
	return s.bind()
}

func (s *session) open() error {
	if s.framed {
		_, err := s.ask("</stream:features>", "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='%s' version='1.0'/>", s.host)
		return err
	}
	_, err := s.ask("</stream:features>", "<?xml version='1.0'?><stream:stream to='%s' version='1.0' "+
		"xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", s.host)
	return err
}

func (s *session) startTLS() error {
	if _, err := s.ask("<proceed", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"); err != nil {
		return err
	}
	s.buffer = s.buffer[:0]
	secured := tls.Client(s.transport, s.config)
	if err := secured.Handshake(); err != nil {
		return err
	}
	s.stream = secured
	return s.open()
}

func (s *session) authenticate() error {
	exchange := scram{user: s.user}
	answer, err := s.ask("</challenge>", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>%s</auth>",
		base64.StdEncoding.EncodeToString(exchange.first()))
	if err != nil {
		return err
	}
	challenge, err := base64.StdEncoding.DecodeString(string(answer[bytes.LastIndexByte(answer, '>')+1:]))
	if err != nil {
		return err
	}
	final, err := exchange.final(challenge)
	if err != nil {
		return err
	}
	_, err = s.ask("</success>", "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>%s</response>",
		base64.StdEncoding.EncodeToString(final))
	return err
}

func (s *session) bind() error {
	_, err := s.ask("</iq>", "<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"+
		"<resource>%s</resource></bind></iq>", resource)
	return err
}

func (s *session) close() error {
	_, err := s.ask("</stream:stream>", "</stream:stream>")
	return err
}

// ask sends, and returns what comes before the end of the answer.
func (s *session) ask(end, format string, args ...any) ([]byte, error) {
	if _, err := fmt.Fprintf(s.stream, format, args...); err != nil {
		return nil, err
	}
	for {
		if answer, rest, found := bytes.Cut(s.buffer, []byte(end)); found {
			s.buffer = rest
			return answer, nil
		}
		if refused(s.buffer) {
			return nil, fmt.Errorf("instead of %s: %s", end, s.buffer)
		}
		if err := s.read(); err != nil {
			return nil, fmt.Errorf("waiting for %s after %q: %w", end, s.buffer, err)
		}
	}
}

func (s *session) read() error {
	s.buffer = slices.Grow(s.buffer, 4096)
	n, err := s.stream.Read(s.buffer[len(s.buffer):cap(s.buffer)])
	s.buffer = s.buffer[:len(s.buffer)+n]
	if n == 0 && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func refused(answer []byte) bool {
	for _, sign := range []string{"</failure>", "</stream:error>", "type='error'", "<failure"} {
		if bytes.Contains(answer, []byte(sign)) {
			return true
		}
	}
	return false
}
