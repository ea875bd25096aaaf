package tls

// derElement is one element of DER: its identifier octet, its contents, and all
// of it.
type derElement struct {
	tag        byte
	body, full []byte
}

// Identifier octets.
const (
	derBoolean     = 0x01
	derInteger     = 0x02
	derBitString   = 0x03
	derOctetString = 0x04
	derNull        = 0x05
	derOID         = 0x06
	derSequenceTag = 0x30
	derSetTag      = 0x31

	derConstructed = 0x20
	derUniversal   = 0x40 // smaller: the tag is universal
)

// derNext cuts off the first element (X.690, 10.1: the shortest length, never an
// indefinite one). Tags above 30, which no certificate has, are refused.
func derNext(b []byte) (e derElement, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return e, nil, false
	}
	size, head := int(b[1]), 2
	if size >= 0x80 {
		n := size & 0x7f
		if n == 0 || n > 3 || len(b) < 2+n || b[2] == 0 {
			return e, nil, false
		}
		size = 0
		for _, c := range b[2 : 2+n] {
			size = size<<8 | int(c)
		}
		if size < 0x80 {
			return e, nil, false
		}
		head += n
	}
	if len(b)-head < size {
		return e, nil, false
	}
	return derElement{b[0], b[head : head+size], b[:head+size]}, b[head+size:], true
}

// derElements splits b into elements. Nothing may be left.
func derElements(b []byte) ([]derElement, bool) {
	n, ok := derCount(b)
	if !ok {
		return nil, false
	}
	all := make([]derElement, n)
	for i := range all {
		all[i], b, _ = derNext(b)
	}
	return all, true
}

func derCount(b []byte) (n int, ok bool) {
	for ; len(b) > 0; n++ {
		if _, b, ok = derNext(b); !ok {
			return 0, false
		}
	}
	return n, true
}

// derOne reads b as one element with this tag and nothing behind it.
func derOne(b []byte, tag byte) (body []byte, ok bool) {
	e, rest, ok := derNext(b)
	if !ok || e.tag != tag || len(rest) > 0 {
		return nil, false
	}
	return e.body, true
}

// derSequence splits an encoded SEQUENCE.
func derSequence(b []byte) ([]derElement, bool) {
	body, ok := derOne(b, derSequenceTag)
	if !ok {
		return nil, false
	}
	return derElements(body)
}

// derList splits an encoded SEQUENCE of at least one element, each with this tag.
func derList(b []byte, tag byte) ([]derElement, bool) {
	all, ok := derSequence(b)
	return all, ok && len(all) > 0 && derAll(all, tag)
}

func derAll(all []derElement, tag byte) bool {
	for _, e := range all {
		if e.tag != tag {
			return false
		}
	}
	return true
}

// derTags says whether the elements have tags out of this list, each at most
// once and in its order: the optional fields of a SEQUENCE.
func derTags(all []derElement, tags ...byte) bool {
	for _, e := range all {
		for len(tags) > 0 && tags[0] != e.tag {
			tags = tags[1:]
		}
		if len(tags) == 0 {
			return false
		}
		tags = tags[1:]
	}
	return true
}

// The deepest nesting that derValid follows. Certificates have about 10 levels.
const maxNesting = 30

// derValid says whether b is a row of elements that are DER throughout. What is
// inside of OCTET STRINGs and of tagged primitive elements is not looked at.
func derValid(b []byte, nesting int) bool {
	for len(b) > 0 {
		e, rest, ok := derNext(b)
		if !ok || nesting == 0 || !e.valid(nesting) {
			return false
		}
		b = rest
	}
	return true
}

func (e derElement) valid(nesting int) bool {
	switch {
	case e.tag&derConstructed != 0:
		// Of the universal types only these two are constructed in DER.
		universal := e.tag < derUniversal && e.tag != derSequenceTag && e.tag != derSetTag
		return !universal && derValid(e.body, nesting-1)
	case e.tag == derSequenceTag&^derConstructed, e.tag == derSetTag&^derConstructed:
		return false
	}
	return e.validPrimitive()
}

func (e derElement) validPrimitive() bool {
	b := e.body
	switch e.tag {
	case derBoolean:
		return len(b) == 1 && (b[0] == 0 || b[0] == 0xff)
	case derInteger:
		return validInteger(b)
	case derBitString:
		return len(b) > 0 && b[0] < 8 && (b[0] == 0 || len(b) > 1 && b[len(b)-1]&(1<<b[0]-1) == 0)
	case derNull:
		return len(b) == 0
	case derOID:
		return validOID(b)
	}
	return true
}

func validInteger(b []byte) bool {
	if len(b) < 2 {
		return len(b) == 1
	}
	first, sign := b[0], b[1]>>7
	return !(first == 0 && sign == 0 || first == 0xff && sign == 1)
}

func validOID(b []byte) bool {
	start := true // of a subidentifier
	for _, c := range b {
		if start && c == 0x80 {
			return false
		}
		start = c < 0x80
	}
	return len(b) > 0 && start
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
