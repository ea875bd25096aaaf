package tls

import (
	"crypto/x509"
	"time"
)

// verify checks what the peer presented, by the context's configuration.
func (c *Context) verify(chain []*x509.Certificate, dane *DANE) Result {
	o := VerifyOptions{
		CAs:           c.caStore(),
		Depth:         c.Depth(),
		Server:        c.Server(),
		IgnorePurpose: c.IgnorePurpose(),
		Continue:      c.VerifyContinue(),
		Now:           time.Now(),
	}
	o.CRLLeaf, o.CRLChain = c.CRLCheck()
	if enabled, noNamechecks := c.UsesDANE(); enabled && dane != nil {
		d := *dane
		d.NoEENamechecks = noNamechecks
		o.DANE = &d
	}
	return Verify(chain, o)
}

func (c *Context) caStore() *CAStore {
	store, _ := NewCAStore(c.CAs())
	return store
}
