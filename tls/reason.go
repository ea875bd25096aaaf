package tls

import (
	stdtls "crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
)

// alertReasons are OpenSSL's texts for the alerts that a peer sends, by
// crypto/tls's text for the same alert.
var alertReasons = map[string]string{
	"unexpected message":              "sslv3 alert unexpected message",
	"bad record MAC":                  "sslv3 alert bad record mac",
	"decryption failed":               "tlsv1 alert decryption failed",
	"record overflow":                 "tlsv1 alert record overflow",
	"decompression failure":           "sslv3 alert decompression failure",
	"handshake failure":               "sslv3 alert handshake failure",
	"bad certificate":                 "sslv3 alert bad certificate",
	"unsupported certificate":         "sslv3 alert unsupported certificate",
	"revoked certificate":             "sslv3 alert certificate revoked",
	"expired certificate":             "sslv3 alert certificate expired",
	"unknown certificate":             "sslv3 alert certificate unknown",
	"illegal parameter":               "sslv3 alert illegal parameter",
	"unknown certificate authority":   "tlsv1 alert unknown ca",
	"access denied":                   "tlsv1 alert access denied",
	"error decoding message":          "tlsv1 alert decode error",
	"error decrypting message":        "tlsv1 alert decrypt error",
	"export restriction":              "tlsv1 alert export restriction",
	"protocol version not supported":  "tlsv1 alert protocol version",
	"insufficient security level":     "tlsv1 alert insufficient security",
	"internal error":                  "tlsv1 alert internal error",
	"inappropriate fallback":          "tlsv1 alert inappropriate fallback",
	"user canceled":                   "tlsv1 alert user cancelled",
	"no renegotiation":                "tlsv1 alert no renegotiation",
	"missing extension":               "tlsv13 alert missing extension",
	"unsupported extension":           "tlsv1 unsupported extension",
	"unrecognized name":               "tlsv1 unrecognized name",
	"bad certificate status response": "tlsv1 bad certificate status response",
	"unknown PSK identity":            "tlsv1 alert unknown psk identity",
	"certificate required":            "tlsv13 alert certificate required",
	"no application protocol":         "tlsv1 alert no application protocol",
}

// localReasons are OpenSSL's texts for what crypto/tls finds wrong itself,
// by a part of crypto/tls's text.
var localReasons = []struct{ part, reason string }{
	{"no cipher suite supported by both", "no shared cipher"},
	{"unsupported versions", "unsupported protocol"},
	{"unsupported version", "unsupported protocol"},
	{"selected unsupported protocol version", "unsupported protocol"},
	{"no ECDHE curve supported by both", "no suitable key share"},
	{"no key exchanges supported by both", "no suitable key share"},
	{"didn't provide a certificate", "peer did not return a certificate"},
	{"bad record MAC", "decryption failed or bad record mac"},
	{"oversized record", "packet length too long"},
	{"no certificates configured", "no suitable signature algorithm"},
	{"doesn't support any of the certificate's signature", "no suitable signature algorithm"},
	{"peer doesn't support any", "no suitable signature algorithm"},
	{"failed to parse certificate", "certificate verify failed"},
	{"invalid signature by the", "bad signature"},
	{"inappropriate protocol fallback", "inappropriate fallback"},
}

// Reason is the disconnect reason for err: OpenSSL's words where there are
// any, as LuaSec gives them (contract 3.6).
func (s *Session) Reason(err error) string {
	switch {
	case s.refusal != nil:
		return s.refusal.Error()
	case errors.Is(err, errCut):
		return errCut.Error()
	case errors.Is(err, errUntrusty):
		return errUntrusty.Error()
	}
	var header stdtls.RecordHeaderError
	if errors.As(err, &header) {
		if strings.Contains(header.Msg, "oversized record") {
			return "packet length too long"
		}
		return notTLS(header.RecordHeader[:])
	}
	if errors.Is(err, io.EOF) {
		return "closed" // a close_notify in the midst of the handshake
	}
	var op *net.OpError
	text := err.Error()
	if errors.As(err, &op) && op.Op == "remote error" {
		alert := strings.TrimPrefix(op.Err.Error(), "tls: ")
		if reason, ok := alertReasons[alert]; ok {
			return reason
		}
		return "sslv3 alert " + alert
	}
	if op != nil {
		text = op.Err.Error() // without "local error"
	}
	for _, l := range localReasons {
		if strings.Contains(text, l.part) {
			return l.reason
		}
	}
	return strings.TrimPrefix(text, "tls: ")
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
