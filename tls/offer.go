package tls

import (
	stdtls "crypto/tls"
	"fmt"
	"strings"
)

// mostOffered is how many of each kind offerText names: a hello has room for
// 32,000.
const mostOffered = 16

// offerText says what a client offered, for who has to find out why nothing of
// it will do. It has names of ours, or numbers, and nothing that the client wrote.
func offerText(hello *stdtls.ClientHelloInfo) string {
	return "Offered by the peer: " + strings.Join([]string{
		offered("versions", hello.SupportedVersions, protocolNameOrNumber),
		offered("suites", hello.CipherSuites, suiteName),
		offered("groups", hello.SupportedCurves, groupName),
		offered("signatures", hello.SignatureSchemes, signatureName),
	}, "; ")
}

// offered lists the names of values.
func offered[T ~uint16](kind string, values []T, name func(T) string) string {
	var names []string
	for _, v := range values {
		if isGREASE(uint16(v)) {
			continue
		}
		names = append(names, name(v))
		if len(names) > mostOffered {
			names[mostOffered] = fmt.Sprintf("... (%d in all)", len(values))
			break
		}
	}
	if names == nil {
		names = []string{"none"}
	}
	return kind + " " + strings.Join(names, " ")
}

// isGREASE finds the values that only try a server's tolerance (RFC 8701).
func isGREASE(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

func number(v uint16) string { return fmt.Sprintf("0x%04X", v) }

func protocolNameOrNumber(v uint16) string {
	if name := protocolName(v); name != "unknown" {
		return name
	}
	return number(v)
}

// suiteName is OpenSSL's name, as in the setting ciphers.
func suiteName(id uint16) string {
	if s := suiteByID(id); s != nil {
		return s.name
	}
	return number(id)
}

func groupName(id stdtls.CurveID) string {
	if name := id.String(); !strings.Contains(name, "(") {
		return name
	}
	return number(uint16(id))
}

func signatureName(s stdtls.SignatureScheme) string {
	if name := s.String(); !strings.Contains(name, "(") {
		return name
	}
	return number(uint16(s))
}
