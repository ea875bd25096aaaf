package tls

import (
	"slices"
)

var (
	hosts = []string{"a.example", "b.a.example", "x.test", "A.Example", "*.a.example", ".a.example", "a-a.example", "", "a.example.", "a..b", "xmpp"}
	mails = []string{"me@a.example", "me@b.a.example", "Me@A.example", "me@x.test", "@a.example", "me", "a@b@a.example", ""}
	uris  = []string{"https://a.example/x", "xmpp:me@a.example", "https://b.a.example:5222/", "https://x.test", "https://", "a"}
	bases = []string{"a.example", ".a.example", "example", "x.test", "", "A.EXAMPLE", "me@a.example", "test"}
)

// extensions are mostly what they should be.
func (w *world) extensions(c, issuer *rawCertificate, leaf bool) (all []rawExtension) {
	add := func(oid string, critical bool, value []byte) {
		all = append(all, rawExtension{oid, critical, value})
	}
	if !w.in(8) {
		add(oidKeyID, false, derTLV(derOctetString, c.key.id))
	}
	if !w.in(6) {
		add(oidAuthority, false, w.authority(issuer))
	}
	w.uses(add, leaf)
	if leaf || w.in(12) {
		add(oidAltNames, w.in(6), w.altNames())
	}
	if !leaf && w.in(8) || w.in(60) {
		add(oidNameConstraints, !w.in(3), w.nameConstraints())
	}
	w.rarities(add)
	w.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// uses says what the key may be used for.
func (w *world) uses(add func(string, bool, []byte), leaf bool) {
	if !leaf && !w.rare(25) || leaf && w.in(3) {
		add(oidBasicConstraints, true, w.basicConstraints(leaf))
	}
	if !w.in(5) {
		bits := byte(0x06) // certificates and CRLs
		if leaf {
			bits = 0xa0 // signatures and key encipherment
		}
		if w.rare(15) {
			bits = pick[byte](w, 0x80, 0x20, 0x08, 0x02, 0x04, 0x40, 0x86, 0)
		}
		add(oidKeyUsage, w.in(2), derBits(bits))
	}
	if leaf && !w.in(4) || w.rare(8) {
		add(oidExtUsage, w.in(4), w.extUsage())
	}
}

// derBits is a BIT STRING of one octet.
func derBits(bits byte) []byte {
	unused := byte(0)
	for unused < 7 && bits>>unused&1 == 0 {
		unused++
	}
	if bits == 0 {
		return derTLV(derBitString, []byte{0})
	}
	return derTLV(derBitString, []byte{unused, bits})
}

func (w *world) basicConstraints(leaf bool) []byte {
	var fields [][]byte
	if !leaf != w.rare(25) {
		fields = append(fields, derTLV(derBoolean, []byte{0xff}))
	}
	if w.rare(5) {
		fields = append(fields, derTLV(derInteger, []byte{byte(w.IntN(4))}))
	}
	return derTLV(derSequenceTag, fields...)
}

func (w *world) extUsage() []byte {
	const server, client, mail, anything = "\x2b\x06\x01\x05\x05\x07\x03\x01", "\x2b\x06\x01\x05\x05\x07\x03\x02", "\x2b\x06\x01\x05\x05\x07\x03\x04", "\x55\x1d\x25\x00"
	uses := [][]byte{derTLV(derOID, []byte(server)), derTLV(derOID, []byte(client))}
	if w.rare(4) {
		uses = [][]byte{derTLV(derOID, []byte(pick(w, server, client, mail, anything)))}
	}
	return derTLV(derSequenceTag, uses...)
}

func (w *world) authority(issuer *rawCertificate) []byte {
	id := issuer.key.id
	if w.rare(30) {
		id = w.key().id
	}
	fields := [][]byte{derTLV(0x80, id)}
	if w.in(8) {
		serial := issuer.serial
		if w.in(4) {
			serial++
		}
		fields = append(fields, derTLV(0xa1, derTLV(0xa4, issuer.issuer)), derTLV(0x82, derNumber(serial)))
	}
	if w.in(10) {
		fields = fields[1:]
	}
	return derTLV(derSequenceTag, fields...)
}

func (w *world) altNames() []byte {
	var names [][]byte
	for range 1 + w.IntN(2) {
		names = append(names, derTLV(0x82, []byte(pick(w, hosts...))))
	}
	for range w.IntN(3) {
		names = append(names, w.generalName(false))
	}
	if w.in(8) {
		names = names[1:]
	}
	return derTLV(derSequenceTag, names...)
}

// generalName is a name, or what constrains one.
func (w *world) generalName(base bool) []byte {
	from := func(names []string) []byte {
		if base {
			names = bases
		}
		return []byte(pick(w, names...))
	}
	switch w.IntN(7) {
	case 0:
		return derTLV(0x81, from(mails))
	case 1:
		return derTLV(0x86, from(uris))
	case 2:
		address := slices.Clone(pick(w, []byte{10, 0, 0, 1}, []byte{192, 168, 1, 1}, make([]byte, 16)))
		if base {
			mask := make([]byte, len(address))
			mask[0] = 0xff
			address = append(address, mask...)
		}
		return derTLV(0x87, address)
	case 3:
		return derTLV(0xa4, rawName(12, pick(w, "leaf", "a.example", "CA 1", "other")))
	case 4:
		const srvName, xmppAddr, smtpUTF8 = "\x2b\x06\x01\x05\x05\x07\x08\x07", "\x2b\x06\x01\x05\x05\x07\x08\x05", oidSMTPUTF8Mailbox
		value := derTLV(pick[byte](w, 12, 22), from(mails))
		return derTLV(0xa0, derTLV(derOID, []byte(pick(w, srvName, xmppAddr, smtpUTF8))), derTLV(0xa0, value))
	case 5:
		return derTLV(0x88, []byte{0x2a, 3, 4})
	}
	return derTLV(0x82, from(hosts))
}

func (w *world) nameConstraints() []byte {
	trees := func() []byte {
		var all []byte
		for range 1 + w.IntN(2) {
			tree := w.generalName(true)
			if !w.in(3) {
				tree = derTLV(0x82, []byte(pick(w, bases...)))
			}
			if w.in(40) {
				tree = append(tree, derTLV(pick[byte](w, 0x80, 0x81), []byte{byte(w.IntN(2))})...)
			}
			all = append(all, derTLV(derSequenceTag, tree)...)
		}
		return all
	}
	var fields [][]byte
	if !w.in(3) {
		fields = append(fields, derTLV(0xa0, trees()))
	}
	if fields == nil || w.in(3) {
		fields = append(fields, derTLV(0xa1, trees()))
	}
	return derTLV(derSequenceTag, fields...)
}

// rarities are the other extensions.
func (w *world) rarities(add func(string, bool, []byte)) {
	if w.in(8) {
		uri := derTLV(0xa0, derTLV(0xa0, derTLV(0x86, []byte("http://x/"))))
		add(oidCRLPoints, w.in(10), derTLV(derSequenceTag, derTLV(derSequenceTag, uri)))
	}
	switch w.IntN(80) {
	case 0:
		add(oidUnknown, w.in(2), derTLV(derNull))
	case 1:
		add(oidNetscape, w.in(4), derBits(pick[byte](w, 0x80, 0x40, 0xc0, 0x20, 0x04)))
	case 2:
		policy := derTLV(derSequenceTag, derTLV(derOID, []byte{0x55, 0x1d, 0x20, 0}))
		add(oidPolicies, w.in(3), derTLV(derSequenceTag, policy))
	case 3:
		add(oidPolicyLimits, true, derTLV(derSequenceTag, derTLV(0x80, []byte{byte(w.IntN(3))})))
	case 4:
		any := derTLV(derSequenceTag, derTLV(derOID, []byte("\x2b\x06\x01\x05\x05\x07\x15\x01")))
		add(oidProxy, w.in(2), derTLV(derSequenceTag, any))
	case 5:
		inherit := derTLV(derSequenceTag, derTLV(derOctetString, []byte{0, 1}), derTLV(derNull))
		add(oidAddresses, w.in(2), derTLV(derSequenceTag, inherit))
	}
}

// makeOdd changes bytes: mostly of an extension, else anywhere in what is signed.
func (w *world) makeOdd(c *rawCertificate) {
	if len(c.extensions) == 0 || w.in(6) {
		c.edit = w.mutate
		return
	}
	if w.in(20) {
		c.extensions = append(c.extensions, pick(w, c.extensions...))
		return
	}
	e := &c.extensions[w.IntN(len(c.extensions))]
	for range 1 + w.IntN(2) {
		e.value = w.mutate(e.value)
	}
}

// mutate changes a few bytes; lengths around them are mended only by what
// encodes the result.
func (w *world) mutate(b []byte) []byte {
	b = slices.Clone(b)
	if len(b) == 0 {
		return []byte{byte(w.IntN(256))}
	}
	i := w.IntN(len(b))
	switch w.IntN(9) {
	case 0:
		return append(b, byte(w.IntN(256)))
	case 1:
		return append(b, b...)
	case 2:
		return b[:i]
	case 3:
		return w.nested(b)
	case 4:
		b[i] ^= derConstructed
	case 5:
		b[i] = pick[byte](w, 0, 1, 2, 3, 4, 5, 6, 0x30, 0x31, 0x80, 0x81, 0x82, 0xa0, 0xa1, 0xa4, 0xff)
	case 6:
		b[i] ^= 1 << w.IntN(8)
	case 7:
		return slices.Insert(b, i, byte(w.IntN(256)))
	case 8:
		return slices.Delete(b, i, i+1)
	}
	return b
}

// nested changes something deep inside, with all lengths around it right.
func (w *world) nested(b []byte) []byte {
	elements, ok := derElements(b)
	if !ok || len(elements) == 0 {
		return w.mutate(b)
	}
	i := w.IntN(len(elements))
	e := elements[i]
	switch body := e.body; {
	case e.tag&derConstructed != 0 && !w.in(3):
		elements[i].full = derTLV(e.tag, w.nested(body))
	case w.in(3): // as a constructed string
		elements[i].full = derTLV(e.tag|derConstructed, derTLV(pick[byte](w, 4, 12, 22), body))
	case w.in(3): // in pieces
		half := len(body) / 2
		elements[i].full = derTLV(e.tag|derConstructed, derTLV(4, body[:half]), derTLV(4, body[half:]))
	case w.in(2):
		elements[i].full = derTLV(e.tag^pick[byte](w, 0x20, 0x40, 0x80, 0xc0, 1, 2, 4), body)
	case w.in(2):
		elements[i].full = nil
	default:
		elements[i].full = append(slices.Clone(e.full), e.full...)
	}
	var out []byte
	for _, e := range elements {
		out = append(out, e.full...)
	}
	return out
}
