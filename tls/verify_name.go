package tls

import (
	"bytes"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf16"
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
		members[i] = derTLV(derSequenceTag, fields[0].full, canonicalValue(fields[1]))
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

func canonicalValue(v derElement) []byte {
	text, ok := directoryString(v)
	if !ok || v.tag == asn1.TagNumericString {
		return v.full
	}
	var out []byte
	for _, field := range bytes.FieldsFunc([]byte(text), isNameSpace) {
		if out != nil {
			out = append(out, ' ')
		}
		out = append(out, field...)
	}
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return derTLV(asn1.TagUTF8String, out)
}

// directoryString decodes the string types that occur in names to UTF-8.
// OpenSSL reads all the one-byte types as Latin 1.
func directoryString(v derElement) (string, bool) {
	switch v.tag {
	case asn1.TagUTF8String:
		return string(v.body), true
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagT61String, asn1.TagNumericString, tagVisibleString:
		runes := make([]rune, len(v.body))
		for i, c := range v.body {
			runes[i] = rune(c)
		}
		return string(runes), true
	case asn1.TagBMPString:
		return fromBMP(v.body)
	case tagUniversalString:
		return fromUniversal(v.body)
	}
	return "", false
}

const (
	tagVisibleString   = 26
	tagUniversalString = 28
)

func fromBMP(b []byte) (string, bool) {
	if len(b)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units)), true
}

func fromUniversal(b []byte) (string, bool) {
	if len(b)%4 != 0 {
		return "", false
	}
	runes := make([]rune, len(b)/4)
	for i := range runes {
		runes[i] = rune(binary.BigEndian.Uint32(b[4*i:]))
	}
	return string(runes), true
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
