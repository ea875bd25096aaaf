package tls

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
)

// recordedCiphers calls f for each line of testdata/ciphers.txt, which
// testdata/record-ciphers wrote with OpenSSL 3.0.
func recordedCiphers(t testing.TB, f func(list string, suites []string)) {
	file, err := os.Open("testdata/ciphers.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		list, suites, ok := strings.Cut(lines.Text(), " = ")
		if !ok {
			t.Fatalf("bad line %q", lines.Text())
		}
		f(list, strings.FieldsFunc(suites, func(r rune) bool { return r == ':' }))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func suiteByName(name string) *suite {
	for i := range suites12 {
		if suites12[i].name == name {
			return &suites12[i]
		}
	}
	return nil
}

// expand is parseCiphers with names, what crypto/tls lacks in its place.
func expand(list string) ([]string, error) {
	c, err := parseCiphers(list)
	var names []string
	for _, id := range c.suites {
		names = append(names, suiteByID(id).name)
	}
	return names, err
}

// TestCiphersAgainstOpenSSL has one exception: OpenSSL takes CBC with SHA-256
// for HIGH, ALL and the like, parseCiphers only where it is named.
func TestCiphersAgainstOpenSSL(t *testing.T) {
	count := 0
	recordedCiphers(t, func(list string, recorded []string) {
		count++
		got, err := expand(list)
		want := slices.DeleteFunc(slices.Clone(recorded), func(name string) bool {
			s := suiteByName(name)
			if s == nil {
				t.Fatalf("%s: suite %s is not in the table", list, name)
			}
			return !inGo[s.id] || s.weakness() != "" && !slices.Contains(got, name)
		})
		got = slices.DeleteFunc(got, func(name string) bool {
			enc := suiteByName(name).enc // Debian has neither
			return enc == "3DES(168)" || enc == "RC4(128)"
		})
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", list, got, want)
		}
		if len(recorded) > 0 && err != nil {
			t.Errorf("%s: OpenSSL accepts it, but: %v", list, err)
		}
	})
	if count < 100 {
		t.Errorf("only %d strings were recorded", count)
	}
}

// TestEverySuiteAgainstOpenSSL compares whole lists, with the suites that
// crypto/tls lacks, for what is missing is told to the admin.
func TestEverySuiteAgainstOpenSSL(t *testing.T) {
	recordedCiphers(t, func(list string, recorded []string) {
		if len(recorded) == 0 {
			return
		}
		c, err := parseCiphers(list)
		if err != nil {
			t.Errorf("%s: %v", list, err)
		}
		got := slices.DeleteFunc(c.missing, func(name string) bool {
			kx := suiteByName(name).kx // without a callback for PSK or SRP, OpenSSL drops them
			return strings.HasSuffix(kx, "PSK") || kx == "SRP"
		})
		want := slices.DeleteFunc(recorded, func(name string) bool { return inGo[suiteByName(name).id] })
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", list, got, want)
		}
	})
}

func TestCipherErrors(t *testing.T) {
	// The texts are those of LuaSec 1.2.0 over OpenSSL 3.0.
	for list, want := range map[string]error{
		"":                       errNoCipherMatch,
		"FOO":                    errNoCipherMatch,
		"!ALL":                   errNoCipherMatch,
		"HIGH:!ALL":              errNoCipherMatch,
		"@STRENGTH":              errNoCipherMatch,
		"HIGH:@FOO":              errInvalidCommand,
		"HIGH:@SECLEVEL=9":       errInvalidCommand,
		"HIGH:@SECLEVEL":         errInvalidCommand,
		"HIGH:*":                 errInvalidCommand,
		"*":                      errInvalidCommand,
		"HIGH:%":                 errInvalidCommand,
		"TLS_AES_128_GCM_SHA256": errNoCipherMatch,
		"high":                   errNoCipherMatch,
		"!AES:DEFAULT":           errNoCipherMatch,
		"GOST":                   errNoCipherMatch,
		"HIGH:!":                 errInvalidCommand,
		"HIGH:+":                 errInvalidCommand,
		"HIGH+":                  errInvalidCommand,
		"+HIGH":                  errNoCipherMatch,
		"-HIGH":                  errNoCipherMatch,
		"HIGH+FOO":               errNoCipherMatch,
		"FOO+HIGH":               errNoCipherMatch,
		"AES128+AES256":          errNoCipherMatch,
		"EXPORT":                 errNoCipherMatch,
		"LOW":                    errNoCipherMatch,
		"HIGH:@SECLEVEL=22":      errInvalidCommand,
		"ECDHE_RSA_AES":          errInvalidCommand,
		"HIGH":                   nil,
		"DHE":                    nil,
		"HIGH;AES":               nil,
		"HIGH:=":                 nil,
		"::HIGH":                 nil,
		"HIGH@SECLEVEL=1":        nil,
		"DEFAULTX":               nil,
		"DEFAULT!AES":            nil,
		"SUITEB128":              nil,
		"eNULL":                  nil,
		"PSK":                    nil,
	} {
		if _, err := parseCiphers(list); err != want {
			t.Errorf("%q: %v, want %v", list, err, want)
		}
	}
}

// Go's release may add or drop suites: each has to have its OpenSSL name.
func TestEveryGoSuiteHasAName(t *testing.T) {
	for id := range inGo {
		if suiteByID(id) == nil {
			t.Errorf("suite %#04x is not in the table", id)
		}
	}
}

// No suite that crypto/tls calls broken comes by a general word.
func TestBrokenSuitesHaveToBeNamed(t *testing.T) {
	for _, list := range []string{"ALL", "HIGH", "MEDIUM:ALL", "DEFAULT:COMPLEMENTOFDEFAULT", "SHA:AES:RSA", "TLSv1.2"} {
		names, _ := expand(list + ":@SECLEVEL=0")
		for _, name := range names {
			if weakness := suiteByName(name).weakness(); weakness != "" {
				t.Errorf("%s contains %s", list, name)
			}
		}
	}
	for list, want := range map[string]string{
		"3DES":                           "ECDHE-RSA-DES-CBC3-SHA:DES-CBC3-SHA",
		"DES-CBC3-SHA":                   "DES-CBC3-SHA",
		"RC4:@SECLEVEL=0":                "ECDHE-ECDSA-RC4-SHA:ECDHE-RSA-RC4-SHA:RC4-SHA",
		"ECDHE+SHA256":                   "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256",
		"HIGH+RSA+SHA256:!ECDHE:!AESGCM": "AES128-SHA256",
	} {
		names, err := expand(list)
		if got := strings.Join(names, ":"); got != want || err != nil {
			t.Errorf("%s: %s, want %s (%v)", list, got, want, err)
		}
	}
}

func FuzzParseCiphers(f *testing.F) {
	recordedCiphers(f, func(list string, _ []string) { f.Add(list) })
	f.Fuzz(func(t *testing.T, list string) {
		c, err := parseCiphers(list)
		if err != nil && (len(c.suites) > 0 || len(c.missing) > 0) {
			t.Error("suites and an error")
		}
		for i, id := range c.suites {
			if !inGo[id] || suiteByID(id) == nil {
				t.Errorf("crypto/tls does not have %#04x", id)
			}
			if slices.Contains(c.suites[:i], id) {
				t.Errorf("%#04x twice", id)
			}
		}
	})
}
