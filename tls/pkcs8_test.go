package tls

import (
	"encoding/asn1"
	"encoding/hex"
	"math"
	"os"
	"testing"
)

// readEncrypted opens an encrypted key up, to be spoiled.
func readEncrypted(t *testing.T, name string) encryptedKey {
	data, err := os.ReadFile(keys + name + ".key")
	if err != nil {
		t.Fatal(err)
	}
	block, _, err := nextPEM(data)
	if err != nil {
		t.Fatal(err)
	}
	var info encryptedKey
	if _, err := asn1.Unmarshal(block.Bytes, &info); err != nil {
		t.Fatal(err)
	}
	return info
}

func TestSpoiledPKCS8(t *testing.T) {
	for _, test := range []struct {
		file  string
		spoil func(*encryptedKey)
		want  string
	}{
		{"p256-pkcs8-aes256", func(*encryptedKey) {}, ""},
		{"p256-pkcs8-aes256", func(e *encryptedKey) { e.Data = e.Data[1:] }, "invalid parameters of the encryption"},
		{"p256-pkcs8-aes256", func(e *encryptedKey) { e.Data = nil }, "bad decrypt"},
		{"p256-pkcs8-aes256", func(e *encryptedKey) { e.Algorithm.Parameters.FullBytes = asn1.NullBytes }, "pkcs8: invalid PBES2 parameters"},
		{"p256-pkcs8-aes256", func(e *encryptedKey) { e.Algorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 3} },
			"unsupported encryption 1.2.840.113549.1.5.3"}, // MD5 and DES, from OpenSSL 0.9.8's time
		{"p256-pkcs8-v1-3des", func(*encryptedKey) {}, ""},
		{"p256-pkcs8-v1-3des", func(e *encryptedKey) { e.Data = e.Data[1:] }, "bad decrypt"},
		{"p256-pkcs8-v1-3des", func(e *encryptedKey) { e.Data = nil }, "bad decrypt"},
		{"p256-pkcs8-v1-3des", func(e *encryptedKey) { e.Algorithm.Parameters.FullBytes = asn1.NullBytes }, "invalid parameters of the encryption"},
	} {
		info := readEncrypted(t, test.file)
		test.spoil(&info)
		der, err := asn1.Marshal(info)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := decryptPKCS8(der, []byte("secret")); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.file, got, test.want)
		}
	}
}

// A key file does not get hours of work or gigabytes.
func TestCostlyDerivations(t *testing.T) {
	for i, params := range []interface {
		DeriveKey([]byte, int) ([]byte, error)
	}{
		pbkdf2Params{Iterations: 0},
		pbkdf2Params{Iterations: -1},
		pbkdf2Params{Iterations: math.MaxInt},
		scryptParams{N: math.MaxInt, R: 8, P: 1},
		scryptParams{N: 1 << 14, R: math.MaxInt, P: 1},
		scryptParams{N: 1 << 14, R: 8, P: math.MaxInt},
		scryptParams{N: 0, R: 0, P: 0},
		scryptParams{N: -1, R: -1, P: -1},
	} {
		if _, err := params.DeriveKey([]byte("secret"), 32); err != errBadParams {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// The answer is that of openssl kdf -keylen 24 -kdfopt digest:SHA1 -kdfopt id:1
// -kdfopt iter:1 -kdfopt hexpass:0073006D006500670000
// -kdfopt hexsalt:0A58CF64530D823F PKCS12KDF.
func TestPKCS12KDF(t *testing.T) {
	salt, err := hex.DecodeString("0A58CF64530D823F")
	if err != nil {
		t.Fatal(err)
	}
	got := hex.EncodeToString(pkcs12KDF([]byte("smeg"), salt, 1, 1, 24))
	if want := "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
