package tls

import (
	"crypto"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"hash"

	"github.com/youmark/pkcs8"
	"golang.org/x/crypto/scrypt"
)

// keyAlgorithms names those that crypto/x509 does not know.
var keyAlgorithms = map[string]unsupportedKey{
	"1.3.101.113":           "Ed448",
	"1.2.840.113549.1.1.10": "RSA-PSS",
	"1.2.840.10040.4.1":     "DSA",
}

// parsePKCS8 reads PrivateKeyInfo (RFC 5208).
func parsePKCS8(der []byte) (any, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		return key, nil
	}
	var info struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		PrivateKey []byte
	}
	if _, asnErr := asn1.Unmarshal(der, &info); asnErr == nil {
		if unsupported, ok := keyAlgorithms[info.Algorithm.Algorithm.String()]; ok {
			return nil, unsupported
		}
	}
	if key := explicitPKCS8(der); key != nil {
		return key, nil
	}
	return nil, err
}

var (
	oidPBES2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidSHA13DES  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}
	errBadParams = errors.New("invalid parameters of the encryption")
)

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5208).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// decryptPKCS8 reads a key that openssl pkcs8 -topk8 has encrypted.
func decryptPKCS8(der, secret []byte) (crypto.Signer, error) {
	var info encryptedKey
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	switch {
	case info.Algorithm.Algorithm.Equal(oidPBES2):
		return decryptPBES2(der, secret)
	case info.Algorithm.Algorithm.Equal(oidSHA13DES):
		return decryptPKCS12(info, secret)
	}
	return nil, errors.New("unsupported encryption " + info.Algorithm.Algorithm.String())
}

// decryptPBES2 leaves RFC 8018's PBES2 to the library.
func decryptPBES2(der, secret []byte) (key crypto.Signer, err error) {
	defer func() {
		// The library does not check lengths before it decrypts, and
		// crypto/cipher panics.
		if recover() != nil {
			key, err = nil, errBadParams
		}
	}()
	plain, err := pkcs8.ParsePKCS8PrivateKey(der, secret)
	if err != nil {
		if text := err.Error(); text == "pkcs8: incorrect password" || len(secret) == 0 {
			return nil, errBadDecrypt
		}
		return nil, err
	}
	return usableKey(plain)
}

// The library's own key derivations know two of the hashes that OpenSSL writes,
// and take any amount of work and memory that a file asks for.
func init() {
	pkcs8.RegisterKDF(oidPBKDF2, func() pkcs8.KDFParameters { return new(pbkdf2Params) })
	pkcs8.RegisterKDF(oidScrypt, func() pkcs8.KDFParameters { return new(scryptParams) })
	for _, c := range []pkcs8.Cipher{pkcs8.AES128CBC, pkcs8.AES192CBC, pkcs8.AES256CBC, pkcs8.TripleDESCBC} {
		pkcs8.RegisterCipher(c.OID(), func() pkcs8.Cipher { return curveNamer{c} })
	}
}

// curveNamer is a cipher that, after decryption, replaces the explicit parameters
// of a named curve by its name. The library passes the result to crypto/x509,
// which refuses explicit parameters.
type curveNamer struct{ pkcs8.Cipher }

func (c curveNamer) Decrypt(key, iv, data []byte) ([]byte, error) {
	plain, err := c.Cipher.Decrypt(key, iv, data)
	if explicit := explicitPKCS8(plain); err == nil && explicit != nil {
		return x509.MarshalPKCS8PrivateKey(explicit)
	}
	return plain, err
}

// maxIterations is seconds of work. OpenSSL's default is 2048 iterations.
var maxIterations = 10_000_000

// pbkdf2Params are PBKDF2-params of RFC 8018.
type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

func (p pbkdf2Params) DeriveKey(password []byte, size int) ([]byte, error) {
	prf, ok := prfs[p.PRF.Algorithm.String()]
	if !ok {
		return nil, errors.New("unsupported hash " + p.PRF.Algorithm.String())
	}
	if p.Iterations < 1 || p.Iterations > maxIterations {
		return nil, errBadParams
	}
	return pbkdf2.Key(prf, string(password), p.Salt, p.Iterations, size)
}

// prfs are those of openssl pkcs8 -v2prf that the standard library has.
var prfs = map[string]func() hash.Hash{
	"":                    sha1.New, // the default, left out
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.8":  sha256.New224,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
	"1.2.840.113549.2.12": sha512.New512_224,
	"1.2.840.113549.2.13": sha512.New512_256,
}

// scryptParams are scrypt-params of RFC 7914.
type scryptParams struct {
	Salt      []byte
	N, R, P   int
	KeyLength int `asn1:"optional"`
}

func (p scryptParams) DeriveKey(password []byte, size int) ([]byte, error) {
	const most = 32 << 20 / 128 // OpenSSL's SCRYPT_MAX_MEM
	if p.N < 2 || p.N > most || p.R < 1 || p.R > most/p.N || p.P < 1 || p.P > 16 {
		return nil, errBadParams
	}
	return scrypt.Key(password, p.Salt, p.N, p.R, p.P, size)
}

// decryptPKCS12 reads what openssl pkcs8 -v1 PBE-SHA1-3DES writes.
func decryptPKCS12(info encryptedKey, secret []byte) (crypto.Signer, error) {
	var params struct {
		Salt       []byte
		Iterations int
	}
	_, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &params)
	if err != nil || params.Iterations < 1 || params.Iterations > maxIterations {
		return nil, errBadParams
	}
	if len(info.Data) == 0 || len(info.Data)%des.BlockSize != 0 {
		return nil, errBadDecrypt
	}
	block, err := des.NewTripleDESCipher(pkcs12KDF(secret, params.Salt, params.Iterations, 1, 24))
	if err != nil {
		return nil, err
	}
	iv := pkcs12KDF(secret, params.Salt, params.Iterations, 2, des.BlockSize)
	plain := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, info.Data)
	key, err := parsePKCS8(plain) // the padding comes after the key and is passed over
	if err != nil && !errors.As(err, new(unsupportedKey)) {
		return nil, errBadDecrypt
	}
	if err != nil {
		return nil, err
	}
	return usableKey(key)
}
