package tls

import (
	stdtls "crypto/tls"
	"slices"
	"strings"
)

// Hello is what a client asked for.
type Hello struct {
	ServerName string
	ALPN       []string
}

// Answer decides how a server goes on after Hello.
type Answer struct {
	// Context replaces the session's own; nil refuses the name.
	Context *Context
	// ALPN is the protocol chosen. With ALPNChosen false the context's own
	// list decides.
	ALPN       string
	ALPNChosen bool
}

// Hello is what the client sent, from StateHello on.
func (s *Session) Hello() Hello {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hello
}

// gotHello chooses the configuration for a client.
func (s *Session) gotHello(info *stdtls.ClientHelloInfo) (*stdtls.Config, error) {
	s.offer = info
	hello := Hello{info.ServerName, info.SupportedProtos}
	if !hello.sane() {
		return s.refuse(errHello), nil
	}
	answer, err := s.ask(hello)
	if err != nil {
		return nil, err
	}
	if answer.Context == nil {
		return s.refuse(errName), nil
	}
	s.context = answer.Context
	protocol := answer.ALPN
	if !answer.ALPNChosen {
		protocol = answer.Context.SelectALPN(hello.ALPN)
	}
	return s.serverConfig(hello.ServerName, protocol), nil
}

// maxServerName is OpenSSL's TLSEXT_MAXLEN_host_name.
const maxServerName = 255

// sane reports whether the name may be a host's, in whatever encoding, and
// nothing has a NUL, which ends strings in C and in Lua modules written in it.
func (h Hello) sane() bool {
	if len(h.ServerName) > maxServerName {
		return false
	}
	for _, b := range []byte(h.ServerName) {
		if b <= ' ' || b == '\x7f' {
			return false
		}
	}
	return !slices.ContainsFunc(h.ALPN, func(p string) bool { return strings.Contains(p, "\x00") })
}

// ask makes the hello known, and waits for the answer if the options say so.
func (s *Session) ask(hello Hello) (Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hello = hello
	if s.stopped {
		return Answer{}, errStopped
	}
	if !s.options.AskHello {
		return Answer{Context: s.context}, nil
	}
	s.state = StateHello
	s.transport.news()
	for s.state == StateHello {
		s.mu.Unlock()
		s.transport.yield()
		s.mu.Lock()
	}
	return s.answer, nil
}

// refuse is the configuration of a client that gets no further: without a
// certificate crypto/tls sends unrecognized_name, and without tickets there is
// no handshake that does without a certificate.
func (s *Session) refuse(reason error) *stdtls.Config {
	s.refusal = reason
	config := s.context.ServerConfig("")
	config.Certificates, config.GetCertificate = nil, nil
	config.SessionTicketsDisabled = true
	config.VerifyConnection = func(stdtls.ConnectionState) error { return reason }
	return config
}

// Answer lets a session in StateHello go on.
func (s *Session) Answer(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == StateHello {
		s.state = StateHandshake
		s.answer = a
		s.transport.resume()
	}
}

// serverConfig names at most one protocol: crypto/tls refuses a client whose
// list has none of the server's, where OpenSSL's callback lets it go on
// without ALPN. A name does not take back what the port asks of its clients.
func (s *Session) serverConfig(name, protocol string) *stdtls.Config {
	config := s.context.ServerConfig(name)
	if s.options.Classic {
		config.CurvePreferences = s.context.groups.classic
	}
	config.ClientAuth = max(config.ClientAuth, s.first.clientAuth())
	config.VerifyConnection = s.verify
	if protocol != "" {
		config.NextProtos = []string{protocol}
	}
	return config
}
