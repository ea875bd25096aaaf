package tls

import (
	"crypto/x509"
	"strings"
)

// unreadableReasons are short texts of ours for what crypto/x509 says, by a part
// of its text, the first that fits. They are few and constant, because a peer
// chooses among them and crypto/x509's own may quote kilobytes of a certificate.
var unreadableReasons = []struct{ part, reason string }{
	{"negative serial", "negative serial number"},
	{"incorrectly marked critical", "critical extension that must not be critical"},
	{"duplicate extension", "duplicate extension"},
	{"RDNSequence", "malformed issuer or subject"},
	{"malformed issuer", "malformed issuer or subject"},
	{"SAN dNSName", "malformed DNS name in subjectAltName"},
	{"SAN rfc822Name", "malformed email address in subjectAltName"},
	{"SAN uniformResourceIdentifier", "malformed URI in subjectAltName"},
	{"cannot parse URI", "malformed URI in subjectAltName"},
	{"cannot parse IP address", "malformed IP address in subjectAltName"},
	{"ECDSA parameters", "explicit curve parameters"},
	{"elliptic curve", "unsupported curve"},
	{"public key", "malformed public key"},
	{"spki", "malformed public key"},
	{"subjectPublicKey", "malformed public key"},
	{"RSA", "malformed public key"},
	{"DSA", "malformed public key"},
	{"25519", "malformed public key"},
	{"Time", "malformed validity"},
	{"validity", "malformed validity"},
	{"time format", "malformed validity"},
}

// whyUnreadable says in constant words why crypto/x509 could not parse a
// certificate. text is an error of it, or contains one.
func whyUnreadable(text string) string {
	// What follows may be a quotation.
	text, _, _ = strings.Cut(text, `"`)
	for _, r := range unreadableReasons {
		if strings.Contains(text, r.part) {
			return r.reason
		}
	}
	return "malformed certificate"
}

// peerUnreadable is the disconnect reason for a certificate of the peer that
// crypto/tls cannot parse or use; ok is false if text, an error of crypto/tls's,
// is about something else. Which certificate of the chain it is cannot be told:
// crypto/tls stops at the first one and keeps its position to itself.
func peerUnreadable(text string) (reason string, ok bool) {
	switch {
	case strings.Contains(text, "failed to parse certificate from server"),
		strings.Contains(text, "failed to parse client certificate"):
		return "a certificate in the peer's chain cannot be read: " + whyUnreadable(text), true
	case strings.Contains(text, "sent certificate containing RSA key larger than"):
		return "a certificate in the peer's chain has an RSA key over 8192 bits", true
	case strings.Contains(text, "unsupported public key of type"),
		strings.Contains(text, "unsupported type of public key"):
		return "the peer's certificate has a key of a type that is not supported", true
	}
	return "", false
}

// noteUnreadable warns of the first certificate of a chain of our own that
// crypto/x509 cannot parse: it is sent as it is, but peers that are as strict
// refuse it.
func noteUnreadable(file string, chain [][]byte, n *notices) {
	for i, der := range chain {
		if _, err := x509.ParseCertificate(der); err != nil {
			n.add("warn", "Certificate %d of %s is sent as it is, but some peers will refuse it: %s",
				i+1, file, whyUnreadable(err.Error()))
			return
		}
	}
}
