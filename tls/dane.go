package tls

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"sort"
	"strings"
)

// DANE is the TLSA records (RFC 6698, RFC 7671) of one name. Without a usable
// record it still has the certificate checked for the name, as OpenSSL does.
type DANE struct {
	Name           string
	Records        []TLSA
	NoEENamechecks bool // a DANE-EE(3) match is enough without the name
}

// TLSA is one record as DNS has it.
type TLSA struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}

// Certificate usages.
const (
	usagePKIXTA = iota
	usagePKIXEE
	usageDANETA
	usageDANEEE
)

const (
	selectCert = 0
	selectKey  = 1

	matchFull   = 0
	matchSHA256 = 1
	matchSHA512 = 2
)

// Usable says whether OpenSSL's SSL_dane_tlsa_add takes the record: usage,
// selector and matching type are known, and the data can be what they say. What
// Go cannot read of whole certificates and keys OpenSSL may, so it only has to
// look like one: ignored, the record would not restrict what it is there to
// restrict.
func (t TLSA) Usable() bool {
	if t.Usage > usageDANEEE || t.Selector > selectKey {
		return false
	}
	switch t.MatchingType {
	case matchSHA256:
		return len(t.Data) == sha256.Size
	case matchSHA512:
		return len(t.Data) == sha512.Size
	case matchFull:
		return t.shaped()
	}
	return false
}

// shaped looks at the outermost fields of Certificate and SubjectPublicKeyInfo
// (RFC 5280, 4.1).
func (t TLSA) shaped() bool {
	fields, ok := derSequence(t.Data)
	if t.Selector == selectKey {
		return ok && len(fields) == 2 && fields[0].tag == derSequenceTag && fields[1].tag == derBitString
	}
	return ok && len(fields) == 3 && fields[0].tag == derSequenceTag && fields[2].tag == derBitString
}

func (t TLSA) certificate() *x509.Certificate {
	if t.Selector != selectCert || t.MatchingType != matchFull {
		return nil
	}
	x, err := x509.ParseCertificate(t.Data)
	if err != nil || x.PublicKey == nil {
		return nil
	}
	return x
}

func (t TLSA) publicKey() crypto.PublicKey {
	if t.Selector != selectKey || t.MatchingType != matchFull {
		return nil
	}
	key, err := x509.ParsePKIXPublicKey(t.Data)
	if err != nil {
		return nil
	}
	return key
}

// matches compares the record with a certificate.
func (t TLSA) matches(c *certFacts) bool {
	selected := c.Raw
	if t.Selector == selectKey {
		selected = c.RawSubjectPublicKeyInfo
	}
	switch t.MatchingType {
	case matchSHA256:
		sum := sha256.Sum256(selected)
		selected = sum[:]
	case matchSHA512:
		sum := sha512.Sum512(selected)
		selected = sum[:]
	}
	return bytes.Equal(selected, t.Data)
}

// daneState is SSL_DANE of OpenSSL: the usable records and what has matched.
// The nil state is DANE not enabled.
type daneState struct {
	records   []TLSA // by descending usage, selector and matching type
	matchedAt int    // depth of the certificate that a record matched, or -1
	pkixDepth int    // where the trust store's part of the chain begins, or -1
	anchored  bool   // a record alone made the anchor, without PKIX
}

// replacesPKIX says that a DANE-TA or DANE-EE record matched.
func (s *daneState) replacesPKIX() bool { return s != nil && s.anchored }

// The most records that are looked at. If there are more, they are in force even
// if none of these is usable.
const maxRecords = 100

func newDANEState(d *DANE) *daneState {
	if d == nil {
		return nil
	}
	s := &daneState{matchedAt: -1, pkixDepth: -1}
	for _, t := range d.Records[:min(len(d.Records), maxRecords)] {
		if t.Usable() {
			s.records = append(s.records, t)
		}
	}
	if len(s.records) == 0 && len(d.Records) <= maxRecords {
		return nil
	}
	sort.SliceStable(s.records, func(i, j int) bool {
		a, b := s.records[i], s.records[j]
		if a.Usage != b.Usage {
			return a.Usage > b.Usage
		}
		if a.Selector != b.Selector {
			return a.Selector > b.Selector
		}
		return a.MatchingType > b.MatchingType
	})
	return s
}

