package tls

import (
	"crypto/x509/pkix"
	"math/big"
)

// Each parser below reads one extension of RFC 5280, 4.2, and says whether it
// could. One that it cannot read makes the certificate invalid: taken for
// absent, it would not restrict what it was put there to restrict.

// handledExtensions is X509_supported_extension: those that may be critical.
// RFC 3779's and RFC 3820's are in neverExtensions.
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
}

// neverExtensions are refused, critical or not. OpenSSL refuses proxies unless a
// flag allows them, and checks resources along the chain. LuaSec cannot set the
// flag, and no TLS peer has either.
var neverExtensions = map[string]bool{
	"1.3.6.1.5.5.7.1.14": true, // proxy certificate (RFC 3820)
	"1.3.6.1.5.5.7.1.7":  true, // IP address delegation (RFC 3779)
	"1.3.6.1.5.5.7.1.8":  true, // autonomous system delegation (RFC 3779)
}

// addExtension says whether the extension could be read.
func (c *certFacts) addExtension(ext pkix.Extension) (ok bool) {
	id := ext.Id.String()
	if neverExtensions[id] || ext.Critical && !handledExtensions[id] {
		c.unhandled = true
	}
	parse := c.extensionParser(id)
	return parse == nil || derValid(ext.Value, maxNesting) && parse(ext.Value)
}

// extensionParser is nil for extensions that we do not read.
func (c *certFacts) extensionParser(id string) func(der []byte) bool {
	switch id {
	case "2.5.29.14":
		return isOctetString
	case "2.5.29.15":
		return c.addKeyUsage
	case "2.5.29.17":
		return c.addAltNames
	case "2.5.29.19":
		return c.addBasicConstraints
	case "2.5.29.30":
		return c.addNameConstraints
	case "2.5.29.31":
		return c.addCRLPoints
	case "2.5.29.35":
		return c.addAuthority
	case "2.5.29.37":
		return c.addExtUsage
	case "2.16.840.1.113730.1.1":
		return c.addNetscape
	}
	return nil
}

// The values of the next four are crypto/x509's; here they are checked more
// strictly.

func isOctetString(der []byte) bool {
	_, ok := derOne(der, derOctetString)
	return ok
}

func (c *certFacts) addKeyUsage(der []byte) bool {
	_, ok := derOne(der, derBitString)
	c.hasUsage = true
	return ok && c.KeyUsage != 0 // RFC 5280: at least one bit is set
}

func (c *certFacts) addBasicConstraints(der []byte) bool {
	fields, ok := derSequence(der)
	return ok && derTags(fields, derBoolean, derInteger)
}

func (c *certFacts) addExtUsage(der []byte) bool {
	_, ok := derList(der, derOID)
	c.hasExtUsage = true
	return ok
}

// addNetscape reads a relic of which OpenSSL still has leaves be what it says.
func (c *certFacts) addNetscape(der []byte) bool {
	bits, ok := derOne(der, derBitString)
	c.netscape = 0
	if ok && len(bits) > 1 {
		c.netscape = bits[1]
	}
	return ok
}

func (c *certFacts) addAuthority(der []byte) (ok bool) {
	c.authority, ok = parseAuthorityKeyID(der)
	return ok
}

func (c *certFacts) addAltNames(der []byte) bool {
	names, ok := derSequence(der)
	if !ok {
		return false
	}
	c.altNames, ok = generalNames(names)
	return ok
}

func (c *certFacts) addNameConstraints(der []byte) (ok bool) {
	c.constraints, ok = parseNameConstraints(der)
	return ok
}

func (c *certFacts) addCRLPoints(der []byte) (ok bool) {
	c.crlPoints, ok = parseCRLPoints(der)
	return ok
}

// authorityKeyID is RFC 5280, 4.2.1.1. Parts that are absent are nil.
type authorityKeyID struct {
	keyID  []byte
	issuer *string // canonical
	serial *big.Int
}

func parseAuthorityKeyID(der []byte) (*authorityKeyID, bool) {
	fields, ok := derSequence(der)
	if !ok || !derTags(fields, 0x80, 0xa1, 0x82) {
		return nil, false
	}
	id := &authorityKeyID{}
	for _, f := range fields {
		switch f.tag {
		case 0x80:
			id.keyID = append([]byte{}, f.body...)
		case 0xa1:
			names, ok := parseGeneralNames(f.body)
			if !ok {
				return nil, false
			}
			id.issuer = firstDirectoryName(names)
		case 0x82:
			if !validInteger(f.body) {
				return nil, false
			}
			id.serial = parseInteger(f.body)
		}
	}
	return id, true
}

// parseInteger reads two's complement.
func parseInteger(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

func firstDirectoryName(names []generalName) *string {
	for _, n := range names {
		if n.kind == directoryName {
			name := string(n.value)
			return &name
		}
	}
	return nil
}

// A generalName is RFC 5280, 4.2.1.6.
type generalName struct {
	kind  int
	value []byte // of a directory name: canonical
	other string // of an otherName: its type, encoded
}

// The kinds of generalName, which are their tags' numbers.
const (
	otherName     = 0
	emailName     = 1
	dnsName       = 2
	directoryName = 4
	uriName       = 6
	addressName   = 7
	registeredID  = 8
)

// parseGeneralNames reads the contents of GeneralNames.
func parseGeneralNames(b []byte) ([]generalName, bool) {
	elements, ok := derElements(b)
	if !ok {
		return nil, false
	}
	return generalNames(elements)
}

func generalNames(elements []derElement) ([]generalName, bool) {
	names := make([]generalName, len(elements))
	for i, e := range elements {
		ok := false
		if names[i], ok = newGeneralName(e); !ok {
			return nil, false
		}
	}
	return names, len(names) > 0
}

// newGeneralName refuses X.400 addresses and EDI parties, which nobody has.
func newGeneralName(e derElement) (generalName, bool) {
	name := generalName{kind: int(e.tag & 0x1f), value: e.body}
	switch e.tag {
	case 0xa0 | otherName:
		fields, ok := derElements(e.body)
		if !ok || len(fields) != 2 || fields[0].tag != derOID || fields[1].tag != 0xa0 {
			return name, false
		}
		value, ok := derElements(fields[1].body)
		name.other = string(fields[0].body)
		return name, ok && len(value) == 1
	case 0xa0 | directoryName:
		canonical, ok := parseName(e.body)
		name.value = []byte(canonical.text)
		return name, ok
	case 0x80 | registeredID:
		return name, validOID(e.body)
	case 0x80 | emailName, 0x80 | dnsName, 0x80 | uriName, 0x80 | addressName:
		return name, true
	}
	return name, false
}
