package tls

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// A leaf that is its own root in the CA file leaves no certificate from the
// peer. OpenSSL 3.0 then takes the one at depth -1 for what a bare key of a
// "2 1 0" record may have signed, and with it crashes any Prosody that meets
// such records.
func TestDANEBareKeyAndNothingFromThePeer(t *testing.T) {
	s := loadVerifySuite(t)
	o := s.options(t, verifyCase{CAFile: []string{"alone"}})
	o.Continue = true
	other := s.chain(t, []string{"good"})[0]
	sum := sha256.Sum256(other.Raw)
	o.DANE = &DANE{Name: "host.example.org", Records: []TLSA{
		{usageDANETA, selectKey, matchFull, other.RawSubjectPublicKeyInfo},
		{usagePKIXTA, selectCert, matchSHA256, sum[:]},
	}}
	got := Verify(s.chain(t, []string{"alone"}), o)
	want := map[int][]string{0: {"no matching DANE TLSA records", "self-signed certificate"}}
	if !reflect.DeepEqual(got.Errors, want) {
		t.Errorf("%+v", got)
	}
}

// As X509_check_host, on which the table was checked, and 38,000 random pairs.
func TestHostMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"host.example.org", "host.example.org", true},
		{"host.example.org", "HOST.Example.ORG", true},
		{"host.example.org", "host.example.com", false},
		{"*.example.org", "a.example.org", true},
		{"*.example.org", "xn--a.example.org", true},
		{"*.example.org", "a.b.example.org", false},
		{"*.example.org", "example.org", false},
		{"*.example.org", ".example.org", true}, // asks for any subdomain
		{"*.example.org", "a_b.example.org", false},
		{"*.org", "example.org", false},
		{"*.*.org", "a.b.org", false},
		{"a*.example.org", "ab.example.org", true},
		{"a*.example.org", "a.example.org", true},
		{"a*.example.org", "b.example.org", false},
		{"*a.example.org", "ba.example.org", true},
		{"a*a.example.org", "aba.example.org", false},
		{"a-*.example.org", "a-b.example.org", false},
		{"*-a.example.org", "b-a.example.org", true},
		{"xn--*.example.org", "xn--a.example.org", false},
		{"x*.example.org", "xn--a.example.org", false},
		{"a.*.example.org", "a.b.example.org", false},
		{"*.example.org.", "a.example.org.", false},
		{"host.example.org\x00", "host.example.org", false},
		{"", "host.example.org", false},
		{"a.example.org", ".example.org", true},
		{"example.org", ".example.org", false},
	} {
		if got := hostMatches(c.pattern, c.host); got != c.want {
			t.Errorf("%q for %q: %v", c.pattern, c.host, got)
		}
	}
}

// certificateAndKey reads the certificate of a file in testdata/keys, and its public key,
// as DER. crypto/x509 need not be able to.
func certificateAndKey(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	chain, err := os.ReadFile(keys + name + ".crt")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(chain)
	return block.Bytes, readOutline(block.Bytes).RawSubjectPublicKeyInfo
}

// A record that Go cannot read still says that nothing but what it names is to be
// trusted, and so does one beyond those that are looked at. OpenSSL uses them, too.
func TestDANERecordThatGoCannotRead(t *testing.T) {
	s := loadVerifySuite(t)
	o := s.options(t, verifyCase{CAFile: []string{"root"}})
	chain := s.chain(t, []string{"good", "int"})
	if got := Verify(chain, o); !got.OK {
		t.Fatal(got)
	}
	tests := map[string][]TLSA{
		"too many": append(make([]TLSA, maxRecords), TLSA{usageDANEEE, selectKey, matchSHA256, make([]byte, 32)}),
	}
	for _, name := range []string{"ed448", "secp256k1", "p256"} {
		certificate, key := certificateAndKey(t, name)
		for usage := range uint8(usageDANEEE + 1) {
			tests[fmt.Sprint(name, " certificate ", usage)] = []TLSA{{usage, selectCert, matchFull, certificate}}
			tests[fmt.Sprint(name, " key ", usage)] = []TLSA{{usage, selectKey, matchFull, key}}
		}
	}
	for name, records := range tests {
		o.DANE = &DANE{Records: records}
		if got := Verify(chain, o); got.OK || !strings.Contains(fmt.Sprint(got.Errors), string(errDANE)) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, data := range []string{"", "x", "\x30", "\x30\x00", "\x30\x03\x02\x01\x01"} {
		o.DANE = &DANE{Records: []TLSA{{usageDANEEE, selectCert, matchFull, []byte(data)}, {usageDANEEE, selectKey, matchFull, []byte(data)}}}
		if got := Verify(chain, o); !got.OK {
			t.Errorf("%q is a record: %+v", data, got)
		}
	}
}
