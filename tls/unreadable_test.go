package tls

import (
	"crypto"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// chainWith writes a certificate that crypto/x509 parses and, behind it, one of
// testdata/odd, which no verification needs.
func chainWith(t *testing.T, name string) (crt, key string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "chain")
	var chain []byte
	for _, part := range []string{keys + "p256.crt", odd + name + ".crt"} {
		data, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, data...)
	}
	writeFile(t, file, chain)
	return file, keys + "p256.key"
}

// A peer whose chain crypto/tls cannot parse is told apart from one that is not
// trusted, on both sides, whether the leaf or an unneeded root is broken.
func TestUnreadablePeerReasons(t *testing.T) {
	plain := sessionContext(t, "client", nil)
	good := sessionContext(t, "server", func(c *Config) {
		c.Verify, c.VerifyExt = []string{"peer"}, []string{"lsec_continue", "lsec_ignore_purpose"}
	}, "p256")
	for name, why := range oddWarnings {
		if why == "" {
			continue
		}
		want := "certificate of the peer cannot be read: " + why
		crt, key := chainWith(t, name)
		for _, pair := range []KeyPair{
			{Certificate: odd + name + ".crt", Key: odd + name + ".key"},
			{Certificate: crt, Key: key},
		} {
			present := func(c *Config) { c.Certificates = []KeyPair{pair} }
			s, c := newEndpoint(sessionContext(t, "server", present), Options{}), newEndpoint(plain, Options{})
			shake(t, s, c, 0, nil)
			if c.Err() == nil || c.Reason(c.Err()) != want {
				t.Errorf("a client meets %s: %v, not %s", name, c.Err(), want)
			}
			s, c = newEndpoint(good, Options{}), newEndpoint(sessionContext(t, "client", present), Options{})
			shake(t, s, c, 0, nil)
			if s.Err() == nil || s.Reason(s.Err()) != want {
				t.Errorf("a server meets %s: %v, not %s", name, s.Err(), want)
			}
		}
	}
}

// A negative serial number is read (go.mod has x509negativeserial=1), and what
// is signed by nobody we know stays untrusted.
func TestNegativeSerialConnectsUntrusted(t *testing.T) {
	crt, key := chainWith(t, "negative")
	client := sessionContext(t, "client", func(c *Config) {
		c.Verify, c.VerifyExt = []string{"peer"}, []string{"lsec_continue"}
	})
	for _, pair := range []KeyPair{
		{Certificate: odd + "negative.crt", Key: odd + "negative.key"},
		{Certificate: crt, Key: key},
	} {
		server := sessionContext(t, "server", func(c *Config) { c.Certificates = []KeyPair{pair} })
		_, c := connected(t, server, client)
		if v := c.Verification(); v.OK || v.Text != string(errSelfSigned) {
			t.Errorf("%+v", v)
		}
	}
}

// The texts are constants of ours: short, few, and nothing that a peer wrote.
func TestUnreadableReasonsAreOurs(t *testing.T) {
	for text, want := range map[string]string{
		`x509: cannot parse URI "negative serial number` + strings.Repeat("x", 60_000) + `": bad`: "malformed URI in subjectAltName",
		strings.Repeat("y", 60_000): "malformed",
	} {
		if got := unreadable(text); got != "certificate of the peer cannot be read: "+want {
			t.Errorf("%.200s, not %s", got, want)
		}
	}
	var all []string
	for _, w := range unreadableWords {
		all = append(all, w.reason)
		if reason := unreadable(w.part); len(reason) > 100 {
			t.Errorf("%d bytes: %s", len(reason), reason)
		}
	}
	slices.Sort(all)
	if n := len(slices.Compact(all)); n > 24 {
		t.Errorf("%d different reasons", n)
	}
}

// The outline reader takes anything; what crypto/x509 reads too, it reads alike.
func FuzzOutline(f *testing.F) {
	for _, file := range []string{odd + "utf8-dns", odd + "explicit", odd + "compressed", keys + "p256", keys + "rsa", keys + "ed25519"} {
		data, err := os.ReadFile(file + ".crt")
		if err != nil {
			f.Fatal(err)
		}
		chain, err := parseChain(data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(chain[0])
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		outline := readOutline(der)
		whole, err := x509.ParseCertificate(der)
		if err != nil || outline == nil || outline.PublicKey == nil {
			return
		}
		key, ok := outline.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !key.Equal(whole.PublicKey) {
			t.Fatal("another key")
		}
		if string(outline.RawIssuer) != string(whole.RawIssuer) || string(outline.RawSubject) != string(whole.RawSubject) {
			t.Fatal("other names")
		}
	})
}
