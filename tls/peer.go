package tls

import (
	"crypto/x509"
	"time"
)

// maxChainSize is OpenSSL's limit for the message with a peer's certificates
// (SSL_MAX_CERT_LIST_DEFAULT), whether they are verified or not: what they cost
// us grows with them.
const maxChainSize = 100 << 10

// longChain is a size above which a chain may cost more than some ms. Those of
// public CAs have 3 to 6 KB.
const longChain = 12 << 10

// chainSize is that of the message with the certificates.
func chainSize(chain []*x509.Certificate) int {
	const lengthField = 3
	size := lengthField
	for _, x := range chain {
		size += lengthField + len(x.Raw)
	}
	return size
}

// checkPeer comes before anything else is done with what a peer presented.
func (s *Session) checkPeer(chain []*x509.Certificate) error {
	size := chainSize(chain)
	if size > maxChainSize {
		return errTooMuch
	}
	if size > longChain {
		s.transport.handshake.letOthersFirst(s.transport.yield)
	}
	return nil
}

// verify checks what the peer presented, by the context's configuration; but depth
// is the port's, as SSL_set_SSL_CTX leaves it.
func (c *Context) verify(chain []*x509.Certificate, depth int, dane *DANE) Result {
	o := VerifyOptions{
		CAs:           c.CAStore(),
		Depth:         depth,
		Server:        c.Server(),
		IgnorePurpose: c.IgnorePurpose(),
		Continue:      c.VerifyContinue(),
		SecurityLevel: c.SecurityLevel(),
		Now:           time.Now(),
	}
	o.CRLLeaf, o.CRLChain = c.CRLCheck()
	if o.SecurityLevel == 0 {
		o.SecurityLevel = -1 // @SECLEVEL=0; VerifyOptions takes 0 for the default
	}
	if enabled, noNamechecks := c.UsesDANE(); enabled && dane != nil {
		d := *dane
		d.NoEENamechecks = noNamechecks
		o.DANE = &d
	}
	return Verify(chain, o)
}
