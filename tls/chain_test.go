package tls

import (
	"bytes"
	stdtls "crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// issuedFiles makes a leaf, its issuer and the root with openssl, goes to their
// folder, and has them in "hashed" as -CApath wants them. The leaf "odd" cannot
// be parsed by crypto/x509.
func issuedFiles(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl to make certificates with")
	}
	t.Chdir(t.TempDir())
	script := `
		new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -utf8 -keyout $1.key -subj /CN=$1 "${@:2}"; }
		sign() { openssl x509 -req -in $1.csr -CA $2.crt -CAkey $2.key -set_serial $3 -days 30 -copy_extensions copy -out $1.crt; }
		set -e
		new root -x509 -days 30 -out root.crt
		new middle -addext basicConstraints=critical,CA:true -out middle.csr
		new leaf -addext subjectAltName=DNS:leaf -out leaf.csr
		new odd -addext subjectAltName=DNS:täst -out odd.csr
		sign middle root 1; sign leaf middle 2; sign odd middle 3
		new negative -out negative.csr; sign negative middle -7
		mkdir hashed; cp middle.crt root.crt hashed; openssl rehash hashed
		cat middle.crt root.crt >both.crt
		cat leaf.crt middle.crt >chain.crt
		cat leaf.crt root.crt >hole.crt
		cp leaf.key chain.key; cp leaf.key hole.key; cp root.key self.key; cp root.crt self.crt`
	if out, err := exec.Command("bash", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// chains has what OpenSSL 3.0 sends: certificates by name.
var chains = []struct {
	own, cafile, capath string
	sent                string
}{
	{"leaf", "", "", "leaf"},
	{"leaf", "both.crt", "", "leaf middle root"},
	{"leaf", "", "hashed", "leaf middle root"},
	{"leaf", "middle.crt", "", "leaf middle"},
	{"leaf", "root.crt", "", "leaf"},
	{"leaf", "root.crt", "hashed", "leaf middle root"},
	{"chain", "both.crt", "", "leaf middle"},
	{"hole", "both.crt", "", "leaf root"},
	{"self", "both.crt", "", "root"},
	{"odd", "both.crt", "", "odd middle root"},
}

// names has the common name of each certificate.
func names(t *testing.T, chain [][]byte) string {
	t.Helper()
	var list []string
	for _, der := range chain {
		for _, name := range []string{"leaf", "middle", "root", "odd"} {
			data, err := os.ReadFile(name + ".crt")
			if err != nil {
				t.Fatal(err)
			}
			if block, _ := pem.Decode(data); bytes.Equal(block.Bytes, der) {
				list = append(list, name)
			}
		}
	}
	return strings.Join(list, " ")
}

func TestChainIsCompleted(t *testing.T) {
	issuedFiles(t)
	for _, c := range chains {
		for _, mode := range []string{"server", "client"} {
			context, _, err := NewContext(Config{Mode: mode, Protocol: "any", CAFile: c.cafile, CAPath: c.capath,
				Certificates: []KeyPair{{Certificate: c.own + ".crt", Key: c.own + ".key"}}})
			if err != nil {
				t.Fatal(err)
			}
			if got := names(t, context.certificates[0].Certificate); got != c.sent {
				t.Errorf("%s with %s%s sends %q, not %q", c.own, c.cafile, c.capath, got, c.sent)
			}
		}
	}
}

// A certificate with a negative serial number is verified as OpenSSL does: its
// signature counts, not its number. A file with no CA but one that Go cannot parse
// loads, and nobody is trusted on account of it.
func TestNegativeSerialIsVerified(t *testing.T) {
	issuedFiles(t)
	server, _, err := NewContext(Config{Mode: "server", Protocol: "any", CAFile: "both.crt",
		Certificates: []KeyPair{{Certificate: "negative.crt", Key: "negative.key"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, ca := range []string{"root.crt", "odd.crt"} {
		client, _, err := NewContext(Config{Mode: "client", Protocol: "any", CAFile: ca,
			Verify: []string{"peer"}, VerifyExt: []string{"lsec_continue"}})
		if err != nil {
			t.Fatal(err)
		}
		openssl := exec.Command("openssl", "verify", "-no-CApath", "-no-CAfile", "-trusted", ca, "-untrusted", "middle.crt", "negative.crt")
		_, c := connected(t, server, client)
		if v := c.Verification(); v.OK != (openssl.Run() == nil) || v.OK != (ca == "root.crt") {
			t.Errorf("%s: %+v", ca, v)
		}
	}
}

// TestChainByLuaSec asks LuaSec what it sends.
func TestChainByLuaSec(t *testing.T) {
	lua, err := exec.LookPath("lua5.4")
	if err != nil || exec.Command(lua, "-e", `require "ssl"`).Run() != nil {
		t.Skip("no LuaSec to compare with; its answers are recorded in chains")
	}
	issuedFiles(t)
	for _, c := range chains {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		config := Config{Mode: "server", Protocol: "any", CAFile: c.cafile, CAPath: c.capath,
			Certificates: []KeyPair{{Certificate: c.own + ".crt", Key: c.own + ".key"}}}
		port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
		server := exec.Command(lua, "-e", `local ssl, socket = require "ssl", require "socket"
			local conn = assert(socket.connect("127.0.0.1", `+port+`))
			ssl.wrap(conn, assert(ssl.newcontext(`+luaTable(config)+`))):dohandshake()`)
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		var sent [][]byte
		client := stdtls.Client(conn, &stdtls.Config{InsecureSkipVerify: true, MaxVersion: stdtls.VersionTLS12,
			VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error { sent = raw; return nil }})
		if err := client.Handshake(); err != nil && c.own != "odd" { // which crypto/tls does not parse
			t.Error(err)
		}
		if got := names(t, sent); got != c.sent && c.own != "odd" {
			t.Errorf("LuaSec: %s with %s%s sends %q, recorded %q", c.own, c.cafile, c.capath, got, c.sent)
		}
		_ = conn.Close()
		_ = listener.Close()
		_ = server.Wait()
	}
}
