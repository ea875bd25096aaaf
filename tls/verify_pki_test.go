package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// rawCertificate is a certificate as we write it ourselves, because
// x509.CreateCertificate writes nothing odd.
type rawCertificate struct {
	version         int // as encoded; 2 is X.509 v3
	serial          int64
	issuer, subject []byte // encoded
	notBefore       time.Time
	notAfter        time.Time
	key             *testKey
	extensions      []rawExtension
	broken          bool                    // the signature
	edit            func(tbs []byte) []byte // nil: none
}

type rawExtension struct {
	oid      string // encoded
	critical bool
	value    []byte
}

// testKey is a key with what certificates say of it.
type testKey struct {
	crypto.Signer
	info      []byte // SubjectPublicKeyInfo
	algorithm []byte // of the signatures that it makes
	id        []byte // subject key identifier
}

func newTestKey(s crypto.Signer, algorithm ...[]byte) *testKey {
	info, err := x509.MarshalPKIXPublicKey(s.Public())
	if err != nil {
		panic(err)
	}
	id := sha1.Sum(info)
	return &testKey{s, info, derTLV(derSequenceTag, algorithm...), id[:]}
}

var (
	ecdsaWithSHA256 = derTLV(derOID, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02})
	ed25519OID      = derTLV(derOID, []byte{0x2b, 0x65, 0x70})
	rsaWithSHA256   = derTLV(derOID, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b})
)

func newECDSAKey(c elliptic.Curve) *testKey {
	key, _ := ecdsa.GenerateKey(c, rand.Reader)
	return newTestKey(key, ecdsaWithSHA256)
}

func newEdKey() *testKey {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return newTestKey(key, ed25519OID)
}

func newRSAKey(bits int) *testKey {
	key, _ := rsa.GenerateKey(rand.Reader, bits)
	return newTestKey(key, rsaWithSHA256, derTLV(derNull))
}

func (k *testKey) signature(tbs []byte) []byte {
	var hash crypto.SignerOpts = crypto.SHA256
	digest := sha256.Sum256(tbs)
	message := digest[:]
	if _, ed := k.Public().(ed25519.PublicKey); ed {
		hash, message = crypto.Hash(0), tbs
	}
	signature, err := k.Sign(rand.Reader, message, hash)
	if err != nil {
		panic(err)
	}
	return signature
}

// sign encodes the certificate, signed by the issuer's key.
func (c *rawCertificate) sign(issuer *testKey) []byte {
	fields := [][]byte{
		derTLV(derInteger, derNumber(c.serial)), issuer.algorithm, c.issuer,
		derTLV(derSequenceTag, derTime(c.notBefore), derTime(c.notAfter)), c.subject, c.key.info,
	}
	if c.version > 0 {
		fields = append([][]byte{derTLV(0xa0, derTLV(derInteger, []byte{byte(c.version)}))}, fields...)
	}
	if len(c.extensions) > 0 {
		var all [][]byte
		for _, e := range c.extensions {
			all = append(all, e.encode())
		}
		fields = append(fields, derTLV(0xa3, derTLV(derSequenceTag, all...)))
	}
	tbs := derTLV(derSequenceTag, fields...)
	if c.edit != nil {
		tbs = c.edit(tbs)
	}
	signature := issuer.signature(tbs)
	if c.broken {
		signature[len(signature)-1] ^= 1
	}
	return derTLV(derSequenceTag, tbs, issuer.algorithm, derTLV(derBitString, []byte{0}, signature))
}

func (e rawExtension) encode() []byte {
	fields := [][]byte{derTLV(derOID, []byte(e.oid))}
	if e.critical {
		fields = append(fields, derTLV(derBoolean, []byte{0xff}))
	}
	return derTLV(derSequenceTag, append(fields, derTLV(derOctetString, e.value))...)
}

// derNumber is the contents of a positive INTEGER.
func derNumber(n int64) []byte {
	b := big.NewInt(n).Bytes()
	if b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	return b
}

func derTime(t time.Time) []byte {
	return derTLV(asn1.TagUTCTime, fmt.Appendf(nil, "%sZ", t.UTC().Format("060102150405")))
}

// rawName is a name of one common name, with a chosen type of string.
func rawName(tag byte, cn string) []byte {
	return derTLV(derSequenceTag, rawAttribute(oidCommonName, tag, cn))
}

func rawAttribute(oid string, tag byte, value string) []byte {
	return derTLV(derSetTag, derTLV(derSequenceTag, derTLV(derOID, []byte(oid)), derTLV(tag, []byte(value))))
}

// The extensions' identifiers, encoded.
const (
	oidKeyID            = "\x55\x1d\x0e"
	oidKeyUsage         = "\x55\x1d\x0f"
	oidAltNames         = "\x55\x1d\x11"
	oidBasicConstraints = "\x55\x1d\x13"
	oidNameConstraints  = "\x55\x1d\x1e"
	oidCRLPoints        = "\x55\x1d\x1f"
	oidPolicies         = "\x55\x1d\x20"
	oidAuthority        = "\x55\x1d\x23"
	oidPolicyLimits     = "\x55\x1d\x24"
	oidExtUsage         = "\x55\x1d\x25"
	oidNetscape         = "\x60\x86\x48\x01\x86\xf8\x42\x01\x01"
	oidProxy            = "\x2b\x06\x01\x05\x05\x07\x01\x0e"
	oidAddresses        = "\x2b\x06\x01\x05\x05\x07\x01\x07"
	oidUnknown          = "\x2a\x03\x04"
)
