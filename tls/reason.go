package tls

import (
	stdtls "crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
)

// A reason goes to Lua, to the log and to metrics, so all of them are texts of
// this package, at most maxReason bytes long: a peer chooses among them, and
// writes none.
const maxReason = 100

// otherReason is for what no table below knows.
const otherReason = "other TLS error"

// alertReasons are OpenSSL's texts for the alerts that a peer sends (RFC 8446,
// section 6).
var alertReasons = map[stdtls.AlertError]string{
	10:  "sslv3 alert unexpected message",
	20:  "sslv3 alert bad record mac",
	21:  "tlsv1 alert decryption failed",
	22:  "tlsv1 alert record overflow",
	30:  "sslv3 alert decompression failure",
	40:  "sslv3 alert handshake failure",
	42:  "sslv3 alert bad certificate",
	43:  "sslv3 alert unsupported certificate",
	44:  "sslv3 alert certificate revoked",
	45:  "sslv3 alert certificate expired",
	46:  "sslv3 alert certificate unknown",
	47:  "sslv3 alert illegal parameter",
	48:  "tlsv1 alert unknown ca",
	49:  "tlsv1 alert access denied",
	50:  "tlsv1 alert decode error",
	51:  "tlsv1 alert decrypt error",
	60:  "tlsv1 alert export restriction",
	70:  "tlsv1 alert protocol version",
	71:  "tlsv1 alert insufficient security",
	80:  "tlsv1 alert internal error",
	86:  "tlsv1 alert inappropriate fallback",
	90:  "tlsv1 alert user cancelled",
	100: "tlsv1 alert no renegotiation",
	109: "tlsv13 alert missing extension",
	110: "tlsv1 unsupported extension",
	111: "tlsv1 certificate unobtainable",
	112: "tlsv1 unrecognized name",
	113: "tlsv1 bad certificate status response",
	114: "tlsv1 bad certificate hash value",
	115: "tlsv1 alert unknown psk identity",
	116: "tlsv13 alert certificate required",
	120: "tlsv1 alert no application protocol",
}

const unknownAlert = "unknown alert"

// alertsByText finds the number of an alert by crypto/tls's text for it, for the
// type of the errors that it returns is not exported.
var alertsByText = func() map[string]stdtls.AlertError {
	alerts := map[string]stdtls.AlertError{}
	for number := range alertReasons {
		alerts[number.Error()] = number
	}
	return alerts
}()

// A wording replaces the texts that have part in them.
type wording struct{ part, reason string }

// wordingOf is the reason of the first wording that concerns text; "" if none does.
func wordingOf(text string, list []wording) string {
	for _, w := range list {
		if strings.Contains(text, w.part) {
			return w.reason
		}
	}
	return ""
}

