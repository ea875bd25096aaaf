package tls

import (
	"crypto/x509"
	"time"
)

// verify checks what the peer presented, by the context's configuration.
func (c *Context) verify(chain []*x509.Certificate, dane *DANE) Result {
	o := VerifyOptions{
		CAs:           c.CAStore(),
		Depth:         c.Depth(),
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
