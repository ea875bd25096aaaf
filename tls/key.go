package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// WrapSigner is applied to every private key that is loaded; set it before the
// first. What it returns for an RSA key has to be a crypto.Decrypter too, or
// suites with RSA key exchange fail.
var WrapSigner = func(s crypto.Signer) crypto.Signer { return s }

var (
	errBadDecrypt  = errors.New("bad decrypt")
	errNoPassword  = errors.New("bad password read")
	errKeyMismatch = errors.New("private key does not match public key")
)

// wrappedKey is the first private key of a PEM file. Its errors are LuaSec's.
func wrappedKey(data []byte, password func() ([]byte, bool)) (crypto.Signer, error) {
	key, err := parseKey(data, password)
	if err != nil {
		return nil, keyError(err)
	}
	return WrapSigner(key), nil
}

func keyError(err error) error {
	return fmt.Errorf("error loading private key (%s)", reason(err))
}

// reason is the text of an error without the name of the package it is from.
func reason(err error) string {
	text := err.Error()
	for _, prefix := range []string{"x509: ", "pkcs8: ", "crypto/rsa: ", "tls: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// parseKey reads the first private key, whatever else the file has: parameters,
// certificates, text.
func parseKey(data []byte, password func() ([]byte, bool)) (crypto.Signer, error) {
	for {
		block, rest, err := nextPEM(data)
		if err != nil {
			return nil, err
		}
		if block == nil {
			return nil, errNoStartLine
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return parseKeyBlock(block, password)
		}
		data = rest
	}
}

func parseKeyBlock(block *pem.Block, password func() ([]byte, bool)) (crypto.Signer, error) {
	if block.Type != "ENCRYPTED PRIVATE KEY" && block.Headers["DEK-Info"] == "" {
		return parseKeyDER(block.Type, block.Bytes)
	}
	if password == nil {
		return nil, errNoPassword
	}
	secret, ok := password()
	if !ok {
		return nil, errNoPassword
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		return decryptPKCS8(block.Bytes, secret)
	}
	return decryptTraditional(block, secret)
}

// decryptTraditional reads a key encrypted as RFC 1421 says, with the key
// derivation of OpenSSL's EVP_BytesToKey, as openssl rsa -traditional writes.
func decryptTraditional(block *pem.Block, secret []byte) (crypto.Signer, error) {
	//lint:ignore SA1019 deprecated for its cryptography, but admins have such files
	der, err := x509.DecryptPEMBlock(block, secret)
	if err == x509.IncorrectPasswordError {
		return nil, errBadDecrypt
	}
	if err != nil {
		return nil, err
	}
	key, err := parseKeyDER(block.Type, der)
	if err != nil && !errors.As(err, new(unsupportedKey)) {
		// A wrong password leaves a right padding once in 256 times.
		return nil, errBadDecrypt
	}
	return key, err
}

func parseKeyDER(pemType string, der []byte) (crypto.Signer, error) {
	var key any
	var err error
	switch pemType {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		key, err = parseSEC1(der)
	case "PRIVATE KEY":
		key, err = parsePKCS8(der)
	default:
		err = unsupportedKey(pemType)
	}
	if err != nil {
		return nil, err
	}
	return usableKey(key)
}

// parseSEC1 reads an ECPrivateKey (RFC 5915).
func parseSEC1(der []byte) (*ecdsa.PrivateKey, error) {
	key, err := x509.ParseECPrivateKey(der)
	if err == nil {
		return key, nil
	}
	if key = explicitSEC1(der); key != nil {
		return key, nil
	}
	return nil, err
}

// unsupportedKey is a key that crypto/tls has no use for.
type unsupportedKey string

func (k unsupportedKey) Error() string { return "unsupported key type: " + string(k) }

// usableKey passes on what crypto/tls can sign with.
func usableKey(key any) (crypto.Signer, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		switch key.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return key, nil
		}
		return nil, unsupportedKey("ECDSA on " + key.Curve.Params().Name)
	}
	return nil, unsupportedKey(strings.TrimPrefix(fmt.Sprintf("%T", key), "*"))
}

// matches tells whether a private key belongs to a public one.
func matches(private crypto.Signer, public any) bool {
	own, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(public)
}
