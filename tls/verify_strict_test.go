package tls

import (
	"crypto/elliptic"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// strictPKI has a CA that may only vouch for allowed.example.
type strictPKI struct {
	root, ca, leaf rawCertificate
	now            time.Time
}

func newStrictPKI() *strictPKI {
	p := &strictPKI{now: time.Now()}
	issuer := rawName(12, "root")
	ca := rawExtension{oidBasicConstraints, true, derTLV(derSequenceTag, derTLV(derBoolean, []byte{0xff}))}
	for i, c := range []*rawCertificate{&p.root, &p.ca, &p.leaf} {
		*c = rawCertificate{
			version: 2, serial: int64(i + 1), key: newECDSAKey(elliptic.P256()), issuer: issuer, subject: issuer,
			notBefore: p.now.Add(-time.Hour), notAfter: p.now.Add(time.Hour),
		}
	}
	p.root.extensions = []rawExtension{ca}
	p.ca.subject, p.leaf.issuer, p.leaf.subject = rawName(12, "CA"), rawName(12, "CA"), rawName(12, "www.allowed.example")
	allowed := derTLV(derSequenceTag, derTLV(0x82, []byte("allowed.example")))
	p.ca.extensions = []rawExtension{ca, {oidNameConstraints, true, derTLV(derSequenceTag, derTLV(0xa0, allowed))}}
	p.leaf.extensions = []rawExtension{{oidAltNames, false, altNames("allowed.example")}}
	return p
}

func altNames(host string) []byte { return derTLV(derSequenceTag, derTLV(0x82, []byte(host))) }

func (p *strictPKI) verify(t *testing.T) Result {
	t.Helper()
	cas, _ := NewCAStore("", "")
	var chain []*x509.Certificate
	for _, der := range [][]byte{p.leaf.sign(p.ca.key), p.ca.sign(p.root.key), p.root.sign(p.root.key)} {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			return Result{Text: err.Error()} // the handshake ends
		}
		chain = append(chain, x)
	}
	cas.found.add([]*certFacts{newCertFacts(chain[2])}, nil)
	return Verify(chain[:2], VerifyOptions{CAs: cas, Depth: 9, Now: p.now})
}

func TestVerifyStrictPKIIsGood(t *testing.T) {
	if r := newStrictPKI().verify(t); !r.OK {
		t.Errorf("%+v", r)
	}
}

// Each of these hid a name from the constraints, and OpenSSL refuses the chain
// for the name that it sees, or because it sees none.
func TestVerifySeesNamesThatAreHidden(t *testing.T) {
	victim := []byte("victim.example")
	body := derTLV(0x82, victim)
	for what, value := range map[string][]byte{
		"in the open":                   derTLV(derSequenceTag, body),
		"a byte behind":                 append(derTLV(derSequenceTag, body), 0),
		"an element behind":             append(derTLV(derSequenceTag, body), derTLV(derNull)...),
		"a constructed string":          derTLV(derSequenceTag, derTLV(0xa2, derTLV(22, victim))),
		"a constructed octet string":    derTLV(derSequenceTag, derTLV(0xa2, derTLV(derOctetString, victim))),
		"behind a broken name":          derTLV(derSequenceTag, derTLV(0xa4, []byte{1}), body),
		"a long length":                 append([]byte{derSequenceTag, 0x81, byte(len(body))}, body...),
		"an indefinite length":          append(append([]byte{derSequenceTag, 0x80}, body...), 0, 0),
		"a universal tag":               derTLV(derSequenceTag, derTLV(22, victim)),
		"an application tag":            derTLV(derSequenceTag, derTLV(0x42, victim)),
		"a private tag":                 derTLV(derSequenceTag, derTLV(0xc2, victim)),
		"an unknown kind":               derTLV(derSequenceTag, derTLV(0x89, victim)),
		"a SET":                         derTLV(derSetTag, body),
		"no name":                       derTLV(derSequenceTag),
		"nothing":                       nil,
		"a directory name of no UTF-8":  derTLV(derSequenceTag, derTLV(0xa4, rawName(12, "\xc4")), body),
		"an otherName without a value":  derTLV(derSequenceTag, derTLV(0xa0, derTLV(derOID, []byte(oidUnknown))), body),
		"an otherName of two values":    derTLV(derSequenceTag, derTLV(0xa0, derTLV(derOID, []byte(oidUnknown)), derTLV(0xa0, body, body)), body),
		"a registered ID that is none":  derTLV(derSequenceTag, derTLV(0x88, []byte{0x80}), body),
		"an integer with a leading 0":   derTLV(derSequenceTag, derTLV(0xa0, derTLV(derOID, []byte(oidUnknown)), derTLV(0xa0, derTLV(derInteger, []byte{0, 1})))),
		"a boolean that is neither":     derTLV(derSequenceTag, derTLV(0xa0, derTLV(derOID, []byte(oidUnknown)), derTLV(0xa0, derTLV(derBoolean, []byte{1})))),
		"a bit string with bits behind": derTLV(derSequenceTag, derTLV(0xa0, derTLV(derOID, []byte(oidUnknown)), derTLV(0xa0, derTLV(derBitString, []byte{4, 0x0f})))),
	} {
		p := newStrictPKI()
		p.leaf.extensions[0].value = value
		if r := p.verify(t); r.OK {
			t.Errorf("%s: %+v", what, r)
		}
	}
}

