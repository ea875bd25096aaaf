package tls

import stdtls "crypto/tls"

// Info is the table of LuaSec's info().
type Info struct {
	Protocol       string
	Cipher         string
	Encryption     string
	MAC            string
	Key            string
	Authentication string
	Bits           int // the strength
	AlgBits        int // the length of the key
	Export         bool
	Compression    string // always "": nil
	Group          string // of the key exchange, by its name in IANA's registry; not LuaSec's
}

// InfoOf describes an established connection in OpenSSL's words, those of
// SSL_CIPHER_description, which LuaSec takes apart.
func InfoOf(cs stdtls.ConnectionState) Info {
	info := Info{Protocol: protocolName(cs.Version), Group: groupNames[cs.CurveID]}
	s := suiteByID(cs.CipherSuite)
	if s == nil {
		return info
	}
	info.Cipher = s.name
	info.Encryption = s.enc
	info.MAC = s.mac
	info.Key = s.kx
	info.Authentication = s.au
	info.Bits = s.bits()
	info.AlgBits = s.algBits()
	return info
}

// groupNames are those of IANA's registry "TLS Supported Groups".
var groupNames = map[stdtls.CurveID]string{
	stdtls.X25519:             "x25519",
	stdtls.CurveP256:          "secp256r1",
	stdtls.CurveP384:          "secp384r1",
	stdtls.CurveP521:          "secp521r1",
	stdtls.X25519MLKEM768:     "X25519MLKEM768",
	stdtls.SecP256r1MLKEM768:  "SecP256r1MLKEM768",
	stdtls.SecP384r1MLKEM1024: "SecP384r1MLKEM1024",
}

// protocolName is SSL_get_version's.
func protocolName(version uint16) string {
	switch version {
	case stdtls.VersionTLS10:
		return "TLSv1"
	case stdtls.VersionTLS11:
		return "TLSv1.1"
	case stdtls.VersionTLS12:
		return "TLSv1.2"
	case stdtls.VersionTLS13:
		return "TLSv1.3"
	}
	return "unknown"
}

func suiteByID(id uint16) *suite {
	for _, list := range [][]suite{suites13, suites12} {
		for i := range list {
			if list[i].id == id {
				return &list[i]
			}
		}
	}
	return nil
}
