package tls

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
)

// certFacts is one certificate with what OpenSSL caches about it (v3_purp.c,
// ossl_x509v3_cache_extensions).
type certFacts struct {
	*x509.Certificate
	subject, issuer string // canonical
	sig             signatureAlgorithm

	selfIssued bool // the names are equal
	selfSigned bool // and nothing speaks against it; the signature is not checked
	unhandled  bool // a critical extension that OpenSSL does not know
	proxy      bool // RFC 3820

	hasUsage, hasExtUsage bool
	hasNetscape           bool
	netscape              byte
	authority             *authorityKeyID
	altNames              []generalName
	constraints           *nameConstraints
	crlPoints             []crlPoint
}

// authorityKeyID is RFC 5280, 4.2.1.1. Parts that are absent are nil.
type authorityKeyID struct {
	keyID  []byte
	issuer *string // canonical
	serial *big.Int
}

// generalName is RFC 5280, 4.2.1.6: the tag says the kind. The value of a
// directory name is canonical.
type generalName struct {
	tag   int
	value []byte
}

// The kinds of generalName.
const (
	otherName     = 0
	emailName     = 1
	dnsName       = 2
	directoryName = 4
	uriName       = 6
	addressName   = 7
)

// handledExtensions is X509_supported_extension: those that may be critical.
// RFC 3779's are not in it, for we do not check what they say.
var handledExtensions = map[string]bool{
	"2.16.840.1.113730.1.1": true, // Netscape certificate type
	"2.5.29.15":             true, // key usage
	"2.5.29.17":             true, // subject alternative name
	"2.5.29.19":             true, // basic constraints
	"2.5.29.30":             true, // name constraints
	"2.5.29.31":             true, // CRL distribution points
	"2.5.29.32":             true, // certificate policies
	"2.5.29.33":             true, // policy mappings
	"2.5.29.36":             true, // policy constraints
	"2.5.29.37":             true, // extended key usage
	"2.5.29.54":             true, // inhibit any policy
	"1.3.6.1.5.5.7.48.1.5":  true, // OCSP no check
	"1.3.6.1.5.5.7.1.14":    true, // proxy certificate
}

