package tls

import (
	stdtls "crypto/tls"
	"strconv"
	"strings"
)

// suite is a row of OpenSSL's table of cipher suites, in the words that
// SSL_CIPHER_description uses and that LuaSec's info() repeats.
type suite struct {
	id           uint16
	name         string
	version      string // the oldest that has it
	kx, au       string
	enc, mac     string
	notInDefault bool // COMPLEMENTOFDEFAULT has it
}

// algBits is the length of the cipher's key.
func (s *suite) algBits() int {
	_, bits, _ := strings.Cut(s.enc, "(")
	n, err := strconv.Atoi(strings.TrimSuffix(bits, ")"))
	if err != nil {
		return 0 // None
	}
	return n
}

// bits is the strength that OpenSSL ascribes to the cipher.
func (s *suite) bits() int {
	if strings.HasPrefix(s.enc, "3DES") {
		return 112 // meet in the middle
	}
	return s.algBits()
}

func (s *suite) ephemeral() bool {
	return s.kx == "ECDH" || s.kx == "DH"
}

// weakness is the word of a cipher string that has to be there before a suite
// that crypto/tls calls broken is taken: one does not get RC4, 3DES or CBC
// without the Lucky13 countermeasures by asking for ALL.
func (s *suite) weakness() string {
	switch {
	case strings.HasPrefix(s.enc, "RC4"):
		return "RC4"
	case strings.HasPrefix(s.enc, "3DES"):
		return "3DES"
	case s.mac == "SHA256" && inGo[s.id]:
		return "SHA256"
	}
	return ""
}

// inGo has the suites that crypto/tls has.
var inGo = func() map[uint16]bool {
	ids := map[uint16]bool{}
	for _, s := range stdtls.CipherSuites() {
		ids[s.ID] = true
	}
	for _, s := range stdtls.InsecureCipherSuites() {
		ids[s.ID] = true
	}
	return ids
}()

// suites13 are those of TLS 1.3 that OpenSSL has, in its default order, then
// the CCM ones, which it has but does not offer by itself.
var suites13 = []suite{
	{0x1302, "TLS_AES_256_GCM_SHA384", "TLSv1.3", "any", "any", "AESGCM(256)", "AEAD", false},
	{0x1303, "TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3", "any", "any", "CHACHA20/POLY1305(256)", "AEAD", false},
	{0x1301, "TLS_AES_128_GCM_SHA256", "TLSv1.3", "any", "any", "AESGCM(128)", "AEAD", false},
	{0x1304, "TLS_AES_128_CCM_SHA256", "TLSv1.3", "any", "any", "AESCCM(128)", "AEAD", true},
	{0x1305, "TLS_AES_128_CCM_8_SHA256", "TLSv1.3", "any", "any", "AESCCM8(128)", "AEAD", true},
}