func (s *daneState) has(usages ...uint8) bool {
	if s == nil {
		return false
	}
	for _, t := range s.records {
		if bytes.IndexByte(usages, t.Usage) >= 0 {
			return true
		}
	}
	return false
}

// anchors are the whole certificates of "2 0 0" and "0 0 0" records: the peer
// need not send what DNS has.
func (s *daneState) anchors() []*certFacts {
	if s == nil {
		return nil
	}
	var certs []*certFacts
	for _, t := range s.records {
		if t.Usage != usageDANETA && t.Usage != usagePKIXTA {
			continue
		}
		if x := t.certificate(); x != nil {
			certs = append(certs, newCertFacts(x))
		}
	}
	return certs
}

// pkixTrusted is what a PKIX anchor is worth: with DANE a record must have
// matched besides.
func (s *daneState) pkixTrusted(num int) verdict {
	if s == nil {
		return trusted
	}
	if s.pkixDepth < 0 {
		s.pkixDepth = num
	}
	if s.matchedAt >= 0 {
		return trusted
	}
	return undecided
}

// match is dane_match: is a record of one of the usages about this certificate?
// Only a DANE-?? match, which needs no more than itself, is returned; a PKIX-??
// match is remembered.
func (s *daneState) match(c *certFacts, depth int, usages ...uint8) bool {
	strongest := map[[2]uint8]uint8{} // digest agility: RFC 7671, 9
	for _, t := range s.records {
		if bytes.IndexByte(usages, t.Usage) < 0 {
			continue
		}
		group := [2]uint8{t.Usage, t.Selector}
		if _, seen := strongest[group]; !seen {
			strongest[group] = t.MatchingType
		}
		if t.MatchingType != matchFull && t.MatchingType < strongest[group] {
			continue
		}
		if !t.matches(c) {
			continue
		}
		isDANE := t.Usage == usageDANETA || t.Usage == usageDANEEE
		if isDANE || s.matchedAt < 0 {
			s.matchedAt = depth
		}
		s.anchored = s.anchored || isDANE
		return isDANE
	}
	return false
}

// verifyDANE is dane_verify.
func (v *verifier) verifyDANE() bool {
	leaf := v.chain[0]
	if v.dane.match(leaf, 0, usageDANEEE, usagePKIXEE) {
		return v.DANE.NoEENamechecks || v.checkHost()
	}
	if v.dane.matchedAt < 0 && !v.dane.has(usagePKIXTA, usageDANETA) {
		return v.fail(0, errDANE)
	}
	return v.verifyChain()
}

// checkDANEIssuer is check_dane_issuer: does a record name this certificate of
// the chain as anchor? DANE-TA(2) is not about certificates of the trust store.
func (v *verifier) checkDANEIssuer(depth int) verdict {
	if depth == 0 || !v.dane.has(usagePKIXTA, usageDANETA) {
		return undecided
	}
	var usages []uint8
	if depth < v.numUntrusted {
		usages = append(usages, usageDANETA)
	}
	if v.dane.matchedAt < 0 {
		usages = append(usages, usagePKIXTA)
	}
	if v.dane.match(v.chain[depth], depth, usages...) {
		v.numUntrusted = depth - 1
		return trusted
	}
	return undecided
}

