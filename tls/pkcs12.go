package tls

import (
	"bytes"
	"crypto/sha1"
	"math/big"
	"slices"
	"unicode/utf16"
)

// pkcs12KDF is the key derivation of RFC 7292, appendix B.2, with SHA-1. The
// names are the RFC's: id is 1 for a key, 2 for an IV.
func pkcs12KDF(password, salt []byte, iterations int, id byte, size int) []byte {
	const v = 64 // SHA-1's block
	d := bytes.Repeat([]byte{id}, v)
	i := append(fill(salt, v), fill(zeroEndedUTF16(password), v)...)
	var out []byte
	for {
		a := sha1.Sum(slices.Concat(d, i))
		for range iterations - 1 {
			a = sha1.Sum(a[:])
		}
		out = append(out, a[:]...)
		if len(out) >= size {
			return out[:size]
		}
		b := fill(a[:], v)[:v]
		for j := 0; j < len(i); j += v {
			copy(i[j:j+v], addOne(i[j:j+v], b))
		}
	}
}

// fill repeats s up to a multiple of n bytes.
func fill(s []byte, n int) []byte {
	if len(s) == 0 {
		return nil
	}
	size := (len(s) + n - 1) / n * n
	return bytes.Repeat(s, size/len(s)+1)[:size]
}

// addOne returns a + b + 1, modulo what fits.
func addOne(a, b []byte) []byte {
	sum := new(big.Int).Add(new(big.Int).SetBytes(a), new(big.Int).SetBytes(b))
	sum.Add(sum, big.NewInt(1))
	sum.And(sum, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(8*len(a))), big.NewInt(1)))
	return sum.FillBytes(make([]byte, len(a)))
}

// zeroEndedUTF16 is a password as UTF-16, big-endian, with a zero at the end.
func zeroEndedUTF16(s []byte) []byte {
	var out []byte
	for _, u := range append(utf16.Encode([]rune(string(s))), 0) {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}
