package tls

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
//
// Stores share the parsed content of equal files (pemFile), but never what they
// trust: each one knows only its own file, and what it found itself.
type CAStore struct {
	dirs []string
	file *pemFile

	mu      sync.Mutex
	found   trustIndex     // in dirs
	read    []*pemFile     // those that found is made of: others may share them
	crlNext map[string]int // by path without N: the first not loaded yet
}

// NewCAStore reads the file at once and the directory only as names are asked
// for, so a directory that does not exist is no error. The error is the text
// that LuaSec has in the parentheses of "error loading CA locations (%s)", but
// for a file that cannot be opened: there LuaSec has "(null)".
func NewCAStore(file, path string) (*CAStore, error) {
	s := &CAStore{file: &pemFile{}, crlNext: map[string]int{}}
	for _, dir := range strings.Split(path, ":") {
		if dir != "" {
			s.dirs = append(s.dirs, dir)
		}
	}
	if file == "" {
		return s, nil
	}
	var err error
	if s.file, err = readCAFile(file); err != nil {
		return nil, err
	}
	return s, nil
}

// OpenSSL's words.
var (
	errNothingFound = errors.New("no certificate or crl found")
	errWrongTag     = errors.New("wrong tag")
)

// bySubject returns the certificates of one canonical name.
func (s *CAStore) bySubject(name string) []*certFacts {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file.certs[name] == nil && s.found.certs[name] == nil {
		for _, dir := range s.dirs {
			for n := 0; s.addHashed(filepath.Join(dir, nameHash(name)), n); n++ {
			}
			if s.found.certs[name] != nil {
				break
			}
		}
	}
	return both(s.file.certs[name], s.found.certs[name])
}

// both is a before b. It copies only if neither is empty.
func both[T any](a, b []T) []T {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	}
	return slices.Concat(a, b)
}

// addHashed reads one file of certificates, and tells whether there may be a next
// one: after a file that cannot be loaded OpenSSL looks no further.
func (s *CAStore) addHashed(base string, n int) (more bool) {
	data, err := os.ReadFile(fmt.Sprintf("%s.%d", base, n))
	if err != nil {
		return false
	}
	p := s.keep(data) // what comes before a broken one counts
	for _, certs := range p.certs {
		s.found.add(certs, nil)
	}
	return p.hasCerts && p.err == nil
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
	return both(s.file.crls[issuer], s.found.crls[issuer])
}

// addHashedCRL reads the next file of CRLs, and tells whether all of it was good. If
// not, it is read again the next time: it may be half written.
func (s *CAStore) addHashedCRL(base string) bool {
	data, err := os.ReadFile(fmt.Sprintf("%s%d", base, s.crlNext[base]))
	if err != nil {
		return false
	}
	p := s.keep(data)
	for _, crls := range p.crls {
		s.found.add(nil, crls)
	}
	return len(p.crls) > 0 && p.err == nil
}

// keep parses a file, and keeps the result for others that may share it. It adds
// no file twice, because a peer can ask for names whose hash is that of another.
func (s *CAStore) keep(data []byte) *pemFile {
	p := pemFileOf(data)
	if !slices.Contains(s.read, p) {
		s.read = append(s.read, p)
	}
	return p
}
