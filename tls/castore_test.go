package tls

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestCAStoreErrorsAreLuaSecs(t *testing.T) {
	s := loadVerifySuite(t)
	good := string(s.pem(t, "root"))
	for _, c := range []struct{ what, content, want string }{
		{"good", good, ""},
		{"a CRL alone", string(s.pem(t, "root list")), ""},
		{"text around", "x\n" + good + "y\n" + good, ""},
		{"empty", "", "no certificate or crl found"},
		{"text", "hello\nworld\n", "no certificate or crl found"},
		{"something else", "-----BEGIN FOO-----\nAAAA\n-----END FOO-----\n", "no certificate or crl found"},
		{"no base64", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "bad base64 decode"},
		{"no end", "-----BEGIN CERTIFICATE-----\nAAAA\n", "bad end line"},
		{"no DER", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "wrong tag"},
		{"good and no DER", good + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "wrong tag"},
	} {
		file := filepath.Join(t.TempDir(), "ca.pem")
		writeFile(t, file, []byte(c.content))
		store, err := NewCAStore(file, "")
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want || (store == nil) != (err != nil) {
			t.Errorf("%s: %q, not %q", c.what, got, c.want)
		}
	}
	for path, want := range map[string]string{
		"/no/such/file": "No such file or directory",
		t.TempDir():     "no certificate or crl found",
	} {
		if _, err := NewCAStore(path, ""); err == nil || err.Error() != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := NewCAStore("", "/no/such/folder"); err != nil {
		t.Error("a folder that does not exist: ", err)
	}
}

// The names that update-ca-certificates gave the files are OpenSSL's hashes.
func TestNameHashIsOpenSSLs(t *testing.T) {
	links, _ := filepath.Glob("/etc/ssl/certs/????????.[0-9]")
	if len(links) == 0 {
		t.Skip("no ca-certificates here")
	}
	checked := 0
	for _, link := range links {
		data, err := os.ReadFile(link)
		if err != nil || !regexp.MustCompile(`^[0-9a-f]{8}\.`).MatchString(filepath.Base(link)) {
			continue
		}
		certs, _, err := parsePEM(data)
		if err != nil || len(certs) != 1 {
			t.Errorf("%s: %d certificates, %v", link, len(certs), err)
			continue
		}
		checked++
		if got := nameHash(certs[0].subject); got != filepath.Base(link)[:8] {
			t.Errorf("%s: %s", link, got)
		}
		store, _ := NewCAStore("", "/etc/ssl/certs")
		if found := store.bySubject(certs[0].subject); !contains(found, certs[0]) {
			t.Errorf("%s: not found", link)
		}
	}
	t.Logf("%d checked", checked)
}

// hashedFolder has certificates under the names by which they are looked for.
func hashedFolder(t *testing.T, s *verifySuite, suffix string, names ...string) string {
	dir := t.TempDir()
	for _, name := range names {
		hash := ""
		if der, ok := s.CRLs[name]; ok {
			c, err := parseCRL(der)
			if err != nil {
				t.Fatal(err)
			}
			hash = nameHash(c.issuer)
		} else {
			hash = nameHash(canonicalName(s.chain(t, []string{name})[0].RawSubject))
		}
		writeFile(t, filepath.Join(dir, hash+suffix), s.pem(t, name))
	}
	return dir
}

func TestCAStoreFindsWhatComesLater(t *testing.T) {
	s := loadVerifySuite(t)
	dir := hashedFolder(t, s, ".0")
	store, err := NewCAStore("", dir)
	if err != nil {
		t.Fatal(err)
	}
	name := canonicalName(s.chain(t, []string{"root"})[0].RawSubject)
	if store.bySubject(name) != nil {
		t.Fatal("found in an empty folder")
	}
	writeFile(t, filepath.Join(dir, nameHash(name)+".0"), s.pem(t, "root"))
	if len(store.bySubject(name)) != 1 {
		t.Fatal("not found")
	}
	if err := os.Remove(filepath.Join(dir, nameHash(name)+".0")); err != nil {
		t.Fatal(err)
	}
	if len(store.bySubject(name)) != 1 {
		t.Error("not kept")
	}
}

// OpenSSL trusts nothing that comes after a file that it cannot load.
func TestCAStoreStopsAtBrokenFiles(t *testing.T) {
	s := loadVerifySuite(t)
	name := canonicalName(s.chain(t, []string{"root"})[0].RawSubject)
	other := hashedFolder(t, s, ".0", "other root")
	for what, spoil := range map[string]func(file string) error{
		"a broken link":   func(file string) error { return os.Symlink("/no/such/file", file) },
		"a folder":        func(file string) error { return os.Mkdir(file, 0o700) },
		"a broken file":   func(file string) error { return os.WriteFile(file, []byte("-----BEGIN CERTIFICATE-----\n!"), 0o600) },
		"an empty file":   func(file string) error { return os.WriteFile(file, nil, 0o600) },
		"a file of a CRL": func(file string) error { return os.WriteFile(file, s.pem(t, "root list"), 0o600) },
	} {
		dir := hashedFolder(t, s, ".1", "root")
		if err := spoil(filepath.Join(dir, nameHash(name)+".0")); err != nil {
			t.Fatal(err)
		}
		store, _ := NewCAStore("", "/no/such/folder::"+dir+":"+other)
		if store.bySubject(name) != nil {
			t.Errorf("root found after %s", what)
		}
		if len(store.bySubject(canonicalName(s.chain(t, []string{"other root"})[0].RawSubject))) != 1 {
			t.Error("not found in the second folder")
		}
	}
}

// A CA replaces nothing: the next CRL comes with the next number.
func TestCAStoreReadsNewCRLs(t *testing.T) {
	s := loadVerifySuite(t)
	dir := hashedFolder(t, s, ".r0", "int list")
	store, _ := NewCAStore("", dir)
	issuer := s.chain(t, []string{"int"})[0]
	name := canonicalName(issuer.RawSubject)
	if n := len(store.crlsBy(name)); n != 1 {
		t.Fatal(n, " lists")
	}
	writeFile(t, filepath.Join(dir, nameHash(name)+".r1"), s.pem(t, "int list newer"))
	for range 2 {
		if n := len(store.crlsBy(name)); n != 2 {
			t.Fatal(n, " lists")
		}
	}
}

// A handshake may come while the new CRL is being written, or while no file can
// be opened. The old one must not be the last for that.
func TestCAStoreTriesCRLsAgain(t *testing.T) {
	s := loadVerifySuite(t)
	dir := hashedFolder(t, s, ".r0", "int list")
	store, _ := NewCAStore("", dir)
	name := canonicalName(s.chain(t, []string{"int"})[0].RawSubject)
	file := filepath.Join(dir, nameHash(name)+".r1")
	whole := s.pem(t, "int list newer")
	lists := func(want int) {
		t.Helper()
		for range 3 {
			if n := len(store.crlsBy(name)); n != want {
				t.Error(n, " lists")
			}
		}
	}
	if err := os.Mkdir(file, 0o700); err != nil { // it cannot be read
		t.Fatal(err)
	}
	lists(1)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, nil)
	lists(1)
	writeFile(t, file, whole[:len(whole)/2])
	lists(1)
	writeFile(t, file, append(append([]byte{}, whole...), whole[:len(whole)/2]...)) // what is whole counts, once
	lists(2)
	writeFile(t, file, append(append([]byte{}, whole...), s.pem(t, "int list v1")...))
	lists(3)
}

func TestNilCAStoreIsEmpty(t *testing.T) {
	var store *CAStore
	if store.bySubject("x") != nil || store.crlsBy("x") != nil {
		t.Error("not empty")
	}
}

// `openssl ca -gencrl` writes version 1 unless told otherwise.
func TestCRLOfVersion1(t *testing.T) {
	s := loadVerifySuite(t)
	c, err := parseCRL(s.CRLs["int list v1"])
	if err != nil {
		t.Fatal(err)
	}
	if len(c.revoked) != 1 || !strings.Contains(c.issuer, "int") {
		t.Errorf("%+v", c)
	}
}
