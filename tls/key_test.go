package tls

import (
	"crypto"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const keys = "testdata/keys/"

func password(s string) func() ([]byte, bool) {
	return func() ([]byte, bool) { return []byte(s), true }
}

// unusableKeys are the files of testdata/keys that LuaSec loads and we do not.
var unusableKeys = map[string]string{
	"ed448":                          "unsupported key type: Ed448",
	"rsapss":                         "unsupported key type: RSA-PSS",
	"dsa":                            "unsupported key type: DSA",
	"dsa-traditional":                "unsupported key type: DSA PRIVATE KEY",
	"x25519":                         "unsupported key type: ecdh.PrivateKey",
	"p224":                           "unsupported key type: ECDSA on P-224",
	"secp256k1":                      "unknown elliptic curve",
	"p256-sec1-camellia256":          "unknown encryption mode",
	"p256-sec1-aria256":              "unknown encryption mode",
	"p256-pkcs8-v2-camellia-256-cbc": "unsupported cipher (OID: 1.2.392.200011.61.1.1.1.4)",
	"p256-pkcs8-v2-aria-256-cbc":     "unsupported cipher (OID: 1.2.410.200046.1.1.12)",
}

func loadKey(file string, password func() ([]byte, bool)) (crypto.Signer, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	return wrappedKey(data, password)
}

// The files are what openssl writes; see testdata/record-keys.
func TestKeyForms(t *testing.T) {
	files, err := filepath.Glob(keys + "*.key")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d keys, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".key")
		t.Run(name, func(t *testing.T) {
			key, err := loadKey(file, password("secret"))
			if why, ok := unusableKeys[name]; ok {
				if err == nil || err.Error() != "error loading private key ("+why+")" {
					t.Errorf("error %v, want %s", err, why)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			kind, _, _ := strings.Cut(name, "-")
			if !matches(key, certificateOf(t, kind).PublicKey) {
				t.Error("not the key of the certificate")
			}
		})
	}
}

func certificateOf(t *testing.T, kind string) *x509.Certificate {
	data, err := os.ReadFile(keys + kind + ".crt")
	if err != nil {
		t.Fatal(err)
	}
	chain, err := parseChain(data)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func TestPasswords(t *testing.T) {
	none := func() ([]byte, bool) { return nil, false }
	for _, test := range []struct {
		file     string
		password func() ([]byte, bool)
		want     string
	}{
		{"p256-sec1-aes256", password("wrong"), "bad decrypt"},
		{"p256-sec1-aes256", password(""), "bad decrypt"},
		{"p256-sec1-aes256", password(strings.Repeat("x", 5000)), "bad decrypt"},
		{"p256-sec1-aes256", none, "bad password read"},
		{"p256-sec1-aes256", nil, "bad password read"},
		{"p256-pkcs8-aes256", password("wrong"), "bad decrypt"},
		{"p256-pkcs8-aes256", password(""), "bad decrypt"},
		{"p256-pkcs8-aes256", none, "bad password read"},
		{"p256-pkcs8-aes256", nil, "bad password read"},
		{"p256-pkcs8-scrypt", password("wrong"), "bad decrypt"},
		{"p256-pkcs8-v1-3des", password("wrong"), "bad decrypt"},
		{"p256-pkcs8-v1-3des", password(""), "bad decrypt"},
	} {
		_, err := loadKey(keys+test.file+".key", test.password)
		if err == nil || err.Error() != "error loading private key ("+test.want+")" {
			t.Errorf("%s: %v, want %s", test.file, err, test.want)
		}
	}
}

// A wrong password looks right once in 256 times, until one parses what came out.
func TestManyWrongPasswords(t *testing.T) {
	for _, file := range []string{"p256-sec1-aes256", "p256-pkcs8-v1-3des"} {
		data, err := os.ReadFile(keys + file + ".key")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 600 {
			if _, err := parseKey(data, password(string(rune('a'+i)))); err != errBadDecrypt {
				t.Fatalf("%s: %v", file, err)
			}
		}
	}
}

// The password is asked for once, and only if there is something to decrypt.
func TestPasswordIsNotAskedForInVain(t *testing.T) {
	asked := 0
	ask := func() ([]byte, bool) { asked++; return []byte("secret"), true }
	for file, want := range map[string]int{"p256": 0, "p256-after-certificate": 0, "p256-pkcs8-aes256": 1, "p256-sec1-aes128": 1} {
		asked = 0
		if _, err := loadKey(keys+file+".key", ask); err != nil || asked != want {
			t.Errorf("%s: asked %d times, want %d (%v)", file, asked, want, err)
		}
	}
}

func TestWrapSigner(t *testing.T) {
	old := WrapSigner
	defer func() { WrapSigner = old }()
	wrapped := 0
	WrapSigner = func(s crypto.Signer) crypto.Signer { wrapped++; return s }
	if _, err := loadKey(keys+"rsa.key", nil); err != nil || wrapped != 1 {
		t.Errorf("wrapped %d times, %v", wrapped, err)
	}
}

func TestReason(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"testdata/no-such-file", "No such file or directory"},
		{"testdata", "is a directory"},
	} {
		if _, err := readFile(test.file); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.file, err, test.want)
		}
	}
}

// FuzzPEM has the property that a file is either refused or of use.
func FuzzPEM(f *testing.F) {
	files, err := filepath.Glob(keys + "*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	old := maxIterations
	maxIterations = 10_000
	f.Cleanup(func() { maxIterations = old })
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := parseKey(data, password("secret")); err == nil && key.Public() == nil {
			t.Error("a key without a public key")
		}
		if chain, err := parseChain(data); err == nil && len(chain[0]) == 0 {
			t.Error("an empty certificate")
		}
	})
}
