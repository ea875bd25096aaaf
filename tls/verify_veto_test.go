package tls

import (
	"crypto/x509"
	"testing"
)

// TestVetoTakesItsRootsFromTheStore: whatever our verifier believed to be a
// root, crypto/x509 must not get it from the peer.
func TestVetoTakesItsRootsFromTheStore(t *testing.T) {
	s := loadVerifySuite(t)
	leaf, root := s.chain(t, []string{"direct"})[0], s.chain(t, []string{"root"})[0]
	for _, test := range []struct {
		store   string
		refused bool
	}{{"root", false}, {"other root", true}, {"", true}} {
		c := verifyCase{}
		if test.store != "" {
			c.CAFile = []string{test.store}
		}
		v := newVerifier([]*x509.Certificate{leaf, root}, s.options(t, c))
		v.chain = v.untrusted // as if the peer's root were an anchor
		if err := v.standardRefusal(); (err != "") != test.refused {
			t.Errorf("store with %q: %q", test.store, err)
		}
	}
}
