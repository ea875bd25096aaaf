package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	_ "crypto/md5" // OpenSSL knows it, at no security level
	"crypto/rsa"
	_ "crypto/sha1" // likewise
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
)

// signatureAlgorithm is what OpenSSL makes of an AlgorithmIdentifier. The
// standard library's x509.SignatureAlgorithm cannot serve: it does not tell
// SHA-224 or unusual PSS parameters from nonsense, and its check refuses SHA-1
// where OpenSSL reports a weak digest and goes on.
type signatureAlgorithm struct {
	key  x509.PublicKeyAlgorithm // unknown: nor can its signatures be checked
	hash crypto.Hash             // 0 for Ed25519
	pss  bool
	salt int
}

var signatureAlgorithms = map[string]signatureAlgorithm{
	"1.2.840.113549.1.1.4":  {key: x509.RSA, hash: crypto.MD5},
	"1.2.840.113549.1.1.5":  {key: x509.RSA, hash: crypto.SHA1},
	"1.2.840.113549.1.1.14": {key: x509.RSA, hash: crypto.SHA224},
	"1.2.840.113549.1.1.11": {key: x509.RSA, hash: crypto.SHA256},
	"1.2.840.113549.1.1.12": {key: x509.RSA, hash: crypto.SHA384},
	"1.2.840.113549.1.1.13": {key: x509.RSA, hash: crypto.SHA512},
	"1.2.840.10045.4.1":     {key: x509.ECDSA, hash: crypto.SHA1},
	"1.2.840.10045.4.3.1":   {key: x509.ECDSA, hash: crypto.SHA224},
	"1.2.840.10045.4.3.2":   {key: x509.ECDSA, hash: crypto.SHA256},
	"1.2.840.10045.4.3.3":   {key: x509.ECDSA, hash: crypto.SHA384},
	"1.2.840.10045.4.3.4":   {key: x509.ECDSA, hash: crypto.SHA512},
	"1.3.101.112":           {key: x509.Ed25519},
}

var pssHashes = map[string]crypto.Hash{
	"1.3.14.3.2.26":          crypto.SHA1,
	"2.16.840.1.101.3.4.2.4": crypto.SHA224,
	"2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

func signatureAlgorithmOf(id pkix.AlgorithmIdentifier) signatureAlgorithm {
	if id.Algorithm.String() == "1.2.840.113549.1.1.10" {
		return pssAlgorithm(id.Parameters.FullBytes)
	}
	return signatureAlgorithms[id.Algorithm.String()]
}

// pssAlgorithm reads RSASSA-PSS-params (RFC 4055, 3.1). A mask made with
// another hash than the message's is left unknown: crypto/rsa cannot check it.
func pssAlgorithm(der []byte) signatureAlgorithm {
	var p struct {
		Hash    pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:0"`
		MGF     pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:1"`
		Salt    int                      `asn1:"explicit,optional,tag:2,default:20"`
		Trailer int                      `asn1:"explicit,optional,tag:3,default:1"`
	}
	if _, err := asn1.Unmarshal(der, &p); err != nil || p.Trailer != 1 || p.Salt < 0 {
		return signatureAlgorithm{}
	}
	hash, mask := crypto.SHA1, crypto.SHA1
	if p.Hash.Algorithm != nil {
		hash = pssHashes[p.Hash.Algorithm.String()]
	}
	if p.MGF.Algorithm != nil {
		var inner pkix.AlgorithmIdentifier
		if _, err := asn1.Unmarshal(p.MGF.Parameters.FullBytes, &inner); err != nil {
			return signatureAlgorithm{}
		}
		mask = pssHashes[inner.Algorithm.String()]
	}
	if hash == 0 || hash != mask {
		return signatureAlgorithm{}
	}
	return signatureAlgorithm{key: x509.RSA, hash: hash, pss: true, salt: p.Salt}
}

// bits is the security that OpenSSL grants a digest (x509_set.c,
// x509_sig_info_init).
func (a signatureAlgorithm) bits() int {
	switch {
	case a.key == x509.UnknownPublicKeyAlgorithm:
		return -1
	case a.key == x509.Ed25519:
		return 128
	case a.hash == crypto.SHA1:
		return 63
	case a.hash == crypto.MD5:
		return 39
	}
	return a.hash.Size() * 4
}

// OpenSSL computes with no larger RSA keys (OPENSSL_RSA_MAX_MODULUS_BITS), and
// neither must we: the peer chooses them.
const maxRSABits = 16384

// verify checks a signature over signed.
func (a signatureAlgorithm) verify(key crypto.PublicKey, signed, signature []byte) bool {
	digest := signed
	if a.hash != 0 {
		h := a.hash.New()
		h.Write(signed)
		digest = h.Sum(nil)
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		return a.key == x509.RSA && key.N.BitLen() <= maxRSABits && a.verifyRSA(key, digest, signature)
	case *ecdsa.PublicKey:
		return a.key == x509.ECDSA && ecdsa.VerifyASN1(key, digest, signature)
	case ed25519.PublicKey:
		return a.key == x509.Ed25519 && ed25519.Verify(key, signed, signature)
	}
	return false
}

func (a signatureAlgorithm) verifyRSA(key *rsa.PublicKey, digest, signature []byte) bool {
	if a.pss {
		return rsa.VerifyPSS(key, a.hash, digest, signature, &rsa.PSSOptions{SaltLength: a.salt}) == nil
	}
	return rsa.VerifyPKCS1v15(key, a.hash, digest, signature) == nil
}

// What OpenSSL's security levels 1 to 5 ask for: bits of security, and the
// shortest RSA modulus that RSA_security_bits grants them to.
var (
	levelBits    = [...]int{80, 112, 128, 192, 256}
	levelRSABits = [...]int{920, 1963, 2671, 6947, 13914}
)

// keyMeetsLevel is check_key_level of x509_vfy.c. A key of a kind that Go does
// not know is nil and as weak as can be.
func keyMeetsLevel(key crypto.PublicKey, level int) bool {
	if level <= 0 {
		return true
	}
	level = min(level, len(levelBits))
	switch key := key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= levelRSABits[level-1]
	case *ecdsa.PublicKey:
		return key.Curve.Params().N.BitLen()/2 >= min(levelBits[level-1], 256)
	case ed25519.PublicKey:
		return levelBits[level-1] <= 128
	}
	return false
}

// meetsLevel is check_sig_level.
func (a signatureAlgorithm) meetsLevel(level int) bool {
	return level <= 0 || a.bits() >= levelBits[min(level, len(levelBits))-1]
}
