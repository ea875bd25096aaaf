package tls

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// loadKeyPairs loads what certificate and key name, in LuaSec's order. Of two
// for the same kind of key the later counts, as in OpenSSL.
func loadKeyPairs(pairs []KeyPair, n *notices) ([]*stdtls.Certificate, error) {
	var all []*stdtls.Certificate
	for _, pair := range pairs {
		certificate, err := loadKeyPair(pair, n)
		if err != nil {
			return nil, err
		}
		if certificate.PrivateKey == nil || certificate.Leaf == nil {
			if pair.Certificate != "" {
				n.add("warn", "There is no key for the certificate %s: it is not used", pair.Certificate)
			}
			continue
		}
		all = slices.DeleteFunc(all, func(c *stdtls.Certificate) bool {
			return c.Leaf.PublicKeyAlgorithm == certificate.Leaf.PublicKeyAlgorithm
		})
		all = append(all, certificate)
	}
	slices.SortStableFunc(all, func(a, b *stdtls.Certificate) int { return keyRank(a) - keyRank(b) })
	return all, nil
}

// keyRank puts what costs less first; a peer that cannot verify it gets another.
func keyRank(c *stdtls.Certificate) int {
	return slices.Index([]x509.PublicKeyAlgorithm{x509.ECDSA, x509.Ed25519, x509.RSA}, c.Leaf.PublicKeyAlgorithm)
}

// keyPairs are those whose key is not encrypted: whoever shares one that is must
// have given its password, too.
var keyPairs shared[stdtls.Certificate]

// loadKeyPair reads the files of a pair, either of which may have no name. The
// result is shared, so it must not change.
func loadKeyPair(pair KeyPair, n *notices) (c *stdtls.Certificate, err error) {
	var keyData, chainData []byte
	if pair.Key != "" {
		if keyData, err = readFile(pair.Key); err != nil {
			return nil, keyError(err)
		}
	}
	var chainErr error // what is wrong with the key counts first
	if pair.Certificate != "" {
		chainData, chainErr = readFile(pair.Certificate)
	}
	d := digestOf(fmt.Append(nil, pair.Key != "", pair.Certificate != "", chainErr), keyData, chainData)
	if c = keyPairs.get(d); c == nil {
		encrypted := false
		if ask := pair.Password; ask != nil {
			pair.Password = func() ([]byte, bool) { encrypted = true; return ask() }
		}
		if c, err = parseKeyPair(pair, keyData, chainData, chainErr); err != nil {
			return nil, err
		}
		if !encrypted {
			c = keyPairs.add(d, c)
		}
	}
	if c.PrivateKey != nil {
		noteUnreadable(pair.Certificate, c.Certificate, n)
	}
	return c, nil
}

func parseKeyPair(pair KeyPair, keyData, chainData []byte, chainErr error) (*stdtls.Certificate, error) {
	c := &stdtls.Certificate{}
	var key crypto.Signer
	var err error
	if pair.Key != "" {
		if key, err = wrappedKey(keyData, pair.Password); err != nil {
			return nil, err
		}
		c.PrivateKey = key
	}
	if pair.Certificate == "" {
		return c, nil
	}
	if err = chainErr; err == nil {
		c.Certificate, c.Leaf, err = readChain(chainData)
	}
	if err != nil {
		return nil, fmt.Errorf("error loading certificate (%s)", reason(err))
	}
	if key != nil && !matches(key, c.Leaf.PublicKey) {
		return nil, errKeyMismatch
	}
	return c, nil
}

// readChain reads the certificates of a file, leaf first, as
// SSL_CTX_use_certificate_chain_file does. Of a leaf that crypto/x509 cannot
// parse it returns the outline: see parseOwn.
func readChain(data []byte) (chain [][]byte, leaf *x509.Certificate, err error) {
	if chain, err = parseChain(data); err != nil {
		return nil, nil, err
	}
	if leaf, err = parseOwn(chain[0]); err != nil {
		return nil, nil, err
	}
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		return nil, nil, errors.New("ee key too small")
	}
	if weakSignature(leaf) {
		return nil, nil, errors.New("ca md too weak")
	}
	return chain, leaf, nil
}

// parseChain returns the DER of each certificate.
func parseChain(data []byte) (chain [][]byte, err error) {
	for {
		block, rest, err := nextPEM(data)
		if err != nil {
			return nil, err
		}
		if block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE":
			der, err := firstCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			chain = append(chain, der)
		}
		data = rest
	}
	if chain == nil {
		return nil, errNoStartLine
	}
	return chain, nil
}

// firstCertificate cuts off OpenSSL's notes of trust. It looks at the outline
// only: an issuer's certificate is for the peer to read, not for crypto/x509,
// which is stricter than OpenSSL.
func firstCertificate(der []byte) ([]byte, error) {
	var outline struct {
		Raw                asn1.RawContent
		TBSCertificate     asn1.RawValue
		SignatureAlgorithm pkix.AlgorithmIdentifier
		SignatureValue     asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &outline); err != nil {
		return nil, errors.New("wrong tag")
	}
	return outline.Raw, nil
}

// weakSignature tells what Debian's security level 2 refuses.
func weakSignature(c *x509.Certificate) bool {
	if bytes.Equal(c.RawSubject, c.RawIssuer) {
		return false // self-signed: nobody relies on it
	}
	switch certSignatureAlgorithm(c).hash {
	case crypto.MD5, crypto.SHA1:
		return true
	}
	// Of these certSignatureAlgorithm knows nothing.
	return c.SignatureAlgorithm == x509.MD2WithRSA || c.SignatureAlgorithm == x509.DSAWithSHA1
}
