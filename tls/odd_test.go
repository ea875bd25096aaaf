package tls

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The certificates that OpenSSL serves and crypto/x509 does not parse; see
// testdata/record-odd.
const odd = "testdata/odd/"

// oddWarnings has what is logged of each of testdata/odd; "": nothing.
var oddWarnings = map[string]string{
	"bad-time":             "malformed validity",
	"blank-dns":            "malformed DNS name in subjectAltName",
	"blank-uri":            "malformed URI in subjectAltName",
	"compressed":           "malformed public key",
	"critical-aia":         "extension that must not be critical",
	"critical-skid":        "extension that must not be critical",
	"crt":                  "", // by x509rsacrt=0 in go.mod
	"duplicate":            "duplicate extension",
	"explicit":             "explicit curve parameters",
	"explicit-P-384":       "explicit curve parameters",
	"explicit-P-521":       "explicit curve parameters",
	"explicit-certificate": "explicit curve parameters",
	"explicit-key":         "", // the certificate names the curve
	"explicit-sec1":        "explicit curve parameters",
	"hybrid":               "malformed public key",
	"negative":             "", // by x509negativeserial=1 in go.mod
	"rsa-parameters":       "malformed public key",
	"underscore":           "malformed issuer or subject",
	"utf8-dns":             "malformed DNS name in subjectAltName",
	"utf8-email":           "malformed email address in subjectAltName",
}

func oddConfig(mode string, names ...string) Config {
	cfg := Config{Mode: mode, Protocol: "any", Options: []string{"no_tlsv1", "no_tlsv1_1"}}
	for _, name := range names {
		cfg.Certificates = append(cfg.Certificates, KeyPair{Certificate: odd + name + ".crt", Key: odd + name + ".key"})
	}
	return cfg
}

// Each is loaded, with a warning that names the file and what is wrong.
func TestOddCertificatesLoad(t *testing.T) {
	files, err := filepath.Glob(odd + "*.crt")
	if err != nil || len(files) != len(oddWarnings)+1 { // and secp256k1
		t.Fatalf("%d certificates, %v", len(files), err)
	}
	for name, want := range oddWarnings {
		_, notices, err := NewContext(oddConfig("server", name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var texts []string
		for _, n := range notices {
			texts = append(texts, n.Level+": "+n.Text)
		}
		if want == "" && len(notices) == 0 {
			continue
		}
		want = fmt.Sprintf("warn: Certificate 1 of %s.crt is sent as it is, but some peers will refuse it: %s", odd+name, want)
		if !slices.Equal(texts, []string{want}) {
			t.Errorf("%s: %q, not %q", name, texts, want)
		}
	}
}

// What crypto/tls cannot sign with is refused, and so is another key.
func TestOddCertificatesRefused(t *testing.T) {
	for _, c := range []struct{ crt, key, want string }{
		{"explicit-secp256k1", "explicit-secp256k1", "error loading private key (failed to parse EC private key embedded in PKCS#8: x509: unknown elliptic curve)"},
		{"explicit-secp256k1", "explicit", "error loading certificate (invalid ECDSA parameters)"},
		{"utf8-dns", "explicit", "private key does not match public key"},
		{"explicit", "utf8-dns", "private key does not match public key"},
		{"explicit", "explicit-P-384", "private key does not match public key"},
		{"compressed", "hybrid", "private key does not match public key"},
		{"rsa-parameters", "crt", "private key does not match public key"},
	} {
		_, _, err := NewContext(Config{Mode: "server", Protocol: "any",
			Certificates: []KeyPair{{Certificate: odd + c.crt + ".crt", Key: odd + c.key + ".key"}}})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s with %s: %v, not %s", c.crt, c.key, err, c.want)
		}
	}
}

// An issuer in the chain that cannot be read is sent, too.
func TestOddIssuerWarns(t *testing.T) {
	own, err := os.ReadFile(keys + "p256.crt")
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := os.ReadFile(odd + "utf8-dns.crt")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "chain")
	writeFile(t, file, append(own, issuer...))
	_, notices, err := NewContext(Config{Mode: "server", Protocol: "tlsv1_3",
		Certificates: []KeyPair{{Certificate: file, Key: keys + "p256.key"}}})
	if err != nil || len(notices) != 1 || !strings.HasPrefix(notices[0].Text, "Certificate 2 of "+file) {
		t.Errorf("%v, %v", notices, err)
	}
}

