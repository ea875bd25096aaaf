package tls

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
)

// certFacts is one certificate with what OpenSSL caches about it (v3_purp.c,
// ossl_x509v3_cache_extensions).
type certFacts struct {
	*x509.Certificate
	subject, issuer string            // canonical
	subjectName     distinguishedName // the same, with what constraints concern
	sig             signatureAlgorithm

	selfIssued bool // the names are equal
	selfSigned bool // and nothing speaks against it; the signature is not checked
	unhandled  bool // a critical extension that OpenSSL does not know
	invalid    bool // something that we read is not the DER that it should be

	hasUsage, hasExtUsage bool
	netscape              byte // certificate type; all bits if there is none
	authority             *authorityKeyID
	altNames              []generalName
	constraints           *nameConstraints
	crlPoints             []crlPoint
}

func newCertFacts(x *x509.Certificate) *certFacts {
	c := &certFacts{
		Certificate: x,
		issuer:      canonicalName(x.RawIssuer),
		sig:         certSignatureAlgorithm(x),
		netscape:    0xff,
	}
	named := false
	c.subjectName, named = parseName(x.RawSubject)
	c.subject = c.subjectName.text
	c.invalid = !named || !shaped(x)
	for _, ext := range x.Extensions {
		c.invalid = !c.addExtension(ext) || c.invalid
	}
	c.selfIssued = c.subject == c.issuer
	c.selfSigned = likelyIssued(c, c)
	return c
}

func certSignatureAlgorithm(x *x509.Certificate) signatureAlgorithm {
	var outer struct {
		Signed    asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(x.Raw, &outer); err != nil {
		return signatureAlgorithm{}
	}
	return signatureAlgorithmOf(outer.Algorithm)
}

// same is X509_cmp.
func (c *certFacts) same(other *certFacts) bool {
	return c == other || bytes.Equal(c.Raw, other.Raw)
}

func contains(certs []*certFacts, c *certFacts) bool {
	for _, other := range certs {
		if other.same(c) {
			return true
		}
	}
	return false
}

// pathLen is the path length constraint, -1 for none.
func (c *certFacts) pathLen() int {
	if c.BasicConstraintsValid && (c.MaxPathLen > 0 || c.MaxPathLenZero) {
		return c.MaxPathLen
	}
	return -1
}

// likelyIssued is ossl_x509_likely_issued: names, key identifiers and kinds of
// key agree. The signature is checked once the chain is complete. An invalid
// certificate neither issues nor was issued, so no chain goes through it.
func likelyIssued(issuer, c *certFacts) bool {
	return issuer.subject == c.issuer && !issuer.invalid && !c.invalid &&
		c.authority.matches(issuer) &&
		issuer.PublicKey != nil && c.sig.key != x509.UnknownPublicKeyAlgorithm &&
		issuer.PublicKeyAlgorithm == c.sig.key
}

// matches is X509_check_akid. What either side leaves out is no mismatch.
func (id *authorityKeyID) matches(issuer *certFacts) bool {
	switch {
	case id == nil:
		return true
	case id.keyID != nil && issuer.SubjectKeyId != nil && !bytes.Equal(id.keyID, issuer.SubjectKeyId):
		return false
	case id.serial != nil && id.serial.Cmp(issuer.SerialNumber) != 0:
		return false
	}
	return id.issuer == nil || *id.issuer == issuer.issuer
}

// saysCA: the certificate is that of a CA by its basic constraints.
func (c *certFacts) saysCA() bool {
	return c.BasicConstraintsValid && c.IsCA && !c.refusesUsage(x509.KeyUsageCertSign)
}

// mayBeCA is check_ca of v3_purp.c: without basic constraints a root of version
// 1, which cannot have any, and what by its key usage signs certificates.
func (c *certFacts) mayBeCA() bool {
	if c.BasicConstraintsValid {
		return c.saysCA()
	}
	return !c.refusesUsage(x509.KeyUsageCertSign) && (c.hasUsage || c.Version == 1 && c.selfSigned)
}

func (c *certFacts) refusesUsage(any x509.KeyUsage) bool {
	return c.hasUsage && c.KeyUsage&any == 0
}

func (c *certFacts) refusesExtUsage(any ...x509.ExtKeyUsage) bool {
	if !c.hasExtUsage {
		return false
	}
	for _, have := range c.ExtKeyUsage {
		for _, want := range any {
			if have == want {
				return false
			}
		}
	}
	return true
}

// Netscape certificate types.
const (
	netscapeClient = 0x80
	netscapeServer = 0x40
)

// suitsServer is check_purpose_ssl_server.
func (c *certFacts) suitsServer(mustBeCA bool) bool {
	if c.refusesExtUsage(serverUsages...) {
		return false
	}
	if mustBeCA {
		return c.mayBeCA()
	}
	return c.netscape&netscapeServer != 0 &&
		!c.refusesUsage(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement)
}

// suitsClient is check_purpose_ssl_client.
func (c *certFacts) suitsClient(mustBeCA bool) bool {
	if c.refusesExtUsage(clientUsages...) {
		return false
	}
	if mustBeCA {
		return c.mayBeCA()
	}
	return c.netscape&netscapeClient != 0 &&
		!c.refusesUsage(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement)
}

// What the extended key usage of a server or a client may be.
var (
	serverUsages = []x509.ExtKeyUsage{
		x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageMicrosoftServerGatedCrypto, x509.ExtKeyUsageNetscapeServerGatedCrypto,
	}
	clientUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
)