// localReasons are the texts for what crypto/tls finds wrong itself, by a part of
// crypto/tls's text: OpenSSL's where it has one. The first that fits counts.
var localReasons = []wording{
	{"internal error", "internal error"},
	{"no cipher suite supported by both", reasonNoCipher},
	{"chose an unconfigured cipher suite", "wrong cipher returned"},
	{"unsupported versions", reasonNoVersion},
	{"unsupported version", reasonNoVersion},
	{"selected unsupported protocol version", reasonNoVersion},
	{"protocol version not supported", reasonNoVersion},
	{"no supported versions satisfy", "no protocols available"},
	{"no ECDHE curve supported by both", reasonNoKeyShare},
	{"no key exchanges supported by both", reasonNoKeyShare},
	{"no supported elliptic curves", reasonNoKeyShare},
	{"incompatible point formats", reasonNoKeyShare},
	{"unsupported key exchange", reasonNoKeyShare},
	{"missing signature_algorithms", "missing sigalgs extension"},
	{"no certificates configured", reasonNoSignature},
	{"doesn't support any of the certificate's signature", reasonNoSignature},
	{"peer doesn't support", reasonNoSignature},
	{"didn't provide a certificate", "peer did not return a certificate"},
	{"received empty certificates message", "peer did not return a certificate"},
	{"bad record MAC", "decryption failed or bad record mac"},
	{"oversized record", "packet length too long"},
	{"record overflow", "packet length too long"},
	{"handshake message of length", "excessive message size"},
	{"RSA key larger than", "certificate with too large an RSA key"},
	{"unsupported public key", "certificate with an unsupported kind of key"},
	{"unsupported type of public key", "certificate with an unsupported kind of key"},
	{"incorrect key type", "wrong certificate type"},
	{"invalid signature by the", "bad signature"},
	{"invalid signature algorithm", "wrong signature type"},
	{"inappropriate protocol fallback", "inappropriate fallback"},
	{"downgrade attempt", "inappropriate fallback"},
	{"Finished message", "digest check failed"},
	{"finished hash", "digest check failed"},
	{"PSK binder", "binder does not verify"},
	{"invalid PSK", "bad psk"},
	{"unexpected handshake message", "unexpected message"},
	{"unexpected message", "unexpected message"},
	{"buffer not empty", "unexpected message"},
	{"too many ignored records", "too many records without data"},
	{"too many non-advancing", "too many records without data"},
	{"early", "early data is not supported"},
	{"0-RTT", "early data is not supported"},
	{"renegotiation", "renegotiation is not supported"},
	{"unsupported application protocol", "no application protocol"},
	{"ALPN", "bad extension"},
	{"encrypted client hello", "bad extension"},
	{"encrypted_client_hello", "bad extension"},
	{"Encrypted Client Hello", "bad extension"},
	{"client hello", "bad extension"},
	{"outer extensions", "bad extension"},
	{"server_name extension", "bad extension"},
	{"illegally modified", "bad hello retry request"},
	{"HelloRetryRequest", "bad hello retry request"},
	{"second ClientHello", "bad hello retry request"},
	{"cookie", "bad hello retry request"},
	{"extended_master_secret", "inconsistent extms"},
	{"EMS extension", "inconsistent extms"},
	{"resumed a session", "wrong session"},
	{"session ID", "invalid session id"},
	{"session ticket", "bad ticket"},
	{"compress", "unsupported compression algorithm"},
	{"key share", "bad key share"},
	{"key_share", "bad key share"},
	{"KeyExchange message", "bad key exchange"},
	{"ServerKeyExchange", "bad key exchange"},
	{"unsupported curve", "wrong curve"},
	{"unoffered curve", "wrong curve"},
	{"unsupported group", "wrong curve"},
	{"legacy version", "bad legacy version"},
	{"forbidden in TLS 1.3", "bad extension"},
	{"CertificateStatus", "unexpected message"},
	{"key update", "unexpected message"},
	{"certificate cannot be used", "wrong certificate type"},
	{"public key", "certificate with an unsupported kind of key"},
	{"failed to sign", "signing failed"},
	{"protocol is shutdown", "protocol is shutdown"},
	{"error decoding message", "error decoding message"},
	{"error decrypting message", "error decrypting message"},
	{"illegal parameter", "illegal parameter"},
	{"handshake failure", "handshake failure"},
	{"bad certificate", "certificate verify failed"},
	{"missing extension", "missing extension"},
	{"unsupported extension", "bad extension"},
}

// What a server has to say more of: see offerText.
const (
	reasonNoCipher    = "no shared cipher"
	reasonNoVersion   = "unsupported protocol"
	reasonNoKeyShare  = "no suitable key share"
	reasonNoSignature = "no suitable signature algorithm"
)

// Reason is the disconnect reason for err: OpenSSL's words where there are
// any, as LuaSec gives them (contract 3.6).
func (s *Session) Reason(err error) string {
	if s.refusal != nil {
		return s.refusal.Error()
	}
	for _, own := range []error{errCut, errUntrusty, errTooMuch, errStopped} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	if s.context != nil && !s.context.hasVersion() {
		return "no protocols available"
	}
	if errors.Is(err, io.EOF) {
		return "closed" // a close_notify in the midst of the handshake
	}
	return reasonOf(err)
}

// reasonOf is the one place that puts errors of crypto/tls and crypto/x509 into
// words.
func reasonOf(err error) string {
	var header stdtls.RecordHeaderError
	if errors.As(err, &header) {
		return headerReason(header)
	}
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) {
		text = op.Err.Error()
		if op.Op == "remote error" {
			return alertReason(text)
		}
	}
	text, _, _ = strings.Cut(text, "\"") // what comes then is quoted from the peer
	if _, why, unread := strings.Cut(text, "failed to parse "); unread {
		return unreadable(why)
	}
	if reason := wordingOf(text, localReasons); reason != "" {
		return reason
	}
	return otherReason
}

// alertReason is for the alert that crypto/tls calls text.
func alertReason(text string) string {
	if number, known := alertsByText[text]; known {
		return alertReasons[number]
	}
	return unknownAlert
}

func headerReason(header stdtls.RecordHeaderError) string {
	if strings.Contains(header.Msg, "oversized record") {
		return "packet length too long"
	}
	return notTLS(header.RecordHeader[:])
}

const recordApplicationData = 23 // RFC 8446, 5.1

// notTLS is OpenSSL's text for a first record that is none.
func notTLS(header []byte) string {
	for _, method := range []string{"GET ", "POST ", "HEAD ", "PUT "} {
		if strings.HasPrefix(string(header), method) || strings.HasPrefix(method, string(header)) {
			return "http request"
		}
	}
	if strings.HasPrefix(string(header), "CONNE") {
		return "https proxy request"
	}
	if header[0] == recordApplicationData && header[1] == 3 {
		return "unexpected message"
	}
	return "wrong version number"
}
