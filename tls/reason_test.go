package tls

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// reasons are all that a peer can bring about.
func reasons() map[string]bool {
	set := map[string]bool{otherReason: true, unknownAlert: true, "closed": true}
	for _, err := range []error{errCut, errUntrusty, errTooMuch, errStopped, errName, errHello} {
		set[err.Error()] = true
	}
	for _, text := range alertReasons {
		set[text] = true
	}
	for _, w := range localReasons {
		set[w.reason] = true
	}
	for _, w := range unreadableWords {
		set[unreadable(w.part)] = true
	}
	set[unreadable("")] = true
	for _, header := range []string{"GET /", "CONNE", "\x17\x03\x03\x00\x00", "\x00\x00\x00\x00\x00"} {
		set[notTLS([]byte(header))] = true
	}
	return set
}

func TestReasonsAreFewShortAndPlain(t *testing.T) {
	set := reasons()
	if len(set) > 150 { // loop has room for so many in its statistics
		t.Errorf("%d reasons", len(set))
	}
	for reason := range set {
		if reason == "" || len(reason) > maxReason || strings.ContainsFunc(reason, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
			t.Errorf("%q", reason)
		}
	}
}

// TestReasonsQuoteNobody: errors as crypto/tls makes them of what a peer sent.
func TestReasonsQuoteNobody(t *testing.T) {
	long := strings.Repeat("x", 60_000)
	s, set := &Session{}, reasons()
	for _, text := range []string{
		"tls: failed to parse client certificate: x509: cannot parse URI %q: parse: invalid character",
		"tls: failed to parse certificate from server: x509: failed to parse dnsName constraint %q",
		"tls: failed to parse certificate from server: x509: certificate contains duplicate extension with OID %q",
		"tls: failed to parse client certificate: %s",
		"tls: client requested unsupported application protocols ([%q])",
		"tls: no cipher suite supported by both client and server; client offered: %x",
		"tls: client offered only unsupported versions: %x",
		"tls: who knows: %s",
		"internal error: %s",
		"%s",
	} {
		err := fmt.Errorf(text, long)
		for _, err := range []error{err, &net.OpError{Op: "local error", Err: err}, &net.OpError{Op: "remote error", Err: err}, fmt.Errorf("outer: %w", err)} {
			if reason := s.Reason(err); !set[reason] {
				t.Errorf("%.60s: %.120q", text, reason)
			}
		}
	}
}

func TestAlertReasons(t *testing.T) {
	s, set, known := &Session{}, reasons(), 0
	for number := range 256 {
		alert := stdtls.AlertError(number)
		reason := s.Reason(&net.OpError{Op: "remote error", Err: alert})
		if !set[reason] {
			t.Errorf("alert %d: %q", number, reason)
		}
		if reason != unknownAlert {
			known++
		}
		if mine := s.Reason(&net.OpError{Op: "local error", Err: alert}); !set[mine] {
			t.Errorf("own alert %d: %q", number, mine)
		}
	}
	if known != len(alertReasons) {
		t.Errorf("%d alerts are known of %d", known, len(alertReasons))
	}
}

func TestSomeReasons(t *testing.T) {
	s := &Session{}
	for _, test := range []struct {
		err  error
		want string
	}{
		{io.EOF, "closed"},
		{fmt.Errorf("x: %w", errCut), "unexpected eof while reading"},
		{&net.OpError{Op: "local error", Err: stdtls.AlertError(100)}, "renegotiation is not supported"},
		{&net.OpError{Op: "remote error", Err: stdtls.AlertError(100)}, "tlsv1 alert no renegotiation"},
		{&net.OpError{Op: "remote error", Err: stdtls.AlertError(200)}, "unknown alert"},
		{errors.New("tls: failed to parse certificate from server: x509: negative serial number"), "certificate of the peer cannot be read: negative serial number"},
		{errors.New("tls: failed to parse client certificate: x509: cannot parse URI \"negative serial number\": x"), "certificate of the peer cannot be read: malformed URI in subjectAltName"},
		{errors.New("tls: client offered only unsupported versions: [302 301]"), "unsupported protocol"},
		{errors.New("tls: handshake message of length 70000 bytes exceeds maximum of 65536 bytes"), "excessive message size"},
	} {
		if got := s.Reason(test.err); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}

// notOnAConnection are texts for those who program with the package.
var notOnAConnection = []string{
	"CloseWrite called", "Config M", "EncryptedClientHello", "MaxVersion must", "MinVersion must", "NextProtos", "SendSessionTicket",
	"Start called", "StoreSessionTicket", "VerifyHostname", "private key", "either ServerName", "failed to find", "key log",
	"found a", "found unknown", "wrong level", "did not verify certificate chain", "has not yet been performed", "neither Certificates",
	"FIPS", "Rand: ", "session encoding", "in client session", "unknown Renegotiation", "closeNotify", "supported before TLS 1.2",
	"unsupported certificate", "signing key type", "decryption key type", "too small for", "failed to parse private", "invalid NextProtos",
	"create cipher", "did not request an application protocol", "failed to verify certificate", "keys must have", "ECH", "timed out",
	"client offered TLS version older", "quic_transport", // QUIC
}

// TestReasonsKnowThisGo finds what a new crypto/tls says that has no words here.
func TestReasonsKnowThisGo(t *testing.T) {
	found := 0
	for text := range standardTexts(t, "crypto/tls", "tls: ") {
		found++
		if wordingOf(text, localReasons) != "" || strings.Contains(text, "failed to parse ") || text == "tls: " || text == "tls: alert(" || containsAny(text, notOnAConnection) {
			continue
		}
		t.Errorf("no words for %q", text)
	}
	if found < 100 {
		t.Errorf("only %d texts found", found)
	}
}

// TestUnreadableKnowsThisGo does the same for certificates.
func TestUnreadableKnowsThisGo(t *testing.T) {
	for _, der := range []string{"", "\x30\x00", "\x30\x03\x02\x01\x01"} {
		if _, err := x509.ParseCertificate([]byte(der)); err == nil || !reasons()[unreadable(err.Error())] {
			t.Errorf("%x: %v", der, err)
		}
	}
}

func containsAny(text string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

// standardTexts are the literals with a prefix in the source of a package.
func standardTexts(t *testing.T, path, prefix string) map[string]bool {
	t.Helper()
	p, err := build.Import(path, "", 0)
	if err != nil {
		t.Skip(err)
	}
	texts := map[string]bool{}
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING && name != "quic.go" {
				if text, err := strconv.Unquote(literal.Value); err == nil && strings.HasPrefix(text, prefix) {
					texts[text] = true
				}
			}
			return true
		})
	}
	return texts
}
