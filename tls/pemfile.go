package tls

import (
	"crypto/x509"
	"os"
	"slices"
)

// trustIndex has certificates and CRLs by the name that they are looked for by.
type trustIndex struct {
	certs map[string][]*certFacts // by canonical subject
	crls  map[string][]*crl       // by canonical issuer
}

func (t *trustIndex) add(certs []*certFacts, crls []*crl) {
	if t.certs == nil {
		t.certs, t.crls = map[string][]*certFacts{}, map[string][]*crl{}
	}
	for _, c := range certs {
		if !contains(t.certs[c.subject], c) {
			t.certs[c.subject] = append(t.certs[c.subject], c)
		}
	}
	for _, c := range crls {
		if !slices.ContainsFunc(t.crls[c.issuer], c.same) {
			t.crls[c.issuer] = append(t.crls[c.issuer], c)
		}
	}
}

// pemFile is the parsed content of a file with certificates and CRLs. It is
// shared, so it must not change.
type pemFile struct {
	trustIndex
	hasCerts bool  // even if crypto/x509 can parse none
	err      error // what is wrong with what comes after them
}

var pemFiles shared[pemFile]

// readCAFile reads a file that must have a certificate or a CRL, and nothing
// broken.
func readCAFile(file string) (*pemFile, error) {
	if f, err := os.Stat(file); err == nil && f.IsDir() {
		return nil, errNothingFound // fopen works on it, and no more
	}
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	p := pemFileOf(data)
	return p, p.err
}

// pemFileOf parses data, unless a store has the same content already.
func pemFileOf(data []byte) *pemFile {
	d := digestOf(data)
	if p := pemFiles.get(d); p != nil {
		return p
	}
	certs, crls, err := parsePEM(data)
	if err == nil && certs == nil && crls == nil {
		err = errNothingFound
	}
	p := &pemFile{hasCerts: certs != nil, err: err}
	p.add(certs, crls)
	return pemFiles.add(d, p)
}

// parsePEM reads certificates and CRLs among anything else, up to what is broken.
// A certificate that OpenSSL reads and Go does not is left out; certs is not nil
// even if it was the only one, because the file does have a certificate.
func parsePEM(data []byte) (certs []*certFacts, crls []*crl, err error) {
	for {
		block, rest, err := nextPEM(data)
		if block == nil || err != nil {
			return certs, crls, err
		}
		data = rest
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE":
			if _, ok := derSequence(block.Bytes); !ok {
				return certs, crls, errWrongTag
			}
			if certs == nil {
				certs = []*certFacts{}
			}
			if x, err := x509.ParseCertificate(block.Bytes); err == nil {
				certs = append(certs, newCertFacts(x))
			}
		case "X509 CRL":
			c, err := parseCRL(block.Bytes)
			if err != nil {
				return certs, crls, errWrongTag
			}
			crls = append(crls, c)
		}
	}
}