// openssl s_client takes what we serve, byte for byte, and s_server what we
// present as a client.
func TestOddCertificatesByOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl to talk with")
	}
	for name := range oddWarnings {
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			if version == "-tls1_2" && (name == "compressed" || name == "hybrid") {
				continue // crypto/tls says that it has uncompressed points only
			}
			t.Run("server "+name+version, func(t *testing.T) {
				got := fromClient(t, oddConfig("server", name), version)
				checkSent(t, got, name)
			})
			t.Run("client "+name+version, func(t *testing.T) {
				got := fromServer(t, oddConfig("client", name), version)
				checkSent(t, got, name)
			})
		}
	}
}

// Of several certificates the client gets the one whose signature it asks for.
func TestSeveralOddCertificatesByOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl to talk with")
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		for wanted, algorithms := range map[string]string{
			"utf8-dns":       "ECDSA+SHA256",
			"rsa-parameters": "RSA-PSS+SHA256:RSA+SHA256",
		} {
			for _, order := range [][]string{{"utf8-dns", "rsa-parameters"}, {"rsa-parameters", "utf8-dns"}} {
				got := fromClient(t, oddConfig("server", order...), version, "-sigalgs", algorithms)
				checkSent(t, got, wanted)
			}
		}
	}
}

// checkSent looks for the certificate in what openssl printed.
func checkSent(t *testing.T, printed, name string) {
	t.Helper()
	data, err := os.ReadFile(odd + name + ".crt")
	if err != nil {
		t.Fatal(err)
	}
	chain, err := parseChain(data)
	if err != nil {
		t.Fatal(err)
	}
	want := base64.StdEncoding.EncodeToString(chain[0])
	if !strings.Contains(strings.ReplaceAll(printed, "\n", ""), want) {
		t.Errorf("the certificate was not sent:\n%s", printed)
	}
}

// fromClient has openssl s_client connect to a server with a configuration, and
// returns what it prints.
func fromClient(t *testing.T, cfg Config, args ...string) string {
	t.Helper()
	context, _, err := NewContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_ = pump(newEndpoint(context, Options{}), conn) // s_client says what went wrong
			_ = conn.Close()
		}
	}()
	openssl := exec.Command("openssl", append([]string{"s_client", "-connect", listener.Addr().String(), "-showcerts"}, args...)...)
	openssl.Stdin = strings.NewReader("Q\n")
	out, err := openssl.CombinedOutput()
	if err != nil {
		t.Errorf("s_client: %v\n%s", err, out)
	}
	return string(out)
}

// fromServer has a client with a configuration connect to openssl s_server,
// which insists on a certificate, and returns what that prints.
func fromServer(t *testing.T, cfg Config, args ...string) string {
	t.Helper()
	context, _, err := NewContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	address := freeAddress(t)
	openssl := exec.Command("openssl", append([]string{"s_server", "-accept", address, "-naccept", "1", "-Verify", "9",
		"-cert", keys + "rsa.crt", "-key", keys + "rsa.key"}, args...)...)
	openssl.Stdout, openssl.Stderr = &out, &out
	if _, err := openssl.StdinPipe(); err != nil { // it ends with its input
		t.Fatal(err)
	}
	if err := openssl.Start(); err != nil {
		t.Fatal(err)
	}
	conn := dialSoon(t, address)
	err = pump(newEndpoint(context, Options{}), conn)
	_ = conn.Close()
	_ = openssl.Wait() // its status is the verification's
	if err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	return out.String()
}

func freeAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// dialSoon waits for somebody to listen.
func dialSoon(t *testing.T, address string) net.Conn {
	for range 500 {
		if conn, err := net.Dial("tcp", address); err == nil {
			return conn
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("nobody listens at " + address)
	return nil
}

// pump runs a handshake over a connection, and after it waits for the peer's end.
func pump(e *endpoint, conn net.Conn) error {
	ended := make(chan bool)
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			e.Feed(buffer[:n])
			if err != nil {
				e.FeedEOF()
				close(ended)
				return
			}
		}
	}()
	e.start()
	for done := false; !done; {
		<-e.bell
		done = e.done() // before the last output is taken
		if _, err := conn.Write(e.Output()); err != nil {
			return err
		}
	}
	if e.Err() == nil && e.context.Server() {
		<-ended
	}
	return e.Err()
}
