package tls

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"time"
)

// crl is a complete CRL of one issuer (RFC 5280, 5). Deltas, indirect CRLs and
// those of some reasons only are never used: OpenSSL asks for flags that LuaSec
// does not set.
type crl struct {
	issuer     string // canonical
	thisUpdate time.Time
	nextUpdate time.Time // zero: none
	authority  *authorityKeyID
	revoked    map[string]bool // by serial number; false: removeFromCRL
	unhandled  bool            // a critical extension that OpenSSL does not know
	unusable   bool
	scope      crlScope

	sig               signatureAlgorithm
	signed, signature []byte
}

// crlScope is the issuing distribution point (RFC 5280, 5.2.5).
type crlScope struct {
	point                          []generalName // nil: any
	onlyUser, onlyCA, onlyAttr     bool
	indirect, someReasons, invalid bool
}

// crlPoint is one place where a certificate says that its CRL is.
type crlPoint struct {
	names       []generalName
	issuers     []generalName
	someReasons bool
}

// certificateList is the encoding. pkix's is deprecated, and x509's parser
// refuses version 1, which `openssl ca -gencrl` writes by default.
type certificateList struct {
	TBS struct {
		Raw       asn1.RawContent
		Version   int `asn1:"optional,default:0"`
		Algorithm pkix.AlgorithmIdentifier
		Issuer    asn1.RawValue
		This      time.Time
		Next      time.Time `asn1:"optional"`
		Revoked   []struct {
			Serial     *big.Int
			Time       time.Time
			Extensions []pkix.Extension `asn1:"optional"`
		} `asn1:"optional"`
		Extensions []pkix.Extension `asn1:"tag:0,optional,explicit"`
	}
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

func parseCRL(der []byte) (*crl, error) {
	var list certificateList
	if rest, err := asn1.Unmarshal(der, &list); err != nil {
		return nil, err
	} else if len(rest) > 0 {
		return nil, errors.New("trailing data")
	}
	c := &crl{
		issuer:     canonicalName(list.TBS.Issuer.FullBytes),
		thisUpdate: list.TBS.This,
		nextUpdate: list.TBS.Next,
		revoked:    map[string]bool{},
		sig:        signatureAlgorithmOf(list.Algorithm),
		signed:     list.TBS.Raw,
		signature:  list.Signature.RightAlign(),
	}
	for _, r := range list.TBS.Revoked {
		c.revoked[r.Serial.String()] = c.addRevoked(r.Extensions)
	}
	for _, ext := range list.TBS.Extensions {
		c.addExtension(ext)
	}
	return c, nil
}

// same is X509_CRL_cmp, of all that is signed.
func (c *crl) same(other *crl) bool {
	return c == other || bytes.Equal(c.signed, other.signed) && bytes.Equal(c.signature, other.signature)
}

func (c *crl) addRevoked(extensions []pkix.Extension) (stays bool) {
	stays = true
	for _, ext := range extensions {
		switch id := ext.Id.String(); {
		case id == "2.5.29.21": // reason
			const removeFromCRL = 8
			var reason asn1.Enumerated
			_, err := asn1.Unmarshal(ext.Value, &reason)
			stays = err != nil || reason != removeFromCRL
			c.unhandled = c.unhandled || ext.Critical
		case id != "2.5.29.29" && ext.Critical: // certificate issuer
			c.unhandled = true
		}
	}
	return stays
}

func (c *crl) addExtension(ext pkix.Extension) {
	switch ext.Id.String() {
	case "2.5.29.35":
		ok := false
		c.authority, ok = parseAuthorityKeyID(ext.Value)
		c.unusable = c.unusable || !ok
	case "2.5.29.28":
		c.scope = parseCRLScope(ext.Value)
		c.unusable = c.unusable || c.scope.indirect || c.scope.someReasons || c.scope.invalid
	case "2.5.29.27":
		c.unusable = true // a delta
	default:
		c.unhandled = c.unhandled || ext.Critical
	}
}

// parseCRLScope reads IssuingDistributionPoint.
func parseCRLScope(der []byte) crlScope {
	fields, ok := derSequence(der)
	s := crlScope{invalid: !ok || !derTags(fields, 0xa0, 0x81, 0x82, 0x83, 0x84, 0x85)}
	for _, f := range fields {
		yes := len(f.body) == 1 && f.body[0] != 0
		switch f.tag {
		case 0xa0:
			s.point, ok = parsePointName(f.body)
			s.invalid = s.invalid || !ok
		case 0x81:
			s.onlyUser = yes
		case 0x82:
			s.onlyCA = yes
		case 0x83:
			s.someReasons = true
		case 0x84:
			s.indirect = yes
		case 0x85:
			s.onlyAttr = yes
		}
	}
	if s.onlyUser && s.onlyCA || s.onlyUser && s.onlyAttr || s.onlyCA && s.onlyAttr {
		s.invalid = true
	}
	return s
}

// parsePointName reads a DistributionPointName. One relative to its issuer,
// which nobody has, equals nothing.
func parsePointName(b []byte) ([]generalName, bool) {
	choice, ok := derElements(b)
	if !ok || len(choice) != 1 {
		return nil, false
	}
	switch choice[0].tag {
	case 0xa0:
		return parseGeneralNames(choice[0].body)
	case 0xa1:
		_, ok := (&distinguishedName{}).addSet(derElement{tag: derSetTag, body: choice[0].body})
		return []generalName{}, ok
	}
	return nil, false
}

func parseCRLPoints(der []byte) ([]crlPoint, bool) {
	elements, ok := derList(der, derSequenceTag)
	if !ok {
		return nil, false
	}
	points := make([]crlPoint, len(elements))
	for i, e := range elements {
		if points[i], ok = parseCRLPoint(e.body); !ok {
			return nil, false
		}
	}
	return points, true
}

// parseCRLPoint reads a DistributionPoint, which has a name or an issuer.
func parseCRLPoint(b []byte) (p crlPoint, ok bool) {
	fields, ok := derElements(b)
	if !ok || !derTags(fields, 0xa0, 0x81, 0xa2) {
		return p, false
	}
	for _, f := range fields {
		switch f.tag {
		case 0xa0:
			p.names, ok = parsePointName(f.body)
		case 0x81:
			ok = derElement{tag: derBitString, body: f.body}.validPrimitive()
			p.someReasons = !allReasons(f.body)
		case 0xa2:
			p.issuers, ok = parseGeneralNames(f.body)
		}
		if !ok {
			return p, false
		}
	}
	return p, p.names != nil || p.issuers != nil
}

// allReasons reads ReasonFlags, an implicit bit string of nine.
func allReasons(bits []byte) bool {
	return len(bits) == 3 && bits[1] == 0xff && bits[2]&0x80 != 0
}

// checkRevocation is check_revocation. crl_check_chain alone checks nothing,
// which is OpenSSL's rule.
func (v *verifier) checkRevocation() bool {
	if !v.CRLLeaf {
		return true
	}
	last := 0
	if v.CRLChain {
		last = len(v.chain) - 1
	}
	for depth := 0; depth <= last; depth++ {
		if !v.checkRevoked(depth) {
			return false
		}
	}
	return true
}

// checkRevoked is check_cert.
func (v *verifier) checkRevoked(depth int) bool {
	c := v.chain[depth]
	list, fit := v.bestCRL(depth)
	if list == nil {
		return v.fail(depth, errNoCRL)
	}
	serial, listed := list.revoked[c.SerialNumber.String()]
	return v.checkCRL(depth, list, fit) &&
		v.failIf(list.unhandled, depth, errCRLCritical) &&
		v.failIf(listed && serial, depth, errRevoked) &&
		v.failIf(!fit.scope || fit.someReasons, depth, errNoCRL) // some reasons are left to ask for
}

// checkCRL is check_crl: may this list be believed?
func (v *verifier) checkCRL(depth int, list *crl, fit crlFit) bool {
	issuer := v.chain[fit.issuer]
	return v.failIf(issuer.refusesUsage(x509.KeyUsageCRLSign), depth, errUsageNoCRL) &&
		v.failIf(!fit.scope, depth, errCRLScope) &&
		v.failIf(list.thisUpdate.After(v.Now), depth, errCRLNotYet) &&
		v.failIf(list.expired(v.Now), depth, errCRLExpired) &&
		v.failIf(!list.sig.verify(issuer.PublicKey, list.signed, list.signature), depth, errCRLSignature)
}

func (c *crl) expired(now time.Time) bool {
	return !c.nextUpdate.IsZero() && !c.nextUpdate.After(now)
}

// crlFit is how well a list suits a certificate (get_crl_score).
type crlFit struct {
	score       int
	scope       bool
	someReasons bool
	issuer      int // depth of the certificate that issued the list
}

// bestCRL is get_crl_delta: of equally good lists the newest.
func (v *verifier) bestCRL(depth int) (best *crl, bestFit crlFit) {
	for _, list := range v.CAs.crlsBy(v.chain[depth].issuer) {
		fit, ok := v.crlFit(depth, list)
		if !ok || fit.score < bestFit.score {
			continue
		}
		if best != nil && fit.score == bestFit.score && !list.thisUpdate.After(best.thisUpdate) {
			continue
		}
		best, bestFit = list, fit
	}
	return best, bestFit
}

func (v *verifier) crlFit(depth int, list *crl) (fit crlFit, ok bool) {
	if list.unusable {
		return fit, false
	}
	if fit.issuer, ok = v.crlIssuer(depth, list); !ok {
		return fit, false
	}
	fit.scope, fit.someReasons = list.covers(v.chain[depth])
	if !list.unhandled {
		fit.score += 4
	}
	if fit.scope {
		fit.score += 2
	}
	if !list.thisUpdate.After(v.Now) && !list.expired(v.Now) {
		fit.score++
	}
	return fit, true
}

// crlIssuer is crl_akid_check: the next certificate of the chain, or one above
// it with the same name and another key.
func (v *verifier) crlIssuer(depth int, list *crl) (int, bool) {
	next := min(depth+1, len(v.chain)-1)
	if list.authority.matches(v.chain[next]) {
		return next, true
	}
	for i := next + 1; i < len(v.chain); i++ {
		if v.chain[i].subject == list.issuer && list.authority.matches(v.chain[i]) {
			return i, true
		}
	}
	return 0, false
}

// covers is crl_crldp_check: is the list about this kind of certificate, and of
// one of the places that the certificate names?
func (c *crl) covers(cert *certFacts) (covered, someReasons bool) {
	switch {
	case c.scope.onlyAttr,
		c.scope.onlyUser && cert.IsCA,
		c.scope.onlyCA && !cert.IsCA:
		return false, false
	}
	for _, p := range cert.crlPoints {
		if p.issuedBy(c.issuer) && (c.scope.point == nil || p.names == nil || overlap(p.names, c.scope.point)) {
			return true, p.someReasons
		}
	}
	return c.scope.point == nil, false
}

func (p crlPoint) issuedBy(issuer string) bool {
	if p.issuers == nil {
		return true
	}
	for _, n := range p.issuers {
		if n.kind == directoryName && string(n.value) == issuer {
			return true
		}
	}
	return false
}

func overlap(a, b []generalName) bool {
	for _, x := range a {
		for _, y := range b {
			if x.kind == y.kind && string(x.value) == string(y.value) {
				return true
			}
		}
	}
	return false
}
