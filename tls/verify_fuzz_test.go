package tls

import (
	"crypto/x509"
	"encoding/asn1"
	"reflect"
	"testing"
	"time"
)

// FuzzVerify gives arbitrary certificates to verify against arbitrary ones. It
// must return, soon; with lsec_continue and without it must find the same first
// error; and it may say OK only when it found none.
func FuzzVerify(f *testing.F) {
	s := loadVerifySuite(f)
	for i, c := range s.Cases {
		var chain, store, tlsa []byte
		for _, name := range c.Chain {
			chain = append(chain, s.Certs[name]...)
		}
		for _, name := range c.CAFile {
			store = append(append(store, s.Certs[name]...), s.CRLs[name]...)
		}
		if c.DANE != nil && len(c.DANE.Records) > 0 {
			r := c.DANE.Records[0]
			tlsa = append([]byte{r.Usage, r.Selector, r.MatchingType}, r.Data...)
		}
		f.Add(chain, store, tlsa, byte(i))
	}
	f.Fuzz(func(t *testing.T, chain, store, tlsa []byte, flags byte) {
		o := fuzzOptions(s.Now, store, tlsa, flags)
		var certs []*x509.Certificate
		for _, der := range derSplit(chain) {
			if x, err := x509.ParseCertificate(der); err == nil {
				certs = append(certs, x)
			}
		}
		start := time.Now()
		one := Verify(certs, o)
		o.Continue = true
		all := Verify(certs, o)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
		checkResults(t, one, all)
	})
}

func fuzzOptions(now time.Time, store, tlsa []byte, flags byte) VerifyOptions {
	cas, _ := NewCAStore("", "")
	for _, der := range derSplit(store) {
		if x, err := x509.ParseCertificate(der); err == nil {
			cas.found.add([]*certFacts{newCertFacts(x)}, nil)
		} else if c, err := parseCRL(der); err == nil {
			cas.found.add(nil, []*crl{c})
		}
	}
	o := VerifyOptions{
		CAs: cas, Depth: int(flags >> 5), Now: now,
		Server: flags&1 != 0, IgnorePurpose: flags&2 != 0, CRLLeaf: flags&4 != 0, CRLChain: flags&8 != 0,
	}
	if len(tlsa) > 3 {
		o.DANE = &DANE{
			Name:           "host.example.org",
			Records:        []TLSA{{tlsa[0], tlsa[1], tlsa[2], tlsa[3:]}},
			NoEENamechecks: flags&16 != 0,
		}
	}
	return o
}

// derSplit cuts elements off as long as there are any.
func derSplit(data []byte) [][]byte {
	var all [][]byte
	for {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(data, &v)
		if err != nil {
			return all
		}
		all, data = append(all, v.FullBytes), rest
	}
}

func checkResults(t *testing.T, one, all Result) {
	if one.OK != all.OK || one.Text != all.Text {
		t.Errorf("%+v\n%+v", one, all)
	}
	if one.OK != (one.Text == "") || one.OK != (len(one.Errors) == 0) {
		t.Errorf("%+v", one)
	}
	for depth, texts := range one.Errors {
		if len(one.Errors) != 1 || !reflect.DeepEqual(texts, []string{one.Text}) || all.Errors[depth][0] != one.Text {
			t.Errorf("%+v\n%+v", one, all)
		}
	}
}

// FuzzVerifyDER gives arbitrary bytes to all that reads DER after crypto/x509
// has. A canonical name must be its own canonical name.
func FuzzVerifyDER(f *testing.F) {
	s := loadVerifySuite(f)
	for _, der := range s.Certs {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(x.RawSubject)
		for _, ext := range x.Extensions {
			f.Add(ext.Value)
		}
	}
	for _, der := range s.CRLs {
		f.Add(der)
	}
	root := newCertFacts(s.chain(f, []string{"root"})[0])
	f.Fuzz(func(t *testing.T, der []byte) {
		if name, ok := parseName(der); ok {
			if again := canonicalName(derTLV(derSequenceTag, []byte(name.text))); again != name.text {
				t.Errorf("%x\n%x", name.text, again)
			}
		}
		pssAlgorithm(der).meetsLevel(2)
		if id, ok := parseAuthorityKeyID(der); ok {
			id.matches(root)
		}
		c, work := *root, maxWork
		c.addAltNames(der)
		if nc, ok := parseNameConstraints(der); ok {
			nc.check(&c, &work)
		}
		nc := &nameConstraints{excluded: []subtree{{base: generalName{kind: dnsName}}}}
		nc.check(&c, &work)
		parseCRLScope(der)
		c.addCRLPoints(der)
		if list, err := parseCRL(der); err == nil {
			list.covers(&c)
		}
		certificateFor(&c, "host.example.org")
	})
}
