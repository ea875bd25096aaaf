package tls

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// verifySuite is what testdata/pki wrote: certificates, cases, and the answers
// of LuaSec 1.2.0 with OpenSSL 3.0.
type verifySuite struct {
	Now   time.Time
	Certs map[string][]byte
	CRLs  map[string][]byte
	Cases []verifyCase
}

type verifyCase struct {
	Name      string
	Chain     []string
	CAFile    []string
	CAPath    map[string]string
	Depth     *int
	VerifyExt []string
	DANE      *DANE
	Answers   map[string]verifyAnswer
}

type verifyAnswer struct {
	OK        bool
	Errors    map[int][]string
	Text      string
	Handshake string
}

func loadVerifySuite(t testing.TB) *verifySuite {
	data, err := os.ReadFile(cmp.Or(os.Getenv("VERIFY_SUITE"), "testdata/verify.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s verifySuite
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func (s *verifySuite) pem(t testing.TB, name string) []byte {
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certs[name]}
	if der, ok := s.CRLs[name]; ok {
		block = &pem.Block{Type: "X509 CRL", Bytes: der}
	}
	if block.Bytes == nil {
		t.Fatal("no certificate ", name)
	}
	return pem.EncodeToMemory(block)
}

func (s *verifySuite) chain(t testing.TB, names []string) []*x509.Certificate {
	var chain []*x509.Certificate
	for _, name := range names {
		x, err := x509.ParseCertificate(s.Certs[name])
		if err != nil {
			t.Fatal(name, ": ", err)
		}
		chain = append(chain, x)
	}
	return chain
}

// options are a case's, but for what differs from way to way.
func (s *verifySuite) options(t testing.TB, c verifyCase) VerifyOptions {
	dir := t.TempDir()
	file, path := "", ""
	if c.CAFile != nil {
		file = filepath.Join(dir, "ca.pem")
		var all []byte
		for _, name := range c.CAFile {
			all = append(all, s.pem(t, name)...)
		}
		writeFile(t, file, all)
	}
	if c.CAPath != nil {
		path = dir
		for base, name := range c.CAPath {
			writeFile(t, filepath.Join(dir, base), s.pem(t, name))
		}
	}
	cas, err := NewCAStore(file, path)
	if err != nil {
		t.Fatal(err)
	}
	o := VerifyOptions{CAs: cas, Depth: -1, Now: s.Now, DANE: c.DANE}
	if c.Depth != nil {
		o.Depth = *c.Depth
	}
	o.CRLLeaf = slices.Contains(c.VerifyExt, "crl_check")
	o.CRLChain = slices.Contains(c.VerifyExt, "crl_check_chain")
	return o
}

func writeFile(t testing.TB, name string, data []byte) {
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// knownDifferences are the cases in which we refuse what LuaSec does not, or with
// another text; docs/differences.md has them in the same order.
var knownDifferences = []struct {
	cases *regexp.Regexp
	text  string
}{
	// crypto/x509 compares names byte by byte.
	{regexp.MustCompile(`^of spelling `), string(errStandardNoChain)},
	// crypto/x509 wants basic constraints of any CA of version 3.
	{regexp.MustCompile(`^root: usage root$`), string(errStandardNoChain)},
	// A Netscape certificate type makes no CA.
	{regexp.MustCompile(`^root: (netscape|mail CA) root$`), string(errInvalidCA)},
	{regexp.MustCompile(`^root not trusted: (netscape|mail CA) root$`), string(errSelfSignedInChain)},
	// A proxy certificate is one with an extension that nobody handles.
	{regexp.MustCompile(`^(right )?proxy$`), string(errCritical)},
}

func knownDifference(name string) (text string, known bool) {
	for _, d := range knownDifferences {
		if d.cases.MatchString(name) {
			return d.text, true
		}
	}
	return "", false
}

func TestVerifyAnswersAsLuaSec(t *testing.T) {
	s := loadVerifySuite(t)
	compared, differ := 0, 0
	for _, c := range s.Cases {
		o := s.options(t, c)
		chain := s.chain(t, c.Chain)
		for _, way := range slices.Sorted(maps.Keys(c.Answers)) {
			want := c.Answers[way]
			if strings.Contains(want.Handshake, "alert") {
				continue // the handshake did not come to the chain
			}
			o.Server = strings.HasPrefix(way, "server")
			o.Continue = strings.Contains(way, "continue")
			o.IgnorePurpose = strings.Contains(way, "ignore_purpose")
			got := Verify(chain, o)
			compared++
			problem := want.differs(got)
			if text, known := knownDifference(c.Name); known && problem != "" && !got.OK && got.Text == text {
				differ++
				continue
			}
			if problem != "" {
				t.Errorf("%s, %s: %s\nLuaSec: %+v\nhere:   %+v", c.Name, way, problem, want, got)
			}
		}
	}
	t.Logf("%d answers compared, %d known to differ", compared, differ)
}

func (want verifyAnswer) differs(got Result) string {
	switch {
	case want.OK != got.OK:
		return "OK"
	case want.Errors != nil && !reflect.DeepEqual(want.Errors, got.Errors):
		return "errors"
	case want.Text != "" && want.Text != got.Text:
		return "text"
	case want.OK && (got.Errors != nil || got.Text != ""):
		return "OK with errors"
	case !want.OK && (len(got.Errors) == 0 || got.Text == ""):
		return "failure without errors"
	}
	return ""
}

func TestVerifyWithoutLsecFlagsHasOneError(t *testing.T) {
	s := loadVerifySuite(t)
	got := Verify(s.chain(t, []string{"other"}), VerifyOptions{Depth: 9, Now: s.Now})
	want := Result{Errors: map[int][]string{0: {"unable to get local issuer certificate"}}, Text: "unable to get local issuer certificate"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestVerifyNoCertificateIsNoError(t *testing.T) {
	if got := Verify(nil, VerifyOptions{Server: true}); !got.OK || got.Errors != nil {
		t.Errorf("%+v", got)
	}
}

func TestVerifySecurityLevel(t *testing.T) {
	s := loadVerifySuite(t)
	o := s.options(t, verifyCase{CAFile: []string{"root"}})
	for _, c := range []struct {
		leaf  string
		level int
		text  string
	}{
		{"rsa1024", 0, "EE certificate key too weak"},
		{"rsa1024", 2, "EE certificate key too weak"},
		{"rsa1024", 1, ""},
		{"rsa1024", -1, ""},
		{"sha1", 1, "CA signature digest algorithm too weak"},
		{"sha1", -1, string(errStandardNoChain)}, // crypto/x509 takes no SHA-1
		{"good", 2, ""},
		{"good", 3, "EE certificate key too weak"},
		{"p384", 3, "CA certificate key too weak"},
	} {
		o.SecurityLevel = c.level
		if got := Verify(s.chain(t, []string{c.leaf, "int"}), o); got.Text != c.text {
			t.Errorf("%s at level %d: %q, not %q", c.leaf, c.level, got.Text, c.text)
		}
	}
}

// A store is shared by all connections of a context.
func TestVerifyIsSafeForConcurrentUse(t *testing.T) {
	s := loadVerifySuite(t)
	o := s.options(t, verifyCase{CAFile: []string{"root"}})
	o.Continue = true
	chain := s.chain(t, []string{"good", "int"})
	done := make(chan bool)
	for range 8 {
		go func() {
			for range 20 {
				if got := Verify(chain, o); !got.OK {
					t.Errorf("%+v", got)
				}
			}
			done <- true
		}()
	}
	for range 8 {
		<-done
	}
}
