package tls

import (
	"bytes"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
)

// A distinguishedName is RFC 5280, 4.1.2.4, as OpenSSL compares it.
type distinguishedName struct {
	text                string // canonical
	attributes          int
	emails, commonNames []derElement
}

// Attributes of a subject that OpenSSL holds against constraints, as they are
// encoded: id-at-commonName and emailAddress of PKCS #9.
const (
	oidCommonName   = "\x55\x04\x03"
	oidEmailAddress = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"
)

// canonicalName is the form in which OpenSSL compares names (x_name.c,
// x509_name_canon): strings as UTF-8, lower case, with white space collapsed,
// and without the outer SEQUENCE. So an equal canonical name is an equal name
// and a prefix is an ancestor in the directory.
func canonicalName(raw []byte) string {
	n, ok := parseName(raw)
	if !ok {
		return string(raw) // comparable at least with itself
	}
	return n.text
}

// parseName reads an encoded name.
func parseName(raw []byte) (n distinguishedName, ok bool) {
	sets, ok := derSequence(raw)
	if !ok {
		return n, false
	}
	var out []byte
	for _, set := range sets {
		canonical, ok := n.addSet(set)
		if !ok {
			return n, false
		}
		out = append(out, canonical...)
	}
	n.text = string(out)
	return n, true
}

func (n *distinguishedName) addSet(set derElement) (canonical []byte, ok bool) {
	attributes, ok := derElements(set.body)
	if !ok || set.tag != derSetTag || len(attributes) == 0 {
		return nil, false
	}
	members := make([][]byte, len(attributes))
	for i, a := range attributes {
		fields, ok := derElements(a.body)
		if !ok || a.tag != derSequenceTag || len(fields) != 2 || fields[0].tag != derOID {
			return nil, false
		}
		value, ok := canonicalValue(fields[1])
		if !ok {
			return nil, false
		}
		members[i] = derTLV(derSequenceTag, fields[0].full, value)
		n.add(string(fields[0].body), fields[1])
	}
	slices.SortFunc(members, bytes.Compare)
	return derTLV(derSetTag, members...), true
}

func (n *distinguishedName) add(oid string, value derElement) {
	n.attributes++
	switch oid {
	case oidCommonName:
		n.commonNames = append(n.commonNames, value)
	case oidEmailAddress:
		n.emails = append(n.emails, value)
	}
}

// canonicalValue fails for a value that is no string or cannot be decoded.
func canonicalValue(v derElement) (encoded []byte, ok bool) {
	text, ok := directoryString(v)
	if !ok || v.tag == asn1.TagNumericString {
		return v.full, ok
	}
	var out []byte
	for _, field := range bytes.FieldsFunc([]byte(text), isNameSpace) {
		if out != nil {
			out = append(out, ' ')
		}
		out = append(out, field...)
	}
	for i, c := range out {
		out[i] = lowerASCII(c)
	}
	return derTLV(asn1.TagUTF8String, out), true
}

// directoryString decodes the string types that occur in names to UTF-8.
// OpenSSL reads all the one-byte types as Latin 1.
func directoryString(v derElement) (string, bool) {
	switch v.tag {
	case asn1.TagUTF8String:
		return string(v.body), utf8.Valid(v.body)
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagT61String, asn1.TagNumericString:
		runes := make([]rune, len(v.body))
		for i, c := range v.body {
			runes[i] = rune(c)
		}
		return string(runes), true
	case asn1.TagBMPString:
		return fromCodePoints(v.body, 2)
	case tagUniversalString:
		return fromCodePoints(v.body, 4)
	}
	return "", false
}

const tagUniversalString = 28

// fromCodePoints decodes characters of so many bytes each. Surrogates are none.
func fromCodePoints(b []byte, size int) (string, bool) {
	runes := make([]rune, 0, len(b)/size)
	for ; len(b) >= size; b = b[size:] {
		var r rune
		for _, c := range b[:size] {
			r = r<<8 | rune(c)
		}
		if !utf8.ValidRune(r) {
			return "", false
		}
		runes = append(runes, r)
	}
	return string(runes), len(b) == 0
}

// isNameSpace is ossl_isspace: the white space of the C locale and no other.
func isNameSpace(r rune) bool {
	return r == ' ' || '\t' <= r && r <= '\r'
}

// nameHash is X509_NAME_hash of a canonical name: what `openssl rehash` names
// files by.
func nameHash(canonical string) string {
	sum := sha1.Sum([]byte(canonical))
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum[:]))
}
