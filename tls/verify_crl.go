package tls

import (
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
		c.authority = parseAuthorityKeyID(ext.Value)
	case "2.5.29.28":
		c.scope = parseCRLScope(ext.Value)
		c.unusable = c.unusable || c.scope.indirect || c.scope.someReasons || c.scope.invalid
	case "2.5.29.27":
		c.unusable = true // a delta
	default:
		c.unhandled = c.unhandled || ext.Critical
	}
}

func parseCRLScope(der []byte) crlScope {
	fields, ok := derSequence(der)
	s := crlScope{invalid: !ok}
	for _, f := range fields {
		yes := len(f.Bytes) == 1 && f.Bytes[0] != 0
		switch f.Tag {
		case 0:
			s.point = parsePointName(f.Bytes)
		case 1:
			s.onlyUser = yes
		case 2:
			s.onlyCA = yes
		case 3:
			s.someReasons = true
		case 4:
			s.indirect = yes
		case 5:
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
func parsePointName(der []byte) []generalName {
	choice, _ := derElements(der)
	names := []generalName{}
	if len(choice) == 1 && choice[0].Tag == 0 {
		elements, _ := derElements(choice[0].Bytes)
		names = append(names, generalNames(elements)...)
	}
	return names
}

func parseCRLPoints(der []byte) []crlPoint {
	points, _ := derSequence(der)
	var all []crlPoint
	for _, p := range points {
		fields, _ := derElements(p.Bytes)
		var point crlPoint
		for _, f := range fields {
			switch f.Tag {
			case 0:
				point.names = parsePointName(f.Bytes)
			case 1:
				point.someReasons = !allReasons(f.Bytes)
			case 2:
				elements, _ := derElements(f.Bytes)
				point.issuers = generalNames(elements)
			}
		}
		all = append(all, point)
	}
	return all
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
	if c.proxy {
		return true
	}
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
		if n.tag == directoryName && string(n.value) == issuer {
			return true
		}
	}
	return false
}

func overlap(a, b []generalName) bool {
	for _, x := range a {
		for _, y := range b {
			if x.tag == y.tag && string(x.value) == string(y.value) {
				return true
			}
		}
	}
	return false
}
