package tls

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"time"
)

// completeChains adds the issuers of each certificate whose file has no other.
// OpenSSL does so (ssl_add_cert_chain in statem_lib.c) with what X509_verify_cert
// finds in the store, up to and with the root; that the chain leads to none does
// not matter. It looks at each handshake, we do when a context is made.
func completeChains(certificates []stdtls.Certificate, cas *CAStore) {
	if cas == nil {
		return
	}
	for i := range certificates {
		c := &certificates[i]
		if len(c.Certificate) == 1 {
			c.Certificate = append(c.Certificate, issuersOf(c.Leaf, cas)...)
		}
	}
}

// issuersOf is the chain above a certificate, as far as a store has it. Nothing
// is trusted for it.
func issuersOf(leaf *x509.Certificate, cas *CAStore) (chain [][]byte) {
	v := newVerifier([]*x509.Certificate{leaf}, VerifyOptions{CAs: cas, Depth: maxDepth, Now: time.Now()})
	v.untrusted = nil // there is no peer
	v.extendChain()
	for _, issuer := range v.chain[1:] {
		chain = append(chain, issuer.Raw)
	}
	return chain
}
