package tls

import stdtls "crypto/tls"

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
	answer := Answer{Context: s.context}
	s.mu.Lock()
	s.hello = Hello{info.ServerName, info.SupportedProtos}
	if s.stopped {
		s.mu.Unlock()
		return nil, errStopped
	}
	if s.options.AskHello {
		s.state = StateHello
		s.transport.news()
		for s.state == StateHello {
			s.mu.Unlock()
			s.transport.yield()
			s.mu.Lock()
		}
		answer = s.answer
	}
	s.mu.Unlock()
	if answer.Context == nil {
		// Without any certificate crypto/tls sends unrecognized_name.
		s.refused = true
		config := s.context.ServerConfig()
		config.Certificates, config.GetCertificate = nil, nil
		return config, nil
	}
	s.context = answer.Context
	protocol := answer.ALPN
	if !answer.ALPNChosen {
		protocol = answer.Context.SelectALPN(info.SupportedProtos)
	}
	return s.serverConfig(answer.Context, protocol), nil
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
// without ALPN.
func (s *Session) serverConfig(c *Context, protocol string) *stdtls.Config {
	config := c.ServerConfig()
	config.VerifyConnection = s.verify
	if protocol != "" {
		config.NextProtos = []string{protocol}
	}
	return config
}
