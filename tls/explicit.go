package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// namedCurves are the curves that the standard library signs with.
var namedCurves = []struct {
	id    asn1.ObjectIdentifier
	curve elliptic.Curve
}{
	{asn1.ObjectIdentifier{1, 3, 132, 0, 33}, elliptic.P224()},
	{asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, elliptic.P256()},
	{asn1.ObjectIdentifier{1, 3, 132, 0, 34}, elliptic.P384()},
	{asn1.ObjectIdentifier{1, 3, 132, 0, 35}, elliptic.P521()},
}

var oidPrimeField = asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 1}

// curveOf reads EcpkParameters (RFC 3279, 2.3.5): the name of a curve, or its
// explicit parameters, which Go's own parsers refuse. It returns nil for every
// curve that is not one of namedCurves, so no computation ever uses parameters
// from a file.
func curveOf(der cryptobyte.String) elliptic.Curve {
	if der.PeekASN1Tag(cbasn1.SEQUENCE) {
		return explicitCurve(der)
	}
	var id asn1.ObjectIdentifier
	if !der.ReadASN1ObjectIdentifier(&id) {
		return nil
	}
	for _, named := range namedCurves {
		if named.id.Equal(id) {
			return named.curve
		}
	}
	return nil
}

// ecParameters are ECParameters over a prime field (RFC 3279, 2.3.5). The seed and
// the cofactor are ignored, because they do not change the curve.
type ecParameters struct {
	prime, a, b, order *big.Int
	base               []byte
}

// explicitCurve finds the named curve with the parameters given.
func explicitCurve(der cryptobyte.String) elliptic.Curve {
	p, ok := readECParameters(der)
	if !ok {
		return nil
	}
	for _, named := range namedCurves {
		if p.equal(named.curve) {
			return named.curve
		}
	}
	return nil
}

func readECParameters(der cryptobyte.String) (p ecParameters, ok bool) {
	var fields, field, curve, a, b, base cryptobyte.String
	var kind asn1.ObjectIdentifier
	p.prime, p.order = new(big.Int), new(big.Int)
	ok = der.ReadASN1(&fields, cbasn1.SEQUENCE) &&
		fields.SkipASN1(cbasn1.INTEGER) && // version
		fields.ReadASN1(&field, cbasn1.SEQUENCE) &&
		field.ReadASN1ObjectIdentifier(&kind) && kind.Equal(oidPrimeField) &&
		field.ReadASN1Integer(p.prime) &&
		fields.ReadASN1(&curve, cbasn1.SEQUENCE) &&
		curve.ReadASN1(&a, cbasn1.OCTET_STRING) &&
		curve.ReadASN1(&b, cbasn1.OCTET_STRING) &&
		fields.ReadASN1(&base, cbasn1.OCTET_STRING) &&
		fields.ReadASN1Integer(p.order)
	p.a, p.b, p.base = new(big.Int).SetBytes(a), new(big.Int).SetBytes(b), base
	return p, ok
}

// equal reports whether the parameters are those of curve, which is one of
// namedCurves: all of them have a = -3.
func (p ecParameters) equal(curve elliptic.Curve) bool {
	c := curve.Params()
	base := readPoint(curve, p.base)
	if base == nil || p.prime.Cmp(c.P) != 0 || p.order.Cmp(c.N) != 0 || p.b.Cmp(c.B) != 0 ||
		new(big.Int).Add(p.a, big.NewInt(3)).Cmp(c.P) != 0 {
		return false
	}
	generator := elliptic.MarshalCompressed(curve, c.Gx, c.Gy)
	return base.Equal(readPoint(curve, generator))
}

// explicitPKCS8 reads a PrivateKeyInfo (RFC 5208) with the explicit parameters
// of a named curve. It returns nil if der is none.
func explicitPKCS8(der []byte) *ecdsa.PrivateKey {
	var info, algorithm, key cryptobyte.String
	var id asn1.ObjectIdentifier
	input := cryptobyte.String(der)
	if !input.ReadASN1(&info, cbasn1.SEQUENCE) ||
		!info.SkipASN1(cbasn1.INTEGER) || // version
		!info.ReadASN1(&algorithm, cbasn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidEC) ||
		!info.ReadASN1(&key, cbasn1.OCTET_STRING) {
		return nil
	}
	secret, _, ok := readSEC1(key)
	if !ok {
		return nil
	}
	return rawKey(explicitCurve(algorithm), secret)
}

// explicitSEC1 does the same for an ECPrivateKey (RFC 5915).
func explicitSEC1(der []byte) *ecdsa.PrivateKey {
	secret, parameters, ok := readSEC1(der)
	if !ok {
		return nil
	}
	return rawKey(explicitCurve(parameters), secret)
}

func readSEC1(der []byte) (secret, parameters cryptobyte.String, ok bool) {
	var fields cryptobyte.String
	var has bool
	input := cryptobyte.String(der)
	ok = input.ReadASN1(&fields, cbasn1.SEQUENCE) &&
		fields.SkipASN1(cbasn1.INTEGER) && // version
		fields.ReadASN1(&secret, cbasn1.OCTET_STRING) &&
		fields.ReadOptionalASN1(&parameters, &has, contextTag(0))
	return secret, parameters, ok
}

// rawKey is ecdsa.ParseRawPrivateKey, but it also accepts numbers with missing or
// surplus leading zeros, as x509.ParseECPrivateKey does. It returns nil if curve
// is nil or the number is out of range.
func rawKey(curve elliptic.Curve, secret []byte) *ecdsa.PrivateKey {
	if curve == nil {
		return nil
	}
	number, size := new(big.Int).SetBytes(secret), (curve.Params().N.BitLen()+7)/8
	if number.BitLen() > 8*size {
		return nil
	}
	key, err := ecdsa.ParseRawPrivateKey(curve, number.FillBytes(make([]byte, size)))
	if err != nil {
		return nil
	}
	return key
}
