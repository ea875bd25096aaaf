package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// stolen is a client's cache that offers its one ticket whatever the server is
// called: a client is free to.
type stolen struct{ session *stdtls.ClientSessionState }

func (c *stolen) Get(string) (*stdtls.ClientSessionState, bool) { return c.session, c.session != nil }
func (c *stolen) Put(_ string, s *stdtls.ClientSessionState) {
	if s != nil {
		c.session = s
	}
}

// selfSigned is a certificate that anybody can make, for any name.
func selfSigned(t testing.TB, name string) stdtls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return stdtls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// visitor is a client with a certificate of its own making and a cache.
type visitor struct {
	stolen
	config stdtls.Config
}

// addressed has the address by which crypto/tls's client looks for tickets.
type addressed struct{ *transport }

func (addressed) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// newVisitor makes a client of one version of TLS.
func newVisitor(t testing.TB, version uint16) *visitor {
	return &visitor{config: stdtls.Config{
		InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
		Certificates: []stdtls.Certificate{selfSigned(t, "victim.example")},
	}}
}

// visit has the visitor ask the port of context for name; answer chooses as
// Lua would. A ticket that the server sends replaces the one there was.
func (v *visitor) visit(t testing.TB, context *Context, name string, answer func(Hello) Answer) (server, client *endpoint) {
	t.Helper()
	server = newEndpoint(context, Options{AskHello: true})
	client = newEndpoint(sessionContext(t, "client", nil), Options{})
	config := v.config.Clone()
	config.ServerName, config.ClientSessionCache = name, &v.stolen
	client.conn = stdtls.Client(addressed{&client.transport}, config)
	shake(t, server, client, 0, answer)
	if client.State() == StateOpen && server.State() == StateOpen {
		read(t, client) // the tickets of TLS 1.3
	}
	return server, client
}

// offering takes a ticket under one name and offers it under another.
func (v *visitor) offering(ticket *stdtls.ClientSessionState) *visitor {
	return &visitor{stolen{ticket}, *v.config.Clone()}
}

// federation is how a server of Prosody's verifies those that connect to it.
func federation(c *Config) {
	c.Verify, c.VerifyExt = []string{"peer", "client_once"}, []string{"lsec_continue", "lsec_ignore_purpose"}
}

func eachResumable(t *testing.T, f func(t *testing.T, version uint16)) {
	for name, version := range map[string]uint16{"1.2": stdtls.VersionTLS12, "1.3": stdtls.VersionTLS13} {
		t.Run(name, func(t *testing.T) { f(t, version) })
	}
}

// TestRefusalEndsResumptionToo: whatever ticket a client has, a name that is
// refused stays refused, and a certificate that nobody verified is untrusted.
func TestRefusalEndsResumptionToo(t *testing.T) {
	eachResumable(t, func(t *testing.T, version uint16) {
		own := sessionContext(t, "server", federation, "p256")
		other := sessionContext(t, "server", federation, "p256")
		strict := sessionContext(t, "server", func(c *Config) { c.Verify = []string{"peer"} }, "p256")
		hosts := map[string]*Context{"": own, "a": own, "sibling": own, "b": other, "strict": strict}
		answer := func(h Hello) Answer { return Answer{Context: hosts[h.ServerName]} }

		for _, first := range []string{"", "a"} {
			v := newVisitor(t, version)
			if s, c := v.visit(t, own, first, answer); s.State() != StateOpen || v.session == nil {
				t.Fatalf("%q: no ticket, %v, %v", first, s.Err(), c.Err())
			}
			for _, name := range []string{"", "a", "sibling", "b", "strict", "refused"} {
				s, c := v.offering(v.session).visit(t, own, name, answer)
				if s.Verification().OK {
					t.Errorf("ticket of %q, name %q: a certificate of the client's own making counts as verified", first, name)
				}
				refused := name == "refused" || name == "strict"
				if open := s.State() == StateOpen; open == refused {
					t.Errorf("ticket of %q, name %q: open %v, %v", first, name, open, s.Err())
				}
				if name == "refused" && c.Reason(c.Err()) != "tlsv1 unrecognized name" {
					t.Errorf("ticket of %q, refused: the client sees %v", first, c.Err())
				}
				if resumed := s.ConnectionState().DidResume; resumed != (name == first) {
					t.Errorf("ticket of %q, name %q: resumed %v", first, name, resumed)
				}
			}
		}
	})
}

