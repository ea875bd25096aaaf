package tls

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"
)

// completeChains returns the certificates with the issuers of each that is alone in
// its file. OpenSSL sends the chain that X509_verify_cert finds in the store, including
// the root, or its beginning if there is no root (ssl_add_cert_chain in
// statem_lib.c). OpenSSL searches in every handshake; we search once, when the
// context is made.
func completeChains(pairs []*stdtls.Certificate, cas *CAStore) (certificates []stdtls.Certificate) {
	for _, shared := range pairs {
		c := *shared
		if len(c.Certificate) == 1 && cas != nil {
			c.Certificate = slices.Concat(c.Certificate, issuersOf(c.Leaf, cas))
		}
		certificates = append(certificates, c)
	}
	return certificates
}

// issuersOf returns the chain above a certificate as DER, as far as the store has
// it. It checks no signature, because nothing is trusted on account of it.
func issuersOf(leaf *x509.Certificate, cas *CAStore) (chain [][]byte) {
	v := newVerifier([]*x509.Certificate{leaf}, VerifyOptions{CAs: cas, Depth: maxDepth, Now: time.Now()})
	v.untrusted, v.chain[0] = nil, ownFacts(leaf) // there is no peer
	v.extendChain()
	for _, issuer := range v.chain[1:] {
		chain = append(chain, issuer.Raw)
	}
	return chain
}

// ownFacts is what finding its issuer takes of a certificate of our own, which may
// be no more than an outline. It must not be used to verify the certificate.
func ownFacts(leaf *x509.Certificate) *certFacts {
	c := &certFacts{
		Certificate: leaf,
		subject:     canonicalName(leaf.RawSubject),
		issuer:      canonicalName(leaf.RawIssuer),
		sig:         certSignatureAlgorithm(leaf),
	}
	for _, ext := range leaf.Extensions {
		if ext.Id.Equal(oidAuthorityKeyID) {
			c.addExtension(ext)
		}
	}
	c.selfIssued = c.subject == c.issuer
	c.selfSigned = likelyIssued(c, c)
	return c
}

var oidAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
