package openssl

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
)

var digest = sha256.Sum256([]byte("message"))

func newRSAKey(t testing.TB) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newECDSAKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// needLibrary fails where the tests are meant to run: on a machine with
// OpenSSL.
func needLibrary(t testing.TB) {
	if !available() {
		t.Fatalf("none of %v can be loaded", libraries)
	}
}

func TestRSASignaturesVerify(t *testing.T) {
	needLibrary(t)
	key := newRSAKey(t)
	s, ok := Signer(key).(*rsaSigner)
	if !ok {
		t.Fatal("Go signs")
	}
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	signature, err := s.Sign(rand.Reader, digest[:], pss)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, digest[:], signature, pss); err != nil {
		t.Error("PSS:", err)
	}
	signature, err = s.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		t.Error("PKCS #1:", err)
	}
}

func TestECDSASignatureVerifies(t *testing.T) {
	needLibrary(t)
	key := newECDSAKey(t)
	s, ok := Signer(key).(*ecdsaSigner)
	if !ok {
		t.Fatal("Go signs")
	}
	signature, err := s.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
		t.Error("wrong signature")
	}
}

func benchmarkSign(b *testing.B, s crypto.Signer, opts crypto.SignerOpts) {
	for b.Loop() {
		if _, err := s.Sign(rand.Reader, digest[:], opts); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	needLibrary(b)
	r, e := newRSAKey(b), newECDSAKey(b)
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	b.Run("RSA-2048/go", func(b *testing.B) { benchmarkSign(b, r, pss) })
	b.Run("RSA-2048/openssl", func(b *testing.B) { benchmarkSign(b, Signer(r), pss) })
	b.Run("ECDSA-P256/go", func(b *testing.B) { benchmarkSign(b, e, crypto.SHA256) })
	b.Run("ECDSA-P256/openssl", func(b *testing.B) { benchmarkSign(b, Signer(e), crypto.SHA256) })
}
