package tls

import (
	"bytes"
	"encoding/asn1"
	"strings"
)

// nameConstraints is RFC 5280, 4.2.1.10.
type nameConstraints struct {
	permitted, excluded []subtree
}

type subtree struct {
	base    generalName
	bounded bool // minimum or maximum is given, which OpenSSL does not support
}

func parseNameConstraints(der []byte) (*nameConstraints, bool) {
	fields, ok := derSequence(der)
	if !ok || len(fields) == 0 || !derTags(fields, 0xa0, 0xa1) {
		return nil, false
	}
	nc := &nameConstraints{}
	for _, f := range fields {
		trees, ok := parseSubtrees(f.body)
		switch {
		case !ok:
			return nil, false
		case f.tag == 0xa0:
			nc.permitted = trees
		default:
			nc.excluded = trees
		}
	}
	return nc, true
}

func parseSubtrees(b []byte) ([]subtree, bool) {
	elements, ok := derElements(b)
	if !ok || len(elements) == 0 || !derAll(elements, derSequenceTag) {
		return nil, false
	}
	trees := make([]subtree, len(elements))
	for i, e := range elements {
		if trees[i], ok = parseSubtree(e.body); !ok {
			return nil, false
		}
	}
	return trees, true
}

func parseSubtree(b []byte) (t subtree, ok bool) {
	fields, ok := derElements(b)
	if !ok || len(fields) == 0 || !derTags(fields[1:], 0x80, 0x81) {
		return t, false
	}
	for _, f := range fields[1:] {
		if !validInteger(f.body) {
			return t, false
		}
		t.bounded = t.bounded || f.tag == 0x81 || len(bytes.Trim(f.body, "\x00")) > 0
	}
	t.base, ok = newGeneralName(fields[0])
	return t, ok
}

// check is NAME_CONSTRAINTS_check of v3_ncons.c.
func (nc *nameConstraints) check(c *certFacts, work *budget) verifyError {
	if c.subject != "" {
		if err := nc.checkName(generalName{kind: directoryName, value: []byte(c.subject)}, work); err != "" {
			return err
		}
	}
	for _, e := range c.subjectName.emails {
		if e.tag != asn1.TagIA5String {
			return errNameSyntax
		}
		if err := nc.checkName(generalName{kind: emailName, value: e.body}, work); err != "" {
			return err
		}
	}
	for _, name := range c.altNames {
		if err := nc.checkName(name, work); err != "" {
			return err
		}
	}
	return ""
}

// checkCommonNames is NAME_CONSTRAINTS_check_CN: common names count as host
// names in a certificate without any.
func (nc *nameConstraints) checkCommonNames(c *certFacts, work *budget) verifyError {
	for _, v := range c.subjectName.commonNames {
		text, ok := directoryString(v)
		if !ok {
			continue
		}
		text = strings.TrimRight(text, "\x00")
		if strings.Contains(text, "\x00") {
			return errNameSyntax
		}
		if !looksLikeHost(text) {
			continue
		}
		if err := nc.checkName(generalName{kind: dnsName, value: []byte(text)}, work); err != "" {
			return err
		}
	}
	return ""
}

// looksLikeHost is the syntax check of cn2dnsid: letters, digits, _, and inside
// of the name hyphens and at least one dot.
func looksLikeHost(s string) bool {
	dots := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		inside := i > 0 && i < len(s)-1
		switch {
		case isAlnum(c) || c == '_':
		case c == '-' && inside:
		case c == '.' && inside && s[i+1] != '.' && s[i-1] != '-' && s[i+1] != '-':
			dots = true
		default:
			return false
		}
	}
	return dots
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// checkName is nc_match: a name of a kind that is permitted anywhere must be in
// one of the permitted subtrees, and in no excluded one.
func (nc *nameConstraints) checkName(name generalName, work *budget) verifyError {
	constrained, permitted := false, false
	for i := range nc.permitted {
		t := &nc.permitted[i]
		if !work.take(1) {
			return errUnspecified
		}
		if !t.concerns(&name) {
			continue
		}
		if t.bounded {
			return errSubtreeBounds
		}
		if permitted {
			continue
		}
		constrained = true
		switch err := t.match(&name, work); err {
		case "":
			permitted = true
		case errPermitted:
		default:
			return err
		}
	}
	if constrained && !permitted {
		return errPermitted
	}
	return nc.checkExcluded(name, work)
}

