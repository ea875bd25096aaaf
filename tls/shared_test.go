package tls

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// eventually is for what a collection brings about.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for range 100 {
		runtime.GC()
		if happened() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error(what)
}

func (s *shared[V]) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.values)
}

func newStore(t *testing.T, file, path string) *CAStore {
	t.Helper()
	s, err := NewCAStore(file, path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// subjectOf is the canonical name of a certificate of the suite.
func subjectOf(t *testing.T, s *verifySuite, name string) string {
	return canonicalName(s.chain(t, []string{name})[0].RawSubject)
}

func TestEqualCAFilesAreShared(t *testing.T) {
	s := loadVerifySuite(t)
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	writeFile(t, one, s.pem(t, "root"))
	writeFile(t, two, s.pem(t, "root"))
	a, b := newStore(t, one, ""), newStore(t, two, "/no/such/folder")
	if a.file != b.file {
		t.Error("parsed twice")
	}
	name := subjectOf(t, s, "root")
	folder := hashedFolder(t, s, ".0", "root")
	c, d := newStore(t, "", folder), newStore(t, "", folder)
	if c.bySubject(name)[0] != d.bySubject(name)[0] {
		t.Error("a folder's file is parsed twice")
	}
}

// The time stamp is put back, as rsync and tar do, and the size is the same.
func TestChangedCAFileIsSeen(t *testing.T) {
	s := loadVerifySuite(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	padded := func(name string) []byte { return append(s.pem(t, name), make([]byte, 4096-len(s.pem(t, name)))...) }
	stamp := time.Unix(1_700_000_000, 0)
	trusted := func(name string) *CAStore {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(padded(name)); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.Chtimes(file, stamp, stamp); err != nil {
			t.Fatal(err)
		}
		return newStore(t, file, "")
	}
	before, after := trusted("root"), trusted("other root")
	root, other := subjectOf(t, s, "root"), subjectOf(t, s, "other root")
	if len(after.bySubject(other)) != 1 || after.bySubject(root) != nil {
		t.Error("the new store has the file's old content")
	}
	if len(before.bySubject(root)) != 1 || before.bySubject(other) != nil {
		t.Error("the old store has the new content")
	}
}

// What one store finds in its folder must not be trusted by another that shares
// its file.
func TestSharedCAFileLeaksNoTrust(t *testing.T) {
	s := loadVerifySuite(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, file, s.pem(t, "root"))
	alone := newStore(t, file, "")
	more := newStore(t, file, hashedFolder(t, s, ".0", "other root"))
	lists := newStore(t, file, hashedFolder(t, s, ".r0", "int list"))
	if alone.file != more.file || alone.file != lists.file {
		t.Fatal("not shared")
	}
	other, issuer := subjectOf(t, s, "other root"), subjectOf(t, s, "int")
	if len(more.bySubject(other)) != 1 || len(lists.crlsBy(issuer)) != 1 {
		t.Fatal("not found in the folder")
	}
	if alone.bySubject(other) != nil || lists.bySubject(other) != nil {
		t.Error("a certificate leaked")
	}
	if alone.crlsBy(issuer) != nil || more.crlsBy(issuer) != nil {
		t.Error("a CRL leaked")
	}
}

// A broken file is an error for the second that reads it, too.
func TestBrokenCAFileIsNotGoodTheSecondTime(t *testing.T) {
	s := loadVerifySuite(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, file, append(s.pem(t, "root"), "-----BEGIN CERTIFICATE-----\n!"...))
	// In a folder of -CApath the same content counts as far as it is good.
	name := subjectOf(t, s, "root")
	folder := t.TempDir()
	data, _ := os.ReadFile(file)
	writeFile(t, filepath.Join(folder, nameHash(name)+".0"), data)
	store := newStore(t, "", folder)
	if len(store.bySubject(name)) != 1 {
		t.Error("the folder's file is refused")
	}
	for range 2 {
		if _, err := NewCAStore(file, ""); err != errBadEndLine {
			t.Error(err)
		}
	}
	runtime.KeepAlive(store)
}

func TestUnusedCAFilesAreFreed(t *testing.T) {
	s := loadVerifySuite(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, file, append(s.pem(t, "root"), t.Name()...))
	eventually(t, "something is left from the start", func() bool { return pemFiles.len() == 0 })
	for range 3 { // reloads
		store := newStore(t, file, hashedFolder(t, s, ".0", "other root"))
		store.bySubject(subjectOf(t, s, "other root"))
		if n := pemFiles.len(); n != 2 {
			t.Error(n, " files")
		}
	}
	eventually(t, "files are left", func() bool { return pemFiles.len() == 0 })
}

// A peer names an issuer whose hash is that of another's file, again and again.
func TestCAStoreKeepsAFileOnce(t *testing.T) {
	s := loadVerifySuite(t)
	folder := t.TempDir()
	writeFile(t, filepath.Join(folder, nameHash("wanted")+".0"), s.pem(t, "root"))
	store := newStore(t, "", folder)
	for range 10 {
		if store.bySubject("wanted") != nil {
			t.Fatal("found")
		}
	}
	if n := len(store.read); n != 1 {
		t.Error(n, " files kept")
	}
}

func TestStoresShareWhileWorkersVerify(t *testing.T) {
	s := loadVerifySuite(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, file, s.pem(t, "root"))
	folder := hashedFolder(t, s, ".0", "other root")
	chain := s.chain(t, []string{"root"})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				store := newStore(t, file, folder)
				if r := Verify(chain, VerifyOptions{CAs: store, Depth: 9, Now: time.Now()}); r.Text == "" && !r.OK {
					t.Errorf("%+v", r)
				}
				store.bySubject(subjectOf(t, s, "other root"))
			}
		})
	}
	all.Wait()
}

