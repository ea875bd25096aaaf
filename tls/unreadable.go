package tls

// unreadableWords say what crypto/x509 could not read of a certificate, by a
// part of its text, which may quote the certificate. The first that fits counts.
var unreadableWords = []wording{
	{"negative serial number", "negative serial number"},
	{"serial number", "bad serial number"},
	{"duplicate extension", "duplicate extension"},
	{"incorrectly marked critical", "extension wrongly marked critical"},
	{"RDNSequence", "bad name"},
	{"issuer", "bad name"},
	{"Subject", "bad name"},
	{"GeneralizedTime", "bad time"},
	{"UTCTime", "bad time"},
	{"time format", "bad time"},
	{"validity", "bad time"},
	{"onstraint", "bad constraints"}, // basic, name, policy
	{"SAN ", "bad subjectAltName"},
	{"subject alternative name", "bad subjectAltName"},
	{"cannot parse URI", "bad subjectAltName"},
	{"IP address", "bad subjectAltName"},
	{"key identifier", "bad key identifier"},
	{"key usage", "bad key usage"},
	{"distribution point", "bad CRL distribution points"},
	{"authority info access", "bad authorityInfoAccess"},
	{"polic", "bad policies"},
	{"extension", "bad extension"},
	{"elliptic curve", "unsupported elliptic curve"},
	{"ECDSA", "bad EC key"},
	{"RSA", "bad RSA key"},
	{"DSA", "bad DSA key"},
	{"Ed25519", "bad Ed25519 key"},
	{"X25519", "bad X25519 key"},
	{"public key", "bad key"},
	{"subjectPublicKey", "bad key"},
	{"spki", "bad key"},
	{"signature algorithm identifiers don't match", "signature algorithms differ"},
	{"signature", "bad signature"},
	{"version", "bad version"},
	{"trailing data", "trailing data"},
}

// unreadable is the reason for a certificate of the peer that crypto/x509
// refuses with the error text.
func unreadable(text string) string {
	why := wordingOf(text, unreadableWords)
	if why == "" {
		why = "bad encoding"
	}
	return "certificate of the peer cannot be read: " + why
}