func (nc *nameConstraints) checkExcluded(name generalName, work *budget) verifyError {
	for i := range nc.excluded {
		t := &nc.excluded[i]
		if !work.take(1) {
			return errUnspecified
		}
		if !t.concerns(&name) {
			continue
		}
		if t.bounded {
			return errSubtreeBounds
		}
		switch err := t.match(&name, work); err {
		case "":
			return errExcluded
		case errPermitted:
		default:
			return err
		}
	}
	return ""
}

// oidSMTPUTF8Mailbox is the type of an otherName that an email constraint
// concerns (RFC 8398), encoded.
const oidSMTPUTF8Mailbox = "\x2b\x06\x01\x05\x05\x07\x08\x09"

func (t *subtree) concerns(name *generalName) bool {
	switch {
	case name.kind != otherName:
		return name.kind == t.base.kind
	case name.other == oidSMTPUTF8Mailbox:
		return t.base.kind == emailName
	}
	return t.base.kind == otherName && name.other == t.base.other
}

// match is nc_match_single: "" in the subtree, errPermitted outside of it, any
// other error when nobody can tell. Internationalised mailboxes, which OpenSSL
// compares, are among those.
func (t *subtree) match(name *generalName, work *budget) verifyError {
	if !work.take(comparisonCost(len(name.value) + len(t.base.value))) {
		return errUnspecified
	}
	switch name.kind {
	case directoryName:
		return insideIf(bytes.HasPrefix(name.value, t.base.value))
	case dnsName:
		return insideIf(hostInSubtree(name.value, t.base.value))
	case emailName:
		return emailInSubtree(name.value, t.base.value)
	case uriName:
		return uriInSubtree(name.value, t.base.value)
	case addressName:
		return addressInSubtree(name.value, t.base.value)
	}
	return errConstraintUnsupported
}

func insideIf(in bool) verifyError {
	if in {
		return ""
	}
	return errPermitted
}

func hostInSubtree(host, base []byte) bool {
	if len(base) == 0 {
		return true
	}
	if len(host) < len(base) {
		return false
	}
	cut := len(host) - len(base)
	if cut > 0 && base[0] != '.' && host[cut-1] != '.' {
		return false
	}
	return equalFoldASCII(host[cut:], base)
}

// inDomain is the rule of mail and URI constraints: the host itself, or with a
// leading dot any host below it.
func inDomain(host, base []byte) bool {
	if len(base) > 0 && base[0] == '.' {
		return len(host) > len(base) && equalFoldASCII(host[len(host)-len(base):], base)
	}
	return equalFoldASCII(host, base)
}

func emailInSubtree(email, base []byte) verifyError {
	at := bytes.LastIndexByte(email, '@')
	if at < 0 {
		return errNameSyntax
	}
	baseAt := bytes.LastIndexByte(base, '@')
	if baseAt < 0 && len(base) > 0 && base[0] == '.' {
		return insideIf(inDomain(email, base))
	}
	if baseAt > 0 {
		if baseAt != at {
			return errPermitted
		}
		if bytes.IndexByte(base[:baseAt], 0) >= 0 || bytes.IndexByte(email[:at], 0) >= 0 {
			return errNameSyntax
		}
		if !bytes.Equal(base[:baseAt], email[:at]) {
			return errPermitted
		}
	}
	return insideIf(equalFoldASCII(email[at+1:], base[baseAt+1:]))
}

func uriInSubtree(uri, base []byte) verifyError {
	_, rest, found := bytes.Cut(uri, []byte(":"))
	if !found || !bytes.HasPrefix(rest, []byte("//")) {
		return errNameSyntax
	}
	host := rest[2:]
	if i := bytes.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	} else if i := bytes.IndexByte(host, '/'); i >= 0 {
		host = host[:i]
	}
	if len(host) == 0 {
		return errNameSyntax
	}
	return insideIf(inDomain(host, base))
}

func addressInSubtree(ip, base []byte) verifyError {
	if len(ip) != 4 && len(ip) != 16 || len(base) != 8 && len(base) != 32 {
		return errNameSyntax
	}
	if len(ip)*2 != len(base) {
		return errPermitted
	}
	for i, mask := range base[len(ip):] {
		if ip[i]&mask != base[i]&mask {
			return errPermitted
		}
	}
	return ""
}

// equalFoldASCII does not fold what strings.EqualFold does beyond ASCII.
func equalFoldASCII[T string | []byte](a, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lowerASCII(a[i]) != lowerASCII(b[i]) {
			return false
		}
	}
	return true
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
