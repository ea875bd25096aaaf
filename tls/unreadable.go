package tls

import (
	"crypto/x509"
	"strings"
)

// unreadableWords are short texts of ours for what crypto/x509 could not read of
// a certificate, by a part of its text. The first that fits counts. They are
// constant, because a peer chooses among them and crypto/x509's own texts may
// quote kilobytes of a certificate.
var unreadableWords = []struct{ part, reason string }{
	{"negative serial number", "negative serial number"},
	{"serial number", "malformed serial number"},
	{"incorrectly marked critical", "extension that must not be critical"},
	{"duplicate extension", "duplicate extension"},
	{"RDNSequence", "malformed issuer or subject"},
	{"malformed issuer", "malformed issuer or subject"},
	{"SAN dNSName", "malformed DNS name in subjectAltName"},
	{"SAN rfc822Name", "malformed email address in subjectAltName"},
	{"SAN uniformResourceIdentifier", "malformed URI in subjectAltName"},
	{"cannot parse URI", "malformed URI in subjectAltName"},
	{"cannot parse IP address", "malformed IP address in subjectAltName"},
	{"subject alternative name", "malformed subjectAltName"},
	{"onstraint", "malformed constraints"}, // basic, name, policy
	{"key usage", "malformed key usage"},
	{"key identifier", "malformed key identifier"},
	{"distribution point", "malformed CRL distribution points"},
	{"authority info access", "malformed authority information access"},
	{"polic", "malformed policies"},
	{"extension", "malformed extension"},
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
	{"algorithm identifier", "malformed signature algorithm"},
	{"trailing data", "trailing data"},
}

// whyUnreadable says in constant words why crypto/x509 could not parse a
// certificate. text is its error, or one that contains it.
func whyUnreadable(text string) string {
	text, _, _ = strings.Cut(text, `"`) // what follows is a quotation
	for _, w := range unreadableWords {
		if strings.Contains(text, w.part) {
			return w.reason
		}
	}
	return "malformed"
}

// unreadable is the disconnect reason for a certificate of the peer that
// crypto/tls cannot parse. It does not say which one of the chain it is, because
// crypto/tls stops at the first and keeps its position to itself.
func unreadable(text string) string {
	return "certificate of the peer cannot be read: " + whyUnreadable(text)
}

// noteUnreadable warns of the first certificate in one of our own chains that
// crypto/x509 cannot parse. It is sent as it is, but peers as strict as Go refuse
// it.
func noteUnreadable(file string, chain [][]byte, n *notices) {
	for i, der := range chain {
		if _, err := x509.ParseCertificate(der); err != nil {
			n.add("warn", "Certificate %d of %s is sent as it is, but some peers will refuse it: %s",
				i+1, file, whyUnreadable(err.Error()))
			return
		}
	}
}