// suites12 are those of TLS 1.2 and below, in the order in which OpenSSL 3
// prefers them, which is the order that a cipher string starts from:
//
//	openssl ciphers -V ALL:COMPLEMENTOFALL:@SECLEVEL=0
//
// and the RC4 and 3DES ones, which are left out of Debian's OpenSSL, where a
// build that has them puts them.
var suites12 = []suite{
	{0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2", "ECDH", "ECDSA", "AESGCM(256)", "AEAD", false},
	{0xc030, "ECDHE-RSA-AES256-GCM-SHA384", "TLSv1.2", "ECDH", "RSA", "AESGCM(256)", "AEAD", false},
	{0x00a3, "DHE-DSS-AES256-GCM-SHA384", "TLSv1.2", "DH", "DSS", "AESGCM(256)", "AEAD", true},
	{0x009f, "DHE-RSA-AES256-GCM-SHA384", "TLSv1.2", "DH", "RSA", "AESGCM(256)", "AEAD", false},
	{0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.2", "ECDH", "ECDSA", "CHACHA20/POLY1305(256)", "AEAD", false},
	{0xcca8, "ECDHE-RSA-CHACHA20-POLY1305", "TLSv1.2", "ECDH", "RSA", "CHACHA20/POLY1305(256)", "AEAD", false},
	{0xccaa, "DHE-RSA-CHACHA20-POLY1305", "TLSv1.2", "DH", "RSA", "CHACHA20/POLY1305(256)", "AEAD", false},
	{0xc0af, "ECDHE-ECDSA-AES256-CCM8", "TLSv1.2", "ECDH", "ECDSA", "AESCCM8(256)", "AEAD", true},
	{0xc0ad, "ECDHE-ECDSA-AES256-CCM", "TLSv1.2", "ECDH", "ECDSA", "AESCCM(256)", "AEAD", true},
	{0xc0a3, "DHE-RSA-AES256-CCM8", "TLSv1.2", "DH", "RSA", "AESCCM8(256)", "AEAD", true},
	{0xc09f, "DHE-RSA-AES256-CCM", "TLSv1.2", "DH", "RSA", "AESCCM(256)", "AEAD", true},
	{0xc05d, "ECDHE-ECDSA-ARIA256-GCM-SHA384", "TLSv1.2", "ECDH", "ECDSA", "ARIAGCM(256)", "AEAD", true},
	{0xc061, "ECDHE-ARIA256-GCM-SHA384", "TLSv1.2", "ECDH", "RSA", "ARIAGCM(256)", "AEAD", true},
	{0xc057, "DHE-DSS-ARIA256-GCM-SHA384", "TLSv1.2", "DH", "DSS", "ARIAGCM(256)", "AEAD", true},
	{0xc053, "DHE-RSA-ARIA256-GCM-SHA384", "TLSv1.2", "DH", "RSA", "ARIAGCM(256)", "AEAD", true},
	{0x00a7, "ADH-AES256-GCM-SHA384", "TLSv1.2", "DH", "None", "AESGCM(256)", "AEAD", true},
	{0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2", "ECDH", "ECDSA", "AESGCM(128)", "AEAD", false},
	{0xc02f, "ECDHE-RSA-AES128-GCM-SHA256", "TLSv1.2", "ECDH", "RSA", "AESGCM(128)", "AEAD", false},
	{0x00a2, "DHE-DSS-AES128-GCM-SHA256", "TLSv1.2", "DH", "DSS", "AESGCM(128)", "AEAD", true},
	{0x009e, "DHE-RSA-AES128-GCM-SHA256", "TLSv1.2", "DH", "RSA", "AESGCM(128)", "AEAD", false},
	{0xc0ae, "ECDHE-ECDSA-AES128-CCM8", "TLSv1.2", "ECDH", "ECDSA", "AESCCM8(128)", "AEAD", true},
	{0xc0ac, "ECDHE-ECDSA-AES128-CCM", "TLSv1.2", "ECDH", "ECDSA", "AESCCM(128)", "AEAD", true},
	{0xc0a2, "DHE-RSA-AES128-CCM8", "TLSv1.2", "DH", "RSA", "AESCCM8(128)", "AEAD", true},
	{0xc09e, "DHE-RSA-AES128-CCM", "TLSv1.2", "DH", "RSA", "AESCCM(128)", "AEAD", true},
	{0xc05c, "ECDHE-ECDSA-ARIA128-GCM-SHA256", "TLSv1.2", "ECDH", "ECDSA", "ARIAGCM(128)", "AEAD", true},
	{0xc060, "ECDHE-ARIA128-GCM-SHA256", "TLSv1.2", "ECDH", "RSA", "ARIAGCM(128)", "AEAD", true},
	{0xc056, "DHE-DSS-ARIA128-GCM-SHA256", "TLSv1.2", "DH", "DSS", "ARIAGCM(128)", "AEAD", true},
	{0xc052, "DHE-RSA-ARIA128-GCM-SHA256", "TLSv1.2", "DH", "RSA", "ARIAGCM(128)", "AEAD", true},
	{0x00a6, "ADH-AES128-GCM-SHA256", "TLSv1.2", "DH", "None", "AESGCM(128)", "AEAD", true},
	{0xc024, "ECDHE-ECDSA-AES256-SHA384", "TLSv1.2", "ECDH", "ECDSA", "AES(256)", "SHA384", false},
	{0xc028, "ECDHE-RSA-AES256-SHA384", "TLSv1.2", "ECDH", "RSA", "AES(256)", "SHA384", false},
	{0x006b, "DHE-RSA-AES256-SHA256", "TLSv1.2", "DH", "RSA", "AES(256)", "SHA256", false},
	{0x006a, "DHE-DSS-AES256-SHA256", "TLSv1.2", "DH", "DSS", "AES(256)", "SHA256", true},
	{0xc073, "ECDHE-ECDSA-CAMELLIA256-SHA384", "TLSv1.2", "ECDH", "ECDSA", "Camellia(256)", "SHA384", true},
	{0xc077, "ECDHE-RSA-CAMELLIA256-SHA384", "TLSv1.2", "ECDH", "RSA", "Camellia(256)", "SHA384", true},
	{0x00c4, "DHE-RSA-CAMELLIA256-SHA256", "TLSv1.2", "DH", "RSA", "Camellia(256)", "SHA256", true},
	{0x00c3, "DHE-DSS-CAMELLIA256-SHA256", "TLSv1.2", "DH", "DSS", "Camellia(256)", "SHA256", true},
	{0x006d, "ADH-AES256-SHA256", "TLSv1.2", "DH", "None", "AES(256)", "SHA256", true},
	{0x00c5, "ADH-CAMELLIA256-SHA256", "TLSv1.2", "DH", "None", "Camellia(256)", "SHA256", true},
	{0xc023, "ECDHE-ECDSA-AES128-SHA256", "TLSv1.2", "ECDH", "ECDSA", "AES(128)", "SHA256", false},
	{0xc027, "ECDHE-RSA-AES128-SHA256", "TLSv1.2", "ECDH", "RSA", "AES(128)", "SHA256", false},
	{0x0067, "DHE-RSA-AES128-SHA256", "TLSv1.2", "DH", "RSA", "AES(128)", "SHA256", false},
	{0x0040, "DHE-DSS-AES128-SHA256", "TLSv1.2", "DH", "DSS", "AES(128)", "SHA256", true},
	{0xc072, "ECDHE-ECDSA-CAMELLIA128-SHA256", "TLSv1.2", "ECDH", "ECDSA", "Camellia(128)", "SHA256", true},
	{0xc076, "ECDHE-RSA-CAMELLIA128-SHA256", "TLSv1.2", "ECDH", "RSA", "Camellia(128)", "SHA256", true},
	{0x00be, "DHE-RSA-CAMELLIA128-SHA256", "TLSv1.2", "DH", "RSA", "Camellia(128)", "SHA256", true},
	{0x00bd, "DHE-DSS-CAMELLIA128-SHA256", "TLSv1.2", "DH", "DSS", "Camellia(128)", "SHA256", true},
	{0x006c, "ADH-AES128-SHA256", "TLSv1.2", "DH", "None", "AES(128)", "SHA256", true},
	{0x00bf, "ADH-CAMELLIA128-SHA256", "TLSv1.2", "DH", "None", "Camellia(128)", "SHA256", true},
	{0xc00a, "ECDHE-ECDSA-AES256-SHA", "TLSv1", "ECDH", "ECDSA", "AES(256)", "SHA1", false},
	{0xc014, "ECDHE-RSA-AES256-SHA", "TLSv1", "ECDH", "RSA", "AES(256)", "SHA1", false},
	{0x0039, "DHE-RSA-AES256-SHA", "SSLv3", "DH", "RSA", "AES(256)", "SHA1", false},
	{0x0038, "DHE-DSS-AES256-SHA", "SSLv3", "DH", "DSS", "AES(256)", "SHA1", true},
	{0x0088, "DHE-RSA-CAMELLIA256-SHA", "SSLv3", "DH", "RSA", "Camellia(256)", "SHA1", true},
	{0x0087, "DHE-DSS-CAMELLIA256-SHA", "SSLv3", "DH", "DSS", "Camellia(256)", "SHA1", true},
	{0xc019, "AECDH-AES256-SHA", "TLSv1", "ECDH", "None", "AES(256)", "SHA1", true},
	{0x003a, "ADH-AES256-SHA", "SSLv3", "DH", "None", "AES(256)", "SHA1", true},
	{0x0089, "ADH-CAMELLIA256-SHA", "SSLv3", "DH", "None", "Camellia(256)", "SHA1", true},
	{0xc009, "ECDHE-ECDSA-AES128-SHA", "TLSv1", "ECDH", "ECDSA", "AES(128)", "SHA1", false},
	{0xc013, "ECDHE-RSA-AES128-SHA", "TLSv1", "ECDH", "RSA", "AES(128)", "SHA1", false},
	{0x0033, "DHE-RSA-AES128-SHA", "SSLv3", "DH", "RSA", "AES(128)", "SHA1", false},
	{0x0032, "DHE-DSS-AES128-SHA", "SSLv3", "DH", "DSS", "AES(128)", "SHA1", true},
	{0x0045, "DHE-RSA-CAMELLIA128-SHA", "SSLv3", "DH", "RSA", "Camellia(128)", "SHA1", true},
	{0x0044, "DHE-DSS-CAMELLIA128-SHA", "SSLv3", "DH", "DSS", "Camellia(128)", "SHA1", true},
	{0xc018, "AECDH-AES128-SHA", "TLSv1", "ECDH", "None", "AES(128)", "SHA1", true},
	{0xc007, "ECDHE-ECDSA-RC4-SHA", "TLSv1", "ECDH", "ECDSA", "RC4(128)", "SHA1", true},
	{0xc011, "ECDHE-RSA-RC4-SHA", "TLSv1", "ECDH", "RSA", "RC4(128)", "SHA1", true},
	{0xc012, "ECDHE-RSA-DES-CBC3-SHA", "TLSv1", "ECDH", "RSA", "3DES(168)", "SHA1", true},
	{0x0034, "ADH-AES128-SHA", "SSLv3", "DH", "None", "AES(128)", "SHA1", true},
	{0x0046, "ADH-CAMELLIA128-SHA", "SSLv3", "DH", "None", "Camellia(128)", "SHA1", true},
	{0x00ad, "RSA-PSK-AES256-GCM-SHA384", "TLSv1.2", "RSAPSK", "RSA", "AESGCM(256)", "AEAD", false},
	{0x00ab, "DHE-PSK-AES256-GCM-SHA384", "TLSv1.2", "DHEPSK", "PSK", "AESGCM(256)", "AEAD", false},
	{0xccae, "RSA-PSK-CHACHA20-POLY1305", "TLSv1.2", "RSAPSK", "RSA", "CHACHA20/POLY1305(256)", "AEAD", false},
	{0xccad, "DHE-PSK-CHACHA20-POLY1305", "TLSv1.2", "DHEPSK", "PSK", "CHACHA20/POLY1305(256)", "AEAD", false},
	{0xccac, "ECDHE-PSK-CHACHA20-POLY1305", "TLSv1.2", "ECDHEPSK", "PSK", "CHACHA20/POLY1305(256)", "AEAD", false},
	{0xc0ab, "DHE-PSK-AES256-CCM8", "TLSv1.2", "DHEPSK", "PSK", "AESCCM8(256)", "AEAD", true},
	{0xc0a7, "DHE-PSK-AES256-CCM", "TLSv1.2", "DHEPSK", "PSK", "AESCCM(256)", "AEAD", true},
	{0xc06f, "RSA-PSK-ARIA256-GCM-SHA384", "TLSv1.2", "RSAPSK", "RSA", "ARIAGCM(256)", "AEAD", true},
	{0xc06d, "DHE-PSK-ARIA256-GCM-SHA384", "TLSv1.2", "DHEPSK", "PSK", "ARIAGCM(256)", "AEAD", true},
	{0x009d, "AES256-GCM-SHA384", "TLSv1.2", "RSA", "RSA", "AESGCM(256)", "AEAD", false},
	{0xc0a1, "AES256-CCM8", "TLSv1.2", "RSA", "RSA", "AESCCM8(256)", "AEAD", true},
	{0xc09d, "AES256-CCM", "TLSv1.2", "RSA", "RSA", "AESCCM(256)", "AEAD", true},
	{0xc051, "ARIA256-GCM-SHA384", "TLSv1.2", "RSA", "RSA", "ARIAGCM(256)", "AEAD", true},
	{0x00a9, "PSK-AES256-GCM-SHA384", "TLSv1.2", "PSK", "PSK", "AESGCM(256)", "AEAD", false},
	{0xccab, "PSK-CHACHA20-POLY1305", "TLSv1.2", "PSK", "PSK", "CHACHA20/POLY1305(256)", "AEAD", false},
	{0xc0a9, "PSK-AES256-CCM8", "TLSv1.2", "PSK", "PSK", "AESCCM8(256)", "AEAD", true},
	{0xc0a5, "PSK-AES256-CCM", "TLSv1.2", "PSK", "PSK", "AESCCM(256)", "AEAD", true},
	{0xc06b, "PSK-ARIA256-GCM-SHA384", "TLSv1.2", "PSK", "PSK", "ARIAGCM(256)", "AEAD", true},
	{0x00ac, "RSA-PSK-AES128-GCM-SHA256", "TLSv1.2", "RSAPSK", "RSA", "AESGCM(128)", "AEAD", false},
	{0x00aa, "DHE-PSK-AES128-GCM-SHA256", "TLSv1.2", "DHEPSK", "PSK", "AESGCM(128)", "AEAD", false},
	{0xc0aa, "DHE-PSK-AES128-CCM8", "TLSv1.2", "DHEPSK", "PSK", "AESCCM8(128)", "AEAD", true},
	{0xc0a6, "DHE-PSK-AES128-CCM", "TLSv1.2", "DHEPSK", "PSK", "AESCCM(128)", "AEAD", true},
	{0xc06e, "RSA-PSK-ARIA128-GCM-SHA256", "TLSv1.2", "RSAPSK", "RSA", "ARIAGCM(128)", "AEAD", true},
	{0xc06c, "DHE-PSK-ARIA128-GCM-SHA256", "TLSv1.2", "DHEPSK", "PSK", "ARIAGCM(128)", "AEAD", true},
	{0x009c, "AES128-GCM-SHA256", "TLSv1.2", "RSA", "RSA", "AESGCM(128)", "AEAD", false},
	{0xc0a0, "AES128-CCM8", "TLSv1.2", "RSA", "RSA", "AESCCM8(128)", "AEAD", true},
	{0xc09c, "AES128-CCM", "TLSv1.2", "RSA", "RSA", "AESCCM(128)", "AEAD", true},
	{0xc050, "ARIA128-GCM-SHA256", "TLSv1.2", "RSA", "RSA", "ARIAGCM(128)", "AEAD", true},
	{0x00a8, "PSK-AES128-GCM-SHA256", "TLSv1.2", "PSK", "PSK", "AESGCM(128)", "AEAD", false},
	{0xc0a8, "PSK-AES128-CCM8", "TLSv1.2", "PSK", "PSK", "AESCCM8(128)", "AEAD", true},
	{0xc0a4, "PSK-AES128-CCM", "TLSv1.2", "PSK", "PSK", "AESCCM(128)", "AEAD", true},
	{0xc06a, "PSK-ARIA128-GCM-SHA256", "TLSv1.2", "PSK", "PSK", "ARIAGCM(128)", "AEAD", true},
	{0x003d, "AES256-SHA256", "TLSv1.2", "RSA", "RSA", "AES(256)", "SHA256", false},
	{0x00c0, "CAMELLIA256-SHA256", "TLSv1.2", "RSA", "RSA", "Camellia(256)", "SHA256", true},
	{0x003c, "AES128-SHA256", "TLSv1.2", "RSA", "RSA", "AES(128)", "SHA256", false},
	{0x00ba, "CAMELLIA128-SHA256", "TLSv1.2", "RSA", "RSA", "Camellia(128)", "SHA256", true},
	{0xc038, "ECDHE-PSK-AES256-CBC-SHA384", "TLSv1", "ECDHEPSK", "PSK", "AES(256)", "SHA384", false},
	{0xc036, "ECDHE-PSK-AES256-CBC-SHA", "TLSv1", "ECDHEPSK", "PSK", "AES(256)", "SHA1", false},
	{0xc022, "SRP-DSS-AES-256-CBC-SHA", "SSLv3", "SRP", "DSS", "AES(256)", "SHA1", true},
	{0xc021, "SRP-RSA-AES-256-CBC-SHA", "SSLv3", "SRP", "RSA", "AES(256)", "SHA1", false},
	{0xc020, "SRP-AES-256-CBC-SHA", "SSLv3", "SRP", "SRP", "AES(256)", "SHA1", false},
	{0x00b7, "RSA-PSK-AES256-CBC-SHA384", "TLSv1", "RSAPSK", "RSA", "AES(256)", "SHA384", false},
	{0x00b3, "DHE-PSK-AES256-CBC-SHA384", "TLSv1", "DHEPSK", "PSK", "AES(256)", "SHA384", false},
	{0x0095, "RSA-PSK-AES256-CBC-SHA", "SSLv3", "RSAPSK", "RSA", "AES(256)", "SHA1", false},
	{0x0091, "DHE-PSK-AES256-CBC-SHA", "SSLv3", "DHEPSK", "PSK", "AES(256)", "SHA1", false},
	{0xc09b, "ECDHE-PSK-CAMELLIA256-SHA384", "TLSv1", "ECDHEPSK", "PSK", "Camellia(256)", "SHA384", true},
	{0xc099, "RSA-PSK-CAMELLIA256-SHA384", "TLSv1", "RSAPSK", "RSA", "Camellia(256)", "SHA384", true},
	{0xc097, "DHE-PSK-CAMELLIA256-SHA384", "TLSv1", "DHEPSK", "PSK", "Camellia(256)", "SHA384", true},
	{0x0035, "AES256-SHA", "SSLv3", "RSA", "RSA", "AES(256)", "SHA1", false},
	{0x0084, "CAMELLIA256-SHA", "SSLv3", "RSA", "RSA", "Camellia(256)", "SHA1", true},
	{0x00af, "PSK-AES256-CBC-SHA384", "TLSv1", "PSK", "PSK", "AES(256)", "SHA384", false},
	{0x008d, "PSK-AES256-CBC-SHA", "SSLv3", "PSK", "PSK", "AES(256)", "SHA1", false},
	{0xc095, "PSK-CAMELLIA256-SHA384", "TLSv1", "PSK", "PSK", "Camellia(256)", "SHA384", true},
	{0xc037, "ECDHE-PSK-AES128-CBC-SHA256", "TLSv1", "ECDHEPSK", "PSK", "AES(128)", "SHA256", false},
	{0xc035, "ECDHE-PSK-AES128-CBC-SHA", "TLSv1", "ECDHEPSK", "PSK", "AES(128)", "SHA1", false},
	{0xc01f, "SRP-DSS-AES-128-CBC-SHA", "SSLv3", "SRP", "DSS", "AES(128)", "SHA1", true},
	{0xc01e, "SRP-RSA-AES-128-CBC-SHA", "SSLv3", "SRP", "RSA", "AES(128)", "SHA1", false},
	{0xc01d, "SRP-AES-128-CBC-SHA", "SSLv3", "SRP", "SRP", "AES(128)", "SHA1", false},
	{0x00b6, "RSA-PSK-AES128-CBC-SHA256", "TLSv1", "RSAPSK", "RSA", "AES(128)", "SHA256", false},
	{0x00b2, "DHE-PSK-AES128-CBC-SHA256", "TLSv1", "DHEPSK", "PSK", "AES(128)", "SHA256", false},
	{0x0094, "RSA-PSK-AES128-CBC-SHA", "SSLv3", "RSAPSK", "RSA", "AES(128)", "SHA1", false},
	{0x0090, "DHE-PSK-AES128-CBC-SHA", "SSLv3", "DHEPSK", "PSK", "AES(128)", "SHA1", false},
	{0xc09a, "ECDHE-PSK-CAMELLIA128-SHA256", "TLSv1", "ECDHEPSK", "PSK", "Camellia(128)", "SHA256", true},
	{0xc098, "RSA-PSK-CAMELLIA128-SHA256", "TLSv1", "RSAPSK", "RSA", "Camellia(128)", "SHA256", true},
	{0xc096, "DHE-PSK-CAMELLIA128-SHA256", "TLSv1", "DHEPSK", "PSK", "Camellia(128)", "SHA256", true},
	{0x002f, "AES128-SHA", "SSLv3", "RSA", "RSA", "AES(128)", "SHA1", false},
	{0x0041, "CAMELLIA128-SHA", "SSLv3", "RSA", "RSA", "Camellia(128)", "SHA1", true},
	{0x00ae, "PSK-AES128-CBC-SHA256", "TLSv1", "PSK", "PSK", "AES(128)", "SHA256", false},
	{0x008c, "PSK-AES128-CBC-SHA", "SSLv3", "PSK", "PSK", "AES(128)", "SHA1", false},
	{0xc094, "PSK-CAMELLIA128-SHA256", "TLSv1", "PSK", "PSK", "Camellia(128)", "SHA256", true},
	{0x0005, "RC4-SHA", "SSLv3", "RSA", "RSA", "RC4(128)", "SHA1", true},
	{0x000a, "DES-CBC3-SHA", "SSLv3", "RSA", "RSA", "3DES(168)", "SHA1", true},
	{0xc006, "ECDHE-ECDSA-NULL-SHA", "TLSv1", "ECDH", "ECDSA", "None", "SHA1", false},
	{0xc010, "ECDHE-RSA-NULL-SHA", "TLSv1", "ECDH", "RSA", "None", "SHA1", false},
	{0xc015, "AECDH-NULL-SHA", "TLSv1", "ECDH", "None", "None", "SHA1", false},
	{0x003b, "NULL-SHA256", "TLSv1.2", "RSA", "RSA", "None", "SHA256", false},
	{0xc03b, "ECDHE-PSK-NULL-SHA384", "TLSv1", "ECDHEPSK", "PSK", "None", "SHA384", false},
	{0xc03a, "ECDHE-PSK-NULL-SHA256", "TLSv1", "ECDHEPSK", "PSK", "None", "SHA256", false},
	{0xc039, "ECDHE-PSK-NULL-SHA", "TLSv1", "ECDHEPSK", "PSK", "None", "SHA1", false},
	{0x00b9, "RSA-PSK-NULL-SHA384", "TLSv1", "RSAPSK", "RSA", "None", "SHA384", false},
	{0x00b8, "RSA-PSK-NULL-SHA256", "TLSv1", "RSAPSK", "RSA", "None", "SHA256", false},
	{0x00b5, "DHE-PSK-NULL-SHA384", "TLSv1", "DHEPSK", "PSK", "None", "SHA384", false},
	{0x00b4, "DHE-PSK-NULL-SHA256", "TLSv1", "DHEPSK", "PSK", "None", "SHA256", false},
	{0x002e, "RSA-PSK-NULL-SHA", "SSLv3", "RSAPSK", "RSA", "None", "SHA1", false},
	{0x002d, "DHE-PSK-NULL-SHA", "SSLv3", "DHEPSK", "PSK", "None", "SHA1", false},
	{0x0002, "NULL-SHA", "SSLv3", "RSA", "RSA", "None", "SHA1", false},
	{0x0001, "NULL-MD5", "SSLv3", "RSA", "RSA", "None", "MD5", false},
	{0x00b1, "PSK-NULL-SHA384", "TLSv1", "PSK", "PSK", "None", "SHA384", false},
	{0x00b0, "PSK-NULL-SHA256", "TLSv1", "PSK", "PSK", "None", "SHA256", false},
	{0x002c, "PSK-NULL-SHA", "SSLv3", "PSK", "PSK", "None", "SHA1", false},
}
