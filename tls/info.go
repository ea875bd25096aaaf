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
}

// InfoOf describes an established connection in OpenSSL's words, those of
// SSL_CIPHER_description, which LuaSec takes apart.
func InfoOf(cs stdtls.ConnectionState) Info {
	info := Info{Protocol: protocolName(cs.Version)}
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
