package tls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// CAStore finds trusted certificates and CRLs: a PEM file, a directory of
// <name hash>.N files (OpenSSL's -CApath, several with colons between), or
// both. A nil store is empty.
//
// As in OpenSSL (by_dir.c, x509_lu.c) the directory is asked only for names
// that the file does not have, what was found is kept, and what was not found
// is looked for again the next time. A file that changes is seen by the next
// store: Prosody makes new contexts when it reloads. "TRUSTED CERTIFICATE"
// blocks, which carry OpenSSL's own notes on trust, are not read.
type CAStore struct {
	dirs []string

	mu      sync.Mutex
	certs   map[string][]*certFacts // by canonical subject
	crls    map[string][]*crl       // by canonical issuer
	crlNext map[string]int          // by path without N: the first not read yet
}

// NewCAStore reads the file at once and the directory only as names are asked
// for, so a directory that does not exist is no error. The error is the text
// that LuaSec has in the parentheses of "error loading CA locations (%s)", but
// for a file that cannot be opened: there LuaSec has "(null)".
func NewCAStore(file, path string) (*CAStore, error) {
	s := &CAStore{
		certs:   map[string][]*certFacts{},
		crls:    map[string][]*crl{},
		crlNext: map[string]int{},
	}
	for _, dir := range strings.Split(path, ":") {
		if dir != "" {
			s.dirs = append(s.dirs, dir)
		}
	}
	if file == "" {
		return s, nil
	}
	if err := s.addFile(file); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *CAStore) addFile(file string) error {
	if f, err := os.Stat(file); err == nil && f.IsDir() {
		return errNothingFound // fopen works on it, and no more
	}
	data, err := readFile(file)
	if err != nil {
		return err
	}
	certs, crls, err := parsePEM(data)
	if err == nil && certs == nil && crls == nil {
		err = errNothingFound
	}
	s.add(certs, crls)
	return err
}

// OpenSSL's words.
var (
	errNothingFound = errors.New("no certificate or crl found")
	errWrongTag     = errors.New("wrong tag")
)

func (s *CAStore) add(certs []*certFacts, crls []*crl) {
	for _, c := range certs {
		if !contains(s.certs[c.subject], c) {
			s.certs[c.subject] = append(s.certs[c.subject], c)
		}
	}
	for _, c := range crls {
		s.crls[c.issuer] = append(s.crls[c.issuer], c)
	}
}

// bySubject returns the certificates of one canonical name.
func (s *CAStore) bySubject(name string) []*certFacts {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.certs[name] == nil {
		for _, dir := range s.dirs {
			for n := 0; s.addHashed(filepath.Join(dir, nameHash(name)), n); n++ {
			}
			if s.certs[name] != nil {
				break
			}
		}
	}
	return s.certs[name]
}

// addHashed reads one file of certificates, if there is one. Of a broken link
// and of a file that cannot be read there may be a next one.
func (s *CAStore) addHashed(base string, n int) bool {
	file := fmt.Sprintf("%s.%d", base, n)
	if _, err := os.Lstat(file); err != nil {
		return false
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return true
	}
	certs, _, _ := parsePEM(data) // what comes before a broken one counts
	s.add(certs, nil)
	return true
}

// crlsBy returns the CRLs of one canonical issuer. New ones are looked for each
// time: they come in files with a higher number.
func (s *CAStore) crlsBy(issuer string) []*crl {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, dir := range s.dirs {
		base := filepath.Join(dir, nameHash(issuer)+".r")
		for s.addHashedCRL(base) {
			s.crlNext[base]++
		}
	}
	return s.crls[issuer]
}

func (s *CAStore) addHashedCRL(base string) bool {
	file := fmt.Sprintf("%s%d", base, s.crlNext[base])
	if _, err := os.Lstat(file); err != nil {
		return false
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return true
	}
	_, crls, _ := parsePEM(data)
	s.add(nil, crls)
	return true
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