func newCertFacts(x *x509.Certificate) *certFacts {
	c := &certFacts{
		Certificate: x,
		subject:     canonicalName(x.RawSubject),
		issuer:      canonicalName(x.RawIssuer),
		sig:         certSignatureAlgorithm(x),
	}
	for _, ext := range x.Extensions {
		c.addExtension(ext)
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

func (c *certFacts) addExtension(ext pkix.Extension) {
	id := ext.Id.String()
	if ext.Critical && !handledExtensions[id] {
		c.unhandled = true
	}
	switch id {
	case "2.5.29.15":
		c.hasUsage = true
	case "2.5.29.37":
		c.hasExtUsage = true
	case "2.16.840.1.113730.1.1":
		c.hasNetscape, c.netscape = true, firstBits(ext.Value)
	case "1.3.6.1.5.5.7.1.14":
		c.proxy = true
	case "2.5.29.35":
		c.authority = parseAuthorityKeyID(ext.Value)
	case "2.5.29.17":
		c.altNames = parseGeneralNames(ext.Value)
	case "2.5.29.30":
		c.constraints = parseNameConstraints(ext.Value)
	case "2.5.29.31":
		c.crlPoints = parseCRLPoints(ext.Value)
	}
}

func firstBits(der []byte) byte {
	var bits asn1.BitString
	if _, err := asn1.Unmarshal(der, &bits); err != nil || len(bits.Bytes) == 0 {
		return 0
	}
	return bits.Bytes[0]
}

func parseAuthorityKeyID(der []byte) *authorityKeyID {
	fields, _ := derSequence(der)
	id := &authorityKeyID{}
	for _, f := range fields {
		switch f.Tag {
		case 0:
			id.keyID = append([]byte{}, f.Bytes...)
		case 1:
			names, _ := derElements(f.Bytes)
			id.issuer = firstDirectoryName(generalNames(names))
		case 2:
			if len(f.Bytes) > 0 { // two's complement; negative serials are not worth more
				id.serial = new(big.Int).SetBytes(f.Bytes)
			}
		}
	}
	return id
}

func parseGeneralNames(der []byte) []generalName {
	elements, _ := derSequence(der)
	return generalNames(elements)
}

func generalNames(elements []asn1.RawValue) []generalName {
	var names []generalName
	for _, e := range elements {
		names = append(names, newGeneralName(e))
	}
	return names
}

func newGeneralName(v asn1.RawValue) generalName {
	if v.Tag == directoryName {
		return generalName{v.Tag, []byte(canonicalName(v.Bytes))}
	}
	return generalName{v.Tag, v.Bytes}
}

func firstDirectoryName(names []generalName) *string {
	for _, n := range names {
		if n.tag == directoryName {
			name := string(n.value)
			return &name
		}
	}
	return nil
}

// namedAsProxy: the subject is the issuer and one common name more (RFC 3820,
// 3.4).
func (c *certFacts) namedAsProxy() bool {
	added, found := strings.CutPrefix(c.subject, c.issuer)
	names := nameValues(derTLV(0x30, []byte(added)), oidCommonName)
	return found && c.issuer != "" && len(names) == 1 &&
		added == string(derTLV(0x31, derTLV(0x30, []byte{6, 3, 2*40 + 5, 4, 3}, names[0].FullBytes)))
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
// key agree. The signature is checked once the chain is complete.
func likelyIssued(issuer, c *certFacts) bool {
	return issuer.subject == c.issuer &&
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

// Netscape certificate types.
const (
	netscapeClient = 0x80
	netscapeServer = 0x40
	netscapeTLSCA  = 0x04
	netscapeAnyCA  = 0x07
)

// caKind is check_ca of v3_purp.c.
type caKind int

const (
	notCA caKind = iota
	isCA
	_
	oldRoot    // version 1 and self-signed
	usageCA    // only its key usage says so
	netscapeCA // only its Netscape certificate type says so
)

func (c *certFacts) ca() caKind {
	switch {
	case c.refusesUsage(x509.KeyUsageCertSign):
		return notCA
	case c.BasicConstraintsValid && c.IsCA:
		return isCA
	case c.BasicConstraintsValid:
		return notCA
	case c.Version == 1 && c.selfSigned:
		return oldRoot
	case c.hasUsage:
		return usageCA
	case c.netscape&netscapeAnyCA != 0:
		return netscapeCA
	}
	return notCA
}

func (c *certFacts) refusesUsage(any x509.KeyUsage) bool {
	return c.hasUsage && c.KeyUsage&any == 0
}

func (c *certFacts) refusesNetscape(any byte) bool {
	return c.hasNetscape && c.netscape&any == 0
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

// suitsServer is check_purpose_ssl_server.
func (c *certFacts) suitsServer(mustBeCA bool) bool {
	if c.refusesExtUsage(x509.ExtKeyUsageServerAuth,
		x509.ExtKeyUsageMicrosoftServerGatedCrypto, x509.ExtKeyUsageNetscapeServerGatedCrypto) {
		return false
	}
	if mustBeCA {
		return c.suitsCA()
	}
	return !c.refusesNetscape(netscapeServer) &&
		!c.refusesUsage(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement)
}

// suitsClient is check_purpose_ssl_client.
func (c *certFacts) suitsClient(mustBeCA bool) bool {
	if c.refusesExtUsage(x509.ExtKeyUsageClientAuth) {
		return false
	}
	if mustBeCA {
		return c.suitsCA()
	}
	return !c.refusesNetscape(netscapeClient) &&
		!c.refusesUsage(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement)
}

func (c *certFacts) suitsCA() bool {
	kind := c.ca()
	return kind != notCA && (kind != netscapeCA || c.netscape&netscapeTLSCA != 0)
}

// forbidsIssuing is ossl_x509_signing_allowed.
func (c *certFacts) forbidsIssuing(subject *certFacts) verifyError {
	switch {
	case subject.proxy && c.refusesUsage(x509.KeyUsageDigitalSignature):
		return errUsageNoSignature
	case !subject.proxy && c.refusesUsage(x509.KeyUsageCertSign):
		return errUsageNoCertSign
	}
	return ""
}
