// Package openssl signs with the libcrypto that LuaSec has brought into the
// process: an RSA-2048 signature takes it a quarter of the time that it takes
// crypto/rsa. Where there is no libcrypto, Go signs.
package openssl

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"io"
	"math/big"
	"sync"

	"github.com/golang-fips/openssl/v2"
	"github.com/golang-fips/openssl/v2/bbig"
)

// libraries are the names to try, as dlopen(3) takes them.
var libraries = []string{"libcrypto.so.3", "libcrypto.so.1.1"}

var available = sync.OnceValue(func() bool {
	for _, name := range libraries {
		if exists, _ := openssl.CheckVersion(name); exists {
			return openssl.Init(name) == nil
		}
	}
	return false
})

// Signer returns a signer for the private key s that uses libcrypto, or s
// itself where that is not possible.
func Signer(s crypto.Signer) crypto.Signer {
	if !available() {
		return s
	}
	switch key := s.(type) {
	case *rsa.PrivateKey:
		if fast, err := newRSA(key); err == nil {
			return &rsaSigner{key, fast}
		}
	case *ecdsa.PrivateKey:
		if fast, err := newECDSA(key); err == nil {
			return &ecdsaSigner{key, fast}
		}
	}
	return s
}

// rsaSigner signs in libcrypto; it decrypts, for old key exchanges, in Go.
type rsaSigner struct {
	*rsa.PrivateKey
	fast *openssl.PrivateKeyRSA
}

func newRSA(key *rsa.PrivateKey) (*openssl.PrivateKeyRSA, error) {
	if len(key.Primes) != 2 {
		return nil, rsa.ErrVerification // libcrypto is given two
	}
	key.Precompute()
	p := &key.Precomputed
	return openssl.NewPrivateKeyRSA(
		bbig.Enc(key.N), bbig.Enc(big.NewInt(int64(key.E))), bbig.Enc(key.D),
		bbig.Enc(key.Primes[0]), bbig.Enc(key.Primes[1]),
		bbig.Enc(p.Dp), bbig.Enc(p.Dq), bbig.Enc(p.Qinv))
}

func (s *rsaSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		signature, err = openssl.SignRSAPSS(s.fast, opts.HashFunc(), digest, pss.SaltLength)
	} else {
		signature, err = openssl.SignRSAPKCS1v15(s.fast, opts.HashFunc(), digest)
	}
	if err != nil { // a hash that this libcrypto does not allow
		return s.PrivateKey.Sign(rand, digest, opts)
	}
	return signature, nil
}

type ecdsaSigner struct {
	*ecdsa.PrivateKey
	fast *openssl.PrivateKeyECDSA
}

func newECDSA(key *ecdsa.PrivateKey) (*openssl.PrivateKeyECDSA, error) {
	secret, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	point, err := key.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		return nil, err
	}
	n := len(point) / 2
	number := func(b []byte) openssl.BigInt { return bbig.Enc(new(big.Int).SetBytes(b)) }
	return openssl.NewPrivateKeyECDSA(key.Params().Name, number(point[1:1+n]), number(point[1+n:]), number(secret))
}

func (s *ecdsaSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := openssl.SignMarshalECDSA(s.fast, digest)
	if err != nil {
		return s.PrivateKey.Sign(rand, digest, opts)
	}
	return signature, nil
}
