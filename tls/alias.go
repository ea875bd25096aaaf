package tls

import (
	"slices"
	"strings"
)

// isCipherTerm tells whether OpenSSL knows a word of a cipher string.
func isCipherTerm(word string) bool {
	return cipherAliases[word] != nil || slices.ContainsFunc(suites12, func(s suite) bool { return s.name == word })
}

func cipherTermMatches(word string, s *suite) bool {
	if match := cipherAliases[word]; match != nil {
		return match(s)
	}
	return s.name == word
}

// cipherAliases are the words that stand for many suites: cipher_aliases in
// OpenSSL's ssl_ciph.c, "CIPHER STRINGS" in ciphers(1).
var cipherAliases = map[string]func(*suite) bool{
	"ALL":                 func(s *suite) bool { return s.enc != "None" },
	"COMPLEMENTOFALL":     func(s *suite) bool { return s.enc == "None" },
	"COMPLEMENTOFDEFAULT": func(s *suite) bool { return s.notInDefault },

	"kRSA":      kx("RSA"),
	"kEDH":      kx("DH"),
	"kDHE":      kx("DH"),
	"DH":        kx("DH"),
	"kEECDH":    kx("ECDH"),
	"kECDHE":    kx("ECDH"),
	"ECDH":      kx("ECDH"),
	"kPSK":      kx("PSK"),
	"kRSAPSK":   kx("RSAPSK"),
	"kECDHEPSK": kx("ECDHEPSK"),
	"kDHEPSK":   kx("DHEPSK"),
	"kSRP":      kx("SRP"),
	"SRP":       kx("SRP"),

	"aRSA":   au("RSA"),
	"aDSS":   au("DSS"),
	"DSS":    au("DSS"),
	"aNULL":  au("None"),
	"aECDSA": au("ECDSA"),
	"ECDSA":  au("ECDSA"),
	"aPSK":   au("PSK"),
	"aSRP":   au("SRP"),

	"EDH":   func(s *suite) bool { return s.kx == "DH" && s.au != "None" },
	"DHE":   func(s *suite) bool { return s.kx == "DH" && s.au != "None" },
	"EECDH": func(s *suite) bool { return s.kx == "ECDH" && s.au != "None" },
	"ECDHE": func(s *suite) bool { return s.kx == "ECDH" && s.au != "None" },
	"ADH":   func(s *suite) bool { return s.kx == "DH" && s.au == "None" },
	"AECDH": func(s *suite) bool { return s.kx == "ECDH" && s.au == "None" },
	"RSA":   func(s *suite) bool { return s.kx == "RSA" && s.au == "RSA" },
	"PSK":   func(s *suite) bool { return strings.HasSuffix(s.kx, "PSK") },

	"NULL":        enc("None"),
	"eNULL":       enc("None"),
	"3DES":        enc("3DES(168)"),
	"RC4":         enc("RC4(128)"),
	"AES128":      enc("AES(128)", "AESGCM(128)", "AESCCM(128)", "AESCCM8(128)"),
	"AES256":      enc("AES(256)", "AESGCM(256)", "AESCCM(256)", "AESCCM8(256)"),
	"AES":         func(s *suite) bool { return strings.HasPrefix(s.enc, "AES") },
	"AESGCM":      enc("AESGCM(128)", "AESGCM(256)"),
	"AESCCM":      func(s *suite) bool { return strings.HasPrefix(s.enc, "AESCCM") },
	"AESCCM8":     enc("AESCCM8(128)", "AESCCM8(256)"),
	"CHACHA20":    enc("CHACHA20/POLY1305(256)"),
	"CAMELLIA":    enc("Camellia(128)", "Camellia(256)"),
	"CAMELLIA128": enc("Camellia(128)"),
	"CAMELLIA256": enc("Camellia(256)"),
	"ARIA":        enc("ARIAGCM(128)", "ARIAGCM(256)"),
	"ARIAGCM":     enc("ARIAGCM(128)", "ARIAGCM(256)"),
	"ARIA128":     enc("ARIAGCM(128)"),
	"ARIA256":     enc("ARIAGCM(256)"),
	"CBC":         enc("AES(128)", "AES(256)", "Camellia(128)", "Camellia(256)", "3DES(168)"),

	"MD5":    mac("MD5"),
	"SHA1":   mac("SHA1"),
	"SHA":    mac("SHA1"),
	"SHA256": mac("SHA256"),
	"SHA384": mac("SHA384"),

	"SSLv3":   since("SSLv3"),
	"TLSv1":   since("TLSv1"),
	"TLSv1.0": since("TLSv1"),
	"TLSv1.2": since("TLSv1.2"),

	"HIGH":   func(s *suite) bool { return s.enc != "None" && !mediumStrength(s) },
	"MEDIUM": mediumStrength,
	"LOW":    func(*suite) bool { return false },
	"FIPS":   enc("AES(128)", "AES(256)", "AESGCM(128)", "AESGCM(256)", "3DES(168)"),
}

func mediumStrength(s *suite) bool {
	return s.enc == "RC4(128)" || s.enc == "3DES(168)"
}

func kx(name string) func(*suite) bool {
	return func(s *suite) bool { return s.kx == name }
}

func au(name string) func(*suite) bool {
	return func(s *suite) bool { return s.au == name }
}

func enc(names ...string) func(*suite) bool {
	return func(s *suite) bool { return slices.Contains(names, s.enc) }
}

func mac(name string) func(*suite) bool {
	return func(s *suite) bool { return s.mac == name }
}

func since(name string) func(*suite) bool {
	return func(s *suite) bool { return s.version == name }
}