// TestTicketsEnd: a key is used for a day and known for two, and a context of
// the same files, as a reload makes it, knows none of them.
func TestTicketsEnd(t *testing.T) {
	eachResumable(t, func(t *testing.T, version uint16) {
		for name, test := range map[string]struct {
			age      time.Duration
			reloaded bool
			resumed  bool
		}{
			"at once":       {0, false, true},
			"a day later":   {25 * time.Hour, false, true},
			"two days":      {49 * time.Hour, false, false},
			"after reload":  {0, true, false},
			"reload, later": {25 * time.Hour, true, false},
		} {
			context := sessionContext(t, "server", federation, "p256")
			v := newVisitor(t, version)
			v.visit(t, context, "a", func(Hello) Answer { return Answer{Context: context} })
			for i := range context.tickets.list {
				context.tickets.list[i].made = time.Now().Add(-test.age)
			}
			if test.reloaded {
				context = sessionContext(t, "server", federation, "p256")
			}
			s, _ := v.visit(t, context, "a", func(Hello) Answer { return Answer{Context: context} })
			if s.State() != StateOpen || s.ConnectionState().DidResume != test.resumed {
				t.Errorf("%s: resumed %v, %v", name, s.ConnectionState().DidResume, s.Err())
			}
		}
	})
}

// TestTicketIsVerifiedAgain: what was trusted when the ticket was made, and is
// not any more.
func TestTicketIsVerifiedAgain(t *testing.T) {
	eachResumable(t, func(t *testing.T, version uint16) {
		v := newVisitor(t, version)
		file := t.TempDir() + "/ca.pem"
		block := &pem.Block{Type: "CERTIFICATE", Bytes: v.config.Certificates[0].Certificate[0]}
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		context := sessionContext(t, "server", func(c *Config) { federation(c); c.CAFile = file }, "p256")
		answer := func(Hello) Answer { return Answer{Context: context} }
		for i, trusted := range []bool{true, true, false} {
			if !trusted {
				context.cas = nil
			}
			s, _ := v.visit(t, context, "a", answer)
			if got := s.Verification().OK; got != trusted || s.ConnectionState().DidResume != (i > 0) {
				t.Errorf("connection %d: verified %v, resumed %v; %v", i, got, s.ConnectionState().DidResume, s.Err())
			}
		}
	})
}

// TestNothingIsVerifiedBeforeItIs: before and in a handshake, and after one
// that failed.
func TestNothingIsVerifiedBeforeItIs(t *testing.T) {
	if (&Result{}).OK {
		t.Error("the zero Result is verified")
	}
	for _, mode := range []string{"server", "client"} {
		s := newEndpoint(sessionContext(t, mode, nil, "p256"), Options{})
		if s.Verification().OK {
			t.Errorf("%s: verified before the handshake", mode)
		}
		s.start()
		s.FeedEOF()
		for !s.done() {
			<-s.bell
		}
		if s.Verification().OK {
			t.Errorf("%s: verified after a handshake that failed", mode)
		}
	}
}

// TestHelloWithControlCharacters: OpenSSL refuses a NUL in SNI. In ALPN it does
// not, but Lua modules in C would see the name cut.
func TestHelloWithControlCharacters(t *testing.T) {
	context := sessionContext(t, "server", nil, "p256")
	for _, version := range []uint16{stdtls.VersionTLS12, stdtls.VersionTLS13} {
		for _, test := range []struct {
			name, protocol string
			refused        bool
		}{
			{"localhost", "xmpp-client", false},
			{"b\u00fccher.example", "xmpp-client", false},
			{strings.Repeat("a", 255), "xmpp-client", false},
			{"localhost\x00xmpp-server", "xmpp-client", true},
			{"localhost\n", "xmpp-client", true},
			{"local host", "xmpp-client", true},
			{"localhost\x7f", "xmpp-client", true},
			{strings.Repeat("a", 256), "xmpp-client", true},
			{"localhost", "xmpp\x00client", true},
			{"", "\x00", true},
		} {
			v := newVisitor(t, version)
			v.config.NextProtos = []string{"first", test.protocol}
			asked := false
			s, c := v.visit(t, context, test.name, func(Hello) Answer {
				asked = true
				return Answer{Context: context}
			})
			if asked == test.refused || (s.State() == StateOpen) == test.refused {
				t.Errorf("%q, %q: asked %v, state %d, %v", test.name, test.protocol, asked, s.State(), s.Err())
			}
			if !test.refused {
				continue
			}
			if s.ServerName() != "" || s.Reason(s.Err()) != "bad extension" || c.Reason(c.Err()) != "tlsv1 unrecognized name" {
				t.Errorf("%q, %q: name %q, reason %q, the client's %q", test.name, test.protocol, s.ServerName(), s.Reason(s.Err()), c.Reason(c.Err()))
			}
		}
	}
}
