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
