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

func parseNameConstraints(der []byte) *nameConstraints {
	fields, _ := derSequence(der)
	nc := &nameConstraints{}
	for _, f := range fields {
		switch f.Tag {
		case 0:
			nc.permitted = parseSubtrees(f.Bytes)
		case 1:
			nc.excluded = parseSubtrees(f.Bytes)
		}
	}
	return nc
}

func parseSubtrees(der []byte) []subtree {
	elements, _ := derElements(der)
	var trees []subtree
	for _, e := range elements {
		fields, _ := derElements(e.Bytes)
		if len(fields) == 0 {
			continue
		}
		t := subtree{base: newGeneralName(fields[0])}
		for _, f := range fields[1:] {
			t.bounded = t.bounded || f.Tag != 0 || len(bytes.Trim(f.Bytes, "\x00")) > 0
		}
		trees = append(trees, t)
	}
	return trees
}

// Attributes of a subject that OpenSSL holds against constraints.
var (
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
)

// The most comparisons that a certificate may cause (NAME_CHECK_MAX).
const maxNameChecks = 1 << 20

// check is NAME_CONSTRAINTS_check of v3_ncons.c.
func (nc *nameConstraints) check(c *certFacts) verifyError {
	emails := nameValues(c.RawSubject, oidEmailAddress)
	names := len(c.Subject.Names) + len(c.altNames)
	if names > 0 && len(nc.permitted)+len(nc.excluded) > maxNameChecks/names {
		return errUnspecified
	}
	if c.subject != "" {
		if err := nc.checkName(generalName{directoryName, []byte(c.subject)}); err != "" {
			return err
		}
	}
	for _, e := range emails {
		if e.Tag != asn1.TagIA5String {
			return errNameSyntax
		}
		if err := nc.checkName(generalName{emailName, e.Bytes}); err != "" {
			return err
		}
	}
	for _, name := range c.altNames {
		if err := nc.checkName(name); err != "" {
			return err
		}
	}
	return ""
}

// checkCommonNames is NAME_CONSTRAINTS_check_CN: common names count as host
// names in a certificate without any.
func (nc *nameConstraints) checkCommonNames(c *certFacts) verifyError {
	for _, v := range nameValues(c.RawSubject, oidCommonName) {
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
		if err := nc.checkName(generalName{dnsName, []byte(text)}); err != "" {
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
func (nc *nameConstraints) checkName(name generalName) verifyError {
	constrained, permitted := false, false
	for _, t := range nc.permitted {
		if !t.concerns(name) {
			continue
		}
		if t.bounded {
			return errSubtreeBounds
		}
		if permitted {
			continue
		}
		constrained = true
		switch err := t.match(name); err {
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
	return nc.checkExcluded(name)
}

func (nc *nameConstraints) checkExcluded(name generalName) verifyError {
	for _, t := range nc.excluded {
		if !t.concerns(name) {
			continue
		}
		if t.bounded {
			return errSubtreeBounds
		}
		switch err := t.match(name); err {
		case "":
			return errExcluded
		case errPermitted:
		default:
			return err
		}
	}
	return ""
}

// smtpUTF8Mailbox is an otherName that an email constraint concerns (RFC 8398).
var smtpUTF8Mailbox = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}

func (t subtree) concerns(name generalName) bool {
	if name.tag != otherName {
		return name.tag == t.base.tag
	}
	id := otherNameType(name.value)
	if id.Equal(smtpUTF8Mailbox) {
		return t.base.tag == emailName
	}
	return t.base.tag == otherName && id.Equal(otherNameType(t.base.value))
}

func otherNameType(der []byte) asn1.ObjectIdentifier {
	var id asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(der, &id); err != nil {
		return nil
	}
	return id
}

// match is nc_match_single: "" in the subtree, errPermitted outside of it, any
// other error when nobody can tell. Internationalised mailboxes, which OpenSSL
// compares, are among those.
func (t subtree) match(name generalName) verifyError {
	var in bool
	switch name.tag {
	case directoryName:
		in = bytes.HasPrefix(name.value, t.base.value)
	case dnsName:
		in = hostInSubtree(string(name.value), string(t.base.value))
	case emailName:
		return emailInSubtree(string(name.value), string(t.base.value))
	case uriName:
		return uriInSubtree(string(name.value), string(t.base.value))
	case addressName:
		return addressInSubtree(name.value, t.base.value)
	default:
		return errConstraintUnsupported
	}
	return insideIf(in)
}

func insideIf(in bool) verifyError {
	if in {
		return ""
	}
	return errPermitted
}

func hostInSubtree(host, base string) bool {
	if base == "" {
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
func inDomain(host, base string) bool {
	if strings.HasPrefix(base, ".") {
		return len(host) > len(base) && equalFoldASCII(host[len(host)-len(base):], base)
	}
	return equalFoldASCII(host, base)
}

func emailInSubtree(email, base string) verifyError {
	at := strings.LastIndexByte(email, '@')
	if at < 0 {
		return errNameSyntax
	}
	baseAt := strings.LastIndexByte(base, '@')
	if baseAt < 0 && strings.HasPrefix(base, ".") {
		return insideIf(inDomain(email, base))
	}
	if baseAt > 0 {
		if baseAt != at {
			return errPermitted
		}
		if strings.Contains(base[:baseAt]+email[:at], "\x00") {
			return errNameSyntax
		}
		if base[:baseAt] != email[:at] {
			return errPermitted
		}
	}
	return insideIf(equalFoldASCII(email[at+1:], base[baseAt+1:]))
}

func uriInSubtree(uri, base string) verifyError {
	_, rest, found := strings.Cut(uri, ":")
	if !found || !strings.HasPrefix(rest, "//") {
		return errNameSyntax
	}
	host := rest[2:]
	if i := strings.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	} else if i := strings.IndexByte(host, '/'); i >= 0 {
		host = host[:i]
	}
	if host == "" {
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
func equalFoldASCII(a, b string) bool {
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
