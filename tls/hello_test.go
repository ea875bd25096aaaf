package tls

import (
	stdtls "crypto/tls"
	"testing"
)

// TestPortAndHostVerify: what the port's context asks of a client holds whatever
// the context of the name asks. LuaSec goes by the port's alone.
func TestPortAndHostVerify(t *testing.T) {
	context := func(verify ...string) *Context {
		return sessionContext(t, "server", func(c *Config) { c.Verify = verify }, "p256")
	}
	lax, strict, needs := context("none"), context("peer"), context("peer", "fail_if_no_peer_cert")
	for _, c := range []struct {
		name         string
		port, host   *Context
		nobody, self bool // who gets in: without a certificate, with one of its own making
	}{
		{"lax", lax, lax, true, true},
		{"strict port", strict, lax, true, false},
		{"strict host", lax, strict, true, false},
		{"needs at the port", needs, lax, false, false},
		{"needs at the host", lax, needs, false, false},
	} {
		for _, version := range []uint16{stdtls.VersionTLS12, stdtls.VersionTLS13} {
			for _, certificate := range []bool{false, true} {
				v, want := newVisitor(t, version), c.self
				if !certificate {
					v.config.Certificates, want = nil, c.nobody
				}
				s, _ := v.visit(t, c.port, "host", func(Hello) Answer { return Answer{Context: c.host} })
				if got := s.State() == StateOpen; got != want {
					t.Errorf("%s, version %x, certificate %v: in %v, %v", c.name, version, certificate, got, s.Err())
				}
			}
		}
	}
}
