package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"math/bits"
)

// budget is what one verification may still cost, in units of about 10 ns. All
// certificates, constraints and signatures share it: a peer chooses them, and
// their numbers multiply. OpenSSL has a limit for each pair of certificates
// (NAME_CHECK_MAX), which a chain of ten multiplies by 45.
type budget int

// maxWork is about 20 ms. A certificate of 250 host names below a CA with 2,000
// constraints on host names needs all of it, a chain of ten RSA keys with 4096
// bits a tenth.
const maxWork budget = 2 << 20

// take pays for a piece of work, or says that there is nothing left for it.
func (b *budget) take(cost int) bool {
	*b -= min(*b, budget(cost))
	return *b > 0
}

// spent says that the budget is used up, which ends the verification.
func (b *budget) spent() bool { return *b == 0 }

// comparisonCost is that of a comparison which looks at so many bytes.
func comparisonCost(bytes int) int { return 1 + bytes/16 }

// signatureCost is that of checking one signature. The peer chooses the keys,
// and OpenSSL computes with RSA keys of 16384 bits.
func signatureCost(key crypto.PublicKey) int {
	switch key := key.(type) {
	case *rsa.PublicKey:
		kilobits := key.N.BitLen()/1024 + 1
		return 70 * kilobits * kilobits * bits.Len(uint(key.E))
	case *ecdsa.PublicKey:
		size := key.Curve.Params().BitSize
		return size * size / 10
	}
	return 5000
}