// In none of these extensions may anything be read as absent.
func TestVerifyFailsCertificatesWithBrokenExtensions(t *testing.T) {
	sequence := func(parts ...[]byte) []byte { return derTLV(derSequenceTag, parts...) }
	uri := derTLV(0x86, []byte("http://x/"))
	for _, c := range []struct {
		oid   string
		good  []byte
		wrong [][]byte
	}{
		{oidKeyID, derTLV(derOctetString, []byte{1}), [][]byte{derTLV(0x24, derTLV(derOctetString, []byte{1}))}},
		{oidKeyUsage, derBits(0x80), [][]byte{derBits(0), derTLV(derBitString), derTLV(0x23, derBits(0x80))}},
		{oidBasicConstraints, sequence(), [][]byte{
			sequence(derTLV(derNull)), sequence(derTLV(derInteger, []byte{1}), derTLV(derBoolean, []byte{0xff})),
			sequence(derTLV(derInteger, []byte{1}), derTLV(derInteger, []byte{1})), sequence(derTLV(derInteger, []byte{0xff})),
		}},
		{oidExtUsage, sequence(derTLV(derOID, []byte("\x2b\x06\x01\x05\x05\x07\x03\x01"))), [][]byte{sequence(), sequence(derTLV(derNull))}},
		{oidAuthority, sequence(), [][]byte{
			sequence(derTLV(0x81, []byte{1})), sequence(derTLV(0xa0, derTLV(derOctetString, []byte{1}))),
			sequence(derTLV(0x82, []byte{1}), derTLV(0xa1, uri)), sequence(derTLV(0x82)), sequence(derTLV(0xa1)),
			sequence(derTLV(0x80, []byte{1}), derTLV(0x80, []byte{1})), sequence(derTLV(0x80, []byte{1}), derTLV(0x82, []byte{0, 1})),
		}},
		{oidNameConstraints, sequence(derTLV(0xa1, sequence(uri))), [][]byte{
			sequence(), sequence(derTLV(0xa0)), sequence(derTLV(0xa1, sequence(uri)), derTLV(0xa0, sequence(uri))),
			sequence(derTLV(0xa1, sequence())), sequence(derTLV(0xa1, uri)), sequence(derTLV(0xa1, sequence(uri, uri))),
			sequence(derTLV(0xa1, sequence(derTLV(0x8a, []byte("x"))))), sequence(derTLV(0xa1, sequence(uri, derTLV(0x80)))),
		}},
		{oidCRLPoints, sequence(sequence(derTLV(0xa0, derTLV(0xa0, uri)))), [][]byte{
			sequence(), sequence(sequence()), sequence(sequence(derTLV(0xa0, uri))), sequence(sequence(derTLV(0xa0, derTLV(0xa0)))),
			sequence(sequence(derTLV(0x81, []byte{1, 0x80}))), sequence(sequence(derTLV(0xa2, uri), derTLV(0xa0, derTLV(0xa0, uri)))),
			sequence(sequence(derTLV(0xa0, derTLV(0xa0, uri), derTLV(0xa0, uri)))), sequence(sequence(derTLV(0xa0, derTLV(0xa0, uri)), derTLV(0x81))),
		}},
		{oidNetscape, derBits(0xc0), [][]byte{derTLV(derNull), derTLV(derBitString)}},
	} {
		p := newStrictPKI()
		p.leaf.extensions = append(p.leaf.extensions, rawExtension{c.oid, false, c.good})
		if r := p.verify(t); !r.OK {
			t.Errorf("%x: %x is refused: %+v", c.oid, c.good, r)
		}
		for _, value := range append(c.wrong, nil, append(slices.Clone(c.good), 0), append(slices.Clone(c.good), c.good...), c.good[:len(c.good)-1]) {
			p.leaf.extensions[1].value = value
			if r := p.verify(t); r.OK {
				t.Errorf("%x: %x is accepted", c.oid, value)
			}
		}
	}
}

