package tls

import (
	"bytes"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"sort"
	"unicode/utf16"
)

// A distinguished name with its values left as they are encoded.
type nameAttribute struct {
	Type, Value asn1.RawValue
}

// The suffix tells encoding/asn1 that this is a SET.
type nameAttributeSET []nameAttribute

// canonicalName is the form in which OpenSSL compares names (x_name.c,
// x509_name_canon): strings as UTF-8, lower case, with white space collapsed,
// and without the outer SEQUENCE. So an equal canonical name is an equal name
// and a prefix is an ancestor in the directory.
func canonicalName(raw []byte) string {
	var name []nameAttributeSET
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 {
		return string(raw) // comparable at least with itself
	}
	var out []byte
	for _, set := range name {
		out = append(out, canonicalSet(set)...)
	}
	return string(out)
}

func canonicalSet(set nameAttributeSET) []byte {
	members := make([][]byte, len(set))
	for i, a := range set {
		members[i] = derTLV(0x30, a.Type.FullBytes, canonicalValue(a.Value))
	}
	sort.Slice(members, func(i, j int) bool { return bytes.Compare(members[i], members[j]) < 0 })
	return derTLV(0x31, members...)
}

func canonicalValue(v asn1.RawValue) []byte {
	text, ok := directoryString(v)
	if !ok || v.Tag == asn1.TagNumericString {
		return v.FullBytes
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
func directoryString(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String:
		return string(v.Bytes), true
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagT61String, asn1.TagNumericString, tagVisibleString:
		runes := make([]rune, len(v.Bytes))
		for i, c := range v.Bytes {
			runes[i] = rune(c)
		}
		return string(runes), true
	case asn1.TagBMPString:
		return fromBMP(v.Bytes)
	case tagUniversalString:
		return fromUniversal(v.Bytes)
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

// nameValues returns the values of one attribute of a name, in order.
func nameValues(raw []byte, oid asn1.ObjectIdentifier) []asn1.RawValue {
	var name []nameAttributeSET
	if _, err := asn1.Unmarshal(raw, &name); err != nil {
		return nil
	}
	var values []asn1.RawValue
	for _, set := range name {
		for _, a := range set {
			var id asn1.ObjectIdentifier
			if _, err := asn1.Unmarshal(a.Type.FullBytes, &id); err == nil && id.Equal(oid) {
				values = append(values, a.Value)
			}
		}
	}
	return values
}

// nameHash is X509_NAME_hash of a canonical name: what `openssl rehash` names
// files by.
func nameHash(canonical string) string {
	sum := sha1.Sum([]byte(canonical))
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum[:]))
}

// derTLV encodes one element.
func derTLV(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := append([]byte{tag}, derLength(n)...)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func derLength(n int) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	var b []byte
	for ; n > 0; n >>= 8 {
		b = append([]byte{byte(n)}, b...)
	}
	return append([]byte{0x80 | byte(len(b))}, b...)
}

// derElements splits the contents of a SEQUENCE, or says that they are none.
func derElements(b []byte) ([]asn1.RawValue, bool) {
	var all []asn1.RawValue
	for len(b) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(b, &v)
		if err != nil {
			return nil, false
		}
		all, b = append(all, v), rest
	}
	return all, true
}

// derSequence splits an encoded SEQUENCE.
func derSequence(b []byte) ([]asn1.RawValue, bool) {
	var v asn1.RawValue
	if rest, err := asn1.Unmarshal(b, &v); err != nil || len(rest) > 0 ||
		v.Class != asn1.ClassUniversal || v.Tag != asn1.TagSequence || !v.IsCompound {
		return nil, false
	}
	return derElements(v.Bytes)
}
