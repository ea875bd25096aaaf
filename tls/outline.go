package tls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// parseOwn parses a certificate of our own. If crypto/x509 cannot parse it, only
// its outline is read, because OpenSSL serves such certificates, too. The error is
// crypto/x509's.
func parseOwn(der []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err == nil {
		return c, nil
	}
	if c = readOutline(der); c == nil || c.PublicKey == nil {
		return nil, err
	}
	return c, nil
}

// readOutline reads as much of a certificate as serving it takes (RFC 5280,
// 4.1): Raw with the signature algorithm in it, names, public key, and the
// extensions before the first malformed one. It returns nil if the outline itself
// is malformed, and leaves PublicKey nil if crypto/tls cannot use the key.
//
// The result must never be used to decide whether to trust a certificate,
// because what could not be read is missing from it.
func readOutline(der []byte) *x509.Certificate {
	var whole, certificate, tbs, rest cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1Element(&whole, cbasn1.SEQUENCE) || !input.Empty() {
		return nil
	}
	c := &x509.Certificate{Raw: whole}
	if !whole.ReadASN1(&certificate, cbasn1.SEQUENCE) ||
		!certificate.ReadASN1Element(&tbs, cbasn1.SEQUENCE) {
		return nil
	}
	c.RawTBSCertificate = tbs
	if !tbs.ReadASN1(&rest, cbasn1.SEQUENCE) || !readTBS(c, rest) {
		return nil
	}
	c.PublicKey, c.PublicKeyAlgorithm = readPublicKey(c.RawSubjectPublicKeyInfo)
	return c
}

// readTBS reads the content of TBSCertificate.
func readTBS(c *x509.Certificate, tbs cryptobyte.String) bool {
	var issuer, subject, key cryptobyte.String
	ok := tbs.SkipOptionalASN1(contextTag(0)) && // version
		tbs.SkipASN1(cbasn1.INTEGER) && // serial number
		tbs.SkipASN1(cbasn1.SEQUENCE) && // signature algorithm
		tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) &&
		tbs.SkipASN1(cbasn1.SEQUENCE) && // validity
		tbs.ReadASN1Element(&subject, cbasn1.SEQUENCE) &&
		tbs.ReadASN1Element(&key, cbasn1.SEQUENCE)
	c.RawIssuer, c.RawSubject, c.RawSubjectPublicKeyInfo = issuer, subject, key
	if ok {
		c.Extensions = readExtensions(tbs)
	}
	return ok
}

func contextTag(n uint8) cbasn1.Tag { return cbasn1.Tag(n).Constructed().ContextSpecific() }

// readExtensions reads the extensions before the first malformed one.
func readExtensions(tbs cryptobyte.String) (extensions []pkix.Extension) {
	var outer, list cryptobyte.String
	tbs.SkipOptionalASN1(cbasn1.Tag(1).ContextSpecific()) // issuerUniqueID
	tbs.SkipOptionalASN1(cbasn1.Tag(2).ContextSpecific()) // subjectUniqueID
	if !tbs.ReadASN1(&outer, contextTag(3)) || !outer.ReadASN1(&list, cbasn1.SEQUENCE) {
		return nil
	}
	for !list.Empty() {
		var extension, value cryptobyte.String
		var id asn1.ObjectIdentifier
		if !list.ReadASN1(&extension, cbasn1.SEQUENCE) ||
			!extension.ReadASN1ObjectIdentifier(&id) ||
			!extension.SkipOptionalASN1(cbasn1.BOOLEAN) || // critical
			!extension.ReadASN1(&value, cbasn1.OCTET_STRING) {
			break
		}
		extensions = append(extensions, pkix.Extension{Id: id, Value: value})
	}
	return extensions
}
