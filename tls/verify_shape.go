package tls

import "crypto/x509"

// shaped says whether a certificate is built as RFC 5280, 4.1 has it, with
// nothing between and behind. crypto/x509 passes over what follows the fields
// that it reads, where OpenSSL might find more: extensions of a certificate of
// version 1.
func shaped(x *x509.Certificate) bool {
	outer, ok := derSequence(x.Raw)
	if !ok || len(outer) != 3 || !derValid(x.Raw, maxNesting) ||
		outer[0].tag != derSequenceTag || outer[1].tag != derSequenceTag || outer[2].tag != derBitString {
		return false
	}
	fields, ok := derElements(outer[0].body)
	if ok && len(fields) > 0 && fields[0].tag == 0xa0 {
		_, ok = derOne(fields[0].body, derInteger)
		fields = fields[1:]
	}
	const serial, algorithm, issuer, validity, subject, key, optional = 0, 1, 2, 3, 4, 5, 6
	if !ok || len(fields) < optional || fields[serial].tag != derInteger || !derAll(fields[algorithm:optional], derSequenceTag) {
		return false
	}
	return shapedAlgorithm(outer[1]) && shapedAlgorithm(fields[algorithm]) && shapedKey(fields[key]) &&
		shapedValidity(fields[validity]) && shapedOptions(fields[optional:], x.Version)
}

func shapedAlgorithm(e derElement) bool {
	fields, ok := derElements(e.body)
	return ok && len(fields) > 0 && len(fields) <= 2 && fields[0].tag == derOID
}

func shapedKey(e derElement) bool {
	fields, ok := derElements(e.body)
	return ok && len(fields) == 2 && fields[0].tag == derSequenceTag && shapedAlgorithm(fields[0]) &&
		fields[1].tag == derBitString
}

func shapedValidity(e derElement) bool {
	fields, ok := derElements(e.body)
	return ok && len(fields) == 2
}

// shapedOptions checks the unique identifiers and the extensions.
func shapedOptions(fields []derElement, version int) bool {
	allowed := map[int][]byte{2: {0x81, 0x82}, 3: {0x81, 0x82, 0xa3}}[version]
	ok := derTags(fields, allowed...)
	for _, f := range fields {
		if f.tag == 0xa3 {
			ok = ok && shapedExtensions(f.body)
		} else {
			ok = ok && derElement{tag: derBitString, body: f.body}.validPrimitive()
		}
	}
	return ok
}

func shapedExtensions(b []byte) bool {
	extensions, ok := derList(b, derSequenceTag)
	for _, e := range extensions {
		ok = ok && shapedExtension(e)
	}
	return ok
}

func shapedExtension(e derElement) bool {
	fields, ok := derElements(e.body)
	return ok && derTags(fields, derOID, derBoolean, derOctetString) &&
		len(fields) >= 2 && fields[0].tag == derOID && fields[len(fields)-1].tag == derOctetString
}