// checkBareKeys is check_dane_pkeys: "2 1 0" records have a key in them that
// may have signed the last certificate which the peer sent. When the store has
// even the leaf there is none, and OpenSSL 3.0 crashes.
func (v *verifier) checkBareKeys() verdict {
	if v.numUntrusted < 1 {
		return undecided
	}
	c := v.chain[v.numUntrusted-1]
	for _, t := range v.dane.records {
		if t.Usage != usageDANETA {
			continue
		}
		key := t.publicKey()
		if key == nil || !c.sig.verify(key, c.RawTBSCertificate, c.Signature) {
			continue
		}
		v.bareAnchor = true
		v.dane.matchedAt, v.dane.anchored = v.numUntrusted-1, true
		v.chain = v.chain[:v.numUntrusted]
		return trusted
	}
	return undecided
}

// checkHost is check_id: DANE's name is the one that a certificate must be for.
func (v *verifier) checkHost() bool {
	if v.DANE == nil || v.DANE.Name == "" {
		return true
	}
	return v.failIf(!certificateFor(v.chain[0], v.DANE.Name), 0, errHostname)
}

// certificateFor is X509_check_host: DNS names, or without any the common name.
func certificateFor(c *certFacts, host string) bool {
	hasDNS := false
	for _, name := range c.altNames {
		if name.kind != dnsName {
			continue
		}
		hasDNS = true
		if hostMatches(string(name.value), host) {
			return true
		}
	}
	if hasDNS {
		return false
	}
	for _, v := range c.subjectName.commonNames {
		if text, ok := directoryString(v); ok && hostMatches(text, host) {
			return true
		}
	}
	return false
}

// hostMatches is equal_wildcard of v3_utl.c.
func hostMatches(pattern, host string) bool {
	if strings.HasPrefix(host, ".") && len(host) > 1 {
		cut := len(pattern) - len(host)
		return cut >= 0 && !strings.Contains(pattern, "\x00") && equalFoldASCII(pattern[cut:], host)
	}
	star := validStar(pattern)
	if star < 0 {
		return !strings.Contains(pattern, "\x00") && equalFoldASCII(pattern, host)
	}
	prefix, suffix := pattern[:star], pattern[star+1:]
	if len(host) < len(prefix)+len(suffix) {
		return false
	}
	part := host[len(prefix) : len(host)-len(suffix)]
	return equalFoldASCII(host[:len(prefix)], prefix) &&
		equalFoldASCII(host[len(host)-len(suffix):], suffix) &&
		starMatches(part, host, prefix == "" && suffix[0] == '.')
}

// starMatches: a * that is not all of its label does not match IDNA labels, and
// one that is stands for at least one character.
func starMatches(part, host string, wholeLabel bool) bool {
	if wholeLabel && part == "" {
		return false
	}
	if !wholeLabel && len(host) >= 4 && equalFoldASCII(host[:4], "xn--") {
		return false
	}
	if part == "*" {
		return true
	}
	for i := 0; i < len(part); i++ {
		if !isAlnum(part[i]) && part[i] != '-' {
			return false
		}
	}
	return true
}

// validStar finds the one wildcard that a pattern may have: at the start or the
// end of the first of at least three labels, which is not an IDNA label. -1 is
// none, and then the pattern is compared as it is.
func validStar(pattern string) int {
	labels := strings.Split(pattern, ".")
	first := labels[0]
	star := strings.IndexByte(first, '*')
	switch {
	case len(labels) < 3,
		star < 0, star > 0 && star < len(first)-1,
		len(first) >= 4 && equalFoldASCII(first[:4], "xn--"),
		first[0] == '-',
		first != "*" && !hostLabel(first[:star]+first[star+1:], star == 0):
		return -1
	}
	for _, label := range labels[1:] {
		if !hostLabel(label, false) {
			return -1
		}
	}
	return star
}

// hostLabel: letters, digits, and hyphens not at the end nor, unless after a
// wildcard, at the start.
func hostLabel(label string, afterStar bool) bool {
	for i := 0; i < len(label); i++ {
		if !isAlnum(label[i]) && label[i] != '-' {
			return false
		}
	}
	return label != "" && label[len(label)-1] != '-' && (afterStar || label[0] != '-')
}