func pairContext(pair KeyPair, change func(*Config)) (*Context, error) {
	cfg := Config{Mode: "server", Protocol: "any", Certificates: []KeyPair{pair}}
	if change != nil {
		change(&cfg)
	}
	c, _, err := NewContext(cfg)
	return c, err
}

// One host's certificate is sent alone, the other's with the issuers in its store.
func TestSharedCertificateKeepsItsOwnChain(t *testing.T) {
	issuedFiles(t)
	pair := KeyPair{Certificate: "leaf.crt", Key: "leaf.key"}
	var all []*Context // the pair stays in use
	for _, test := range []struct{ cafile, sent string }{{"", "leaf"}, {"both.crt", "leaf middle root"}, {"", "leaf"}} {
		c, err := pairContext(pair, func(cfg *Config) { cfg.CAFile = test.cafile })
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, c); names(t, c.certificates[0].Certificate) != test.sent {
			t.Errorf("sends %q, not %q", names(t, c.certificates[0].Certificate), test.sent)
		}
	}
	runtime.KeepAlive(all)
}

func TestEqualKeyPairsAreShared(t *testing.T) {
	pair := KeyPair{Certificate: keys + "rsa.crt", Key: keys + "rsa.key"}
	a, _ := pairContext(pair, nil)
	b, _ := pairContext(pair, nil)
	if a.certificates[0].PrivateKey != b.certificates[0].PrivateKey {
		t.Error("the key is parsed twice")
	}
	eventually(t, "pairs are left", func() bool { return keyPairs.len() <= 1 })
	runtime.KeepAlive(a)
	runtime.KeepAlive(b)
}

// A key in use must not open to who has not its password, nor a certificate to
// who has not its key.
func TestSharedKeyPairNeedsAllOfIt(t *testing.T) {
	good := KeyPair{Certificate: keys + "p256.crt", Key: keys + "p256-pkcs8-aes256.key", Password: password("secret")}
	used, err := pairContext(good, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []func() ([]byte, bool){nil, password("wrong"), password("")} {
		bad := good
		bad.Password = wrong
		if _, err := pairContext(bad, nil); err == nil {
			t.Error("no error without the password")
		}
	}
	empty := filepath.Join(t.TempDir(), "empty")
	writeFile(t, empty, nil)
	alone, err := pairContext(KeyPair{Certificate: good.Certificate}, nil)
	if err != nil || alone.HasCertificate() {
		t.Fatal("a certificate alone: ", err)
	}
	// This is in use while others name an empty key.
	pair, err := loadKeyPair(KeyPair{Certificate: good.Certificate}, &notices{})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []KeyPair{
		{Certificate: good.Certificate, Key: empty},
		{Certificate: good.Certificate, Key: keys + "p384.key"},
		{Certificate: empty, Key: keys + "p256.key"},
		{Certificate: "/no/such/file", Key: keys + "p256.key"},
	} {
		if _, err := pairContext(bad, nil); err == nil {
			t.Errorf("no error for %+v", bad)
		}
	}
	runtime.KeepAlive(used)
	runtime.KeepAlive(pair)
}