// What crypto/x509 passes over OpenSSL may read, or not read at all.
func TestVerifyFailsCertificatesOfAnotherShape(t *testing.T) {
	behind := derTLV(derNull)
	inside := func(i int, edit func(body []byte) []byte) func([]byte) []byte {
		return func(tbs []byte) []byte {
			fields, _ := derSequence(tbs)
			var parts [][]byte
			for n, f := range fields {
				if n == i {
					f.full = derTLV(f.tag, edit(f.body))
				}
				parts = append(parts, f.full)
			}
			return derTLV(derSequenceTag, parts...)
		}
	}
	add := func(body []byte) []byte { return append(slices.Clone(body), behind...) }
	const version, algorithm, validity, key, extensions = 0, 2, 4, 6, 7
	edits := map[string]func([]byte) []byte{
		"extensions of version 1": func(tbs []byte) []byte {
			body, _ := derOne(tbs, derSequenceTag)
			_, rest, _ := derNext(body)
			return derTLV(derSequenceTag, rest)
		},
		"a field behind": func(tbs []byte) []byte {
			body, _ := derOne(tbs, derSequenceTag)
			return derTLV(derSequenceTag, body, behind)
		},
		"more in the version":    inside(version, add),
		"more in the algorithm":  inside(algorithm, add),
		"more in the validity":   inside(validity, add),
		"more in the key":        inside(key, add),
		"more in the extensions": inside(extensions, add),
		"more in an extension": inside(extensions, func(body []byte) []byte {
			list, _ := derSequence(body)
			return derTLV(derSequenceTag, derTLV(derSequenceTag, list[0].body, behind))
		}),
		"extensions as a unique ID": func(tbs []byte) []byte {
			fields, _ := derSequence(tbs)
			head := tbs[len(tbs)-len(fields[extensions].full):]
			return derTLV(derSequenceTag, bodyWithout(tbs, head), derTLV(0x82, fields[extensions].body))
		},
	}
	for what, edit := range edits {
		p := newStrictPKI()
		p.leaf.edit = edit
		if r := p.verify(t); r.OK {
			t.Errorf("%s: accepted", what)
		}
	}
}

// bodyWithout is what a SEQUENCE holds before its end.
func bodyWithout(sequence, end []byte) []byte {
	body, _ := derOne(sequence, derSequenceTag)
	return body[:len(body)-len(end)]
}

// The strictness must not cost anybody a real root.
func TestVerifyReadsAllRootsOfDebian(t *testing.T) {
	files, _ := filepath.Glob("/etc/ssl/certs/*.pem")
	if len(files) == 0 {
		t.Skip("no ca-certificates here")
	}
	n := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		certs, _, _ := parsePEM(data)
		for _, c := range certs {
			n++
			if c.invalid || c.unhandled {
				t.Errorf("%s: invalid %v, unhandled %v", file, c.invalid, c.unhandled)
			}
		}
	}
	t.Logf("%d roots", n)
}
