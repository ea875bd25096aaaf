package tls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidEC      = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}
)

// readPublicKey reads a SubjectPublicKeyInfo (RFC 5280, 4.1). Beside what
// crypto/x509 takes it accepts what OpenSSL does: RSA keys with parameters other
// than NULL, explicit parameters of a named curve, compressed and hybrid points.
// It returns nil for keys that crypto/tls cannot use.
func readPublicKey(der []byte) (crypto.PublicKey, x509.PublicKeyAlgorithm) {
	var info, algorithm cryptobyte.String
	var id asn1.ObjectIdentifier
	var bits []byte
	input := cryptobyte.String(der)
	if !input.ReadASN1(&info, cbasn1.SEQUENCE) || !info.ReadASN1(&algorithm, cbasn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&id) || !info.ReadASN1BitStringAsBytes(&bits) {
		return nil, x509.UnknownPublicKeyAlgorithm
	}
	switch {
	case id.Equal(oidRSA):
		if key, err := x509.ParsePKCS1PublicKey(bits); err == nil {
			return key, x509.RSA
		}
	case id.Equal(oidEC):
		if key := readPoint(curveOf(algorithm), bits); key != nil {
			return key, x509.ECDSA
		}
	case id.Equal(oidEd25519) && algorithm.Empty() && len(bits) == ed25519.PublicKeySize:
		return ed25519.PublicKey(bits), x509.Ed25519
	}
	return nil, x509.UnknownPublicKeyAlgorithm
}

// readPoint reads a public key in any form of X9.62, 4.3.6: uncompressed (4),
// compressed (2, 3) or hybrid (6, 7).
func readPoint(curve elliptic.Curve, point []byte) *ecdsa.PublicKey {
	if curve == nil || len(point) == 0 {
		return nil
	}
	size := (curve.Params().BitSize + 7) / 8
	point = bytes.Clone(point)
	switch form := point[0]; {
	case form == 2 || form == 3:
		x, y := elliptic.UnmarshalCompressed(curve, point)
		if x == nil {
			return nil
		}
		point = append([]byte{4}, x.FillBytes(make([]byte, size))...)
		point = append(point, y.FillBytes(make([]byte, size))...)
	case (form == 6 || form == 7) && point[len(point)-1]&1 == form&1:
		point[0] = 4
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil
	}
	return key
}
