package tls

import (
	"bufio"
	stdtls "crypto/tls"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// infos is what LuaSec says of a connection with each suite: the fields of
// info() in the order of testdata/info-server.lua. RC4 and 3DES, which Debian's
// OpenSSL does not have, are from OpenSSL's source.
var infos = []string{
	"TLSv1.3 TLS_AES_128_GCM_SHA256 AESGCM(128) AEAD any any 128.0 128.0 false nil",
	"TLSv1.3 TLS_AES_256_GCM_SHA384 AESGCM(256) AEAD any any 256.0 256.0 false nil",
	"TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 CHACHA20/POLY1305(256) AEAD any any 256.0 256.0 false nil",
	"TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 AESGCM(128) AEAD ECDH ECDSA 128.0 128.0 false nil",
	"TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 AESGCM(256) AEAD ECDH ECDSA 256.0 256.0 false nil",
	"TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 AESGCM(128) AEAD ECDH RSA 128.0 128.0 false nil",
	"TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384 AESGCM(256) AEAD ECDH RSA 256.0 256.0 false nil",
	"TLSv1.2 ECDHE-RSA-CHACHA20-POLY1305 CHACHA20/POLY1305(256) AEAD ECDH RSA 256.0 256.0 false nil",
	"TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305 CHACHA20/POLY1305(256) AEAD ECDH ECDSA 256.0 256.0 false nil",
	"TLSv1.2 ECDHE-ECDSA-AES128-SHA AES(128) SHA1 ECDH ECDSA 128.0 128.0 false nil",
	"TLSv1.2 ECDHE-ECDSA-AES256-SHA AES(256) SHA1 ECDH ECDSA 256.0 256.0 false nil",
	"TLSv1.2 ECDHE-RSA-AES128-SHA AES(128) SHA1 ECDH RSA 128.0 128.0 false nil",
	"TLSv1.2 ECDHE-RSA-AES256-SHA AES(256) SHA1 ECDH RSA 256.0 256.0 false nil",
	"TLSv1.2 ECDHE-ECDSA-AES128-SHA256 AES(128) SHA256 ECDH ECDSA 128.0 128.0 false nil",
	"TLSv1.2 ECDHE-RSA-AES128-SHA256 AES(128) SHA256 ECDH RSA 128.0 128.0 false nil",
	"TLSv1.2 AES128-GCM-SHA256 AESGCM(128) AEAD RSA RSA 128.0 128.0 false nil",
	"TLSv1.2 AES256-GCM-SHA384 AESGCM(256) AEAD RSA RSA 256.0 256.0 false nil",
	"TLSv1.2 AES128-SHA256 AES(128) SHA256 RSA RSA 128.0 128.0 false nil",
	"TLSv1.2 AES128-SHA AES(128) SHA1 RSA RSA 128.0 128.0 false nil",
	"TLSv1.2 AES256-SHA AES(256) SHA1 RSA RSA 256.0 256.0 false nil",
	"TLSv1.1 ECDHE-RSA-AES256-SHA AES(256) SHA1 ECDH RSA 256.0 256.0 false nil",
	"TLSv1 ECDHE-RSA-AES256-SHA AES(256) SHA1 ECDH RSA 256.0 256.0 false nil",
	"TLSv1.2 ECDHE-ECDSA-RC4-SHA RC4(128) SHA1 ECDH ECDSA 128.0 128.0 false nil",
	"TLSv1.2 ECDHE-RSA-RC4-SHA RC4(128) SHA1 ECDH RSA 128.0 128.0 false nil",
	"TLSv1.2 RC4-SHA RC4(128) SHA1 RSA RSA 128.0 128.0 false nil",
	"TLSv1.2 ECDHE-RSA-DES-CBC3-SHA 3DES(168) SHA1 ECDH RSA 112.0 168.0 false nil",
	"TLSv1.2 DES-CBC3-SHA 3DES(168) SHA1 RSA RSA 112.0 168.0 false nil",
}

var versionByName = map[string]uint16{
	"TLSv1":   stdtls.VersionTLS10,
	"TLSv1.1": stdtls.VersionTLS11,
	"TLSv1.2": stdtls.VersionTLS12,
	"TLSv1.3": stdtls.VersionTLS13,
}

// recordedState is the state that a line of infos is about.
func recordedState(t *testing.T, line string) stdtls.ConnectionState {
	fields := strings.Fields(line)
	cs := stdtls.ConnectionState{Version: versionByName[fields[0]]}
	for id := range inGo {
		if s := suiteByID(id); s != nil && s.name == fields[1] {
			cs.CipherSuite = id
			return cs
		}
	}
	t.Fatalf("no suite %s", fields[1])
	return cs
}

func infoLine(i Info) string {
	compression := i.Compression
	if compression == "" {
		compression = "nil"
	}
	return fmt.Sprintf("%s %s %s %s %s %s %d.0 %d.0 %t %s", i.Protocol, i.Cipher, i.Encryption, i.MAC, i.Key,
		i.Authentication, i.Bits, i.AlgBits, i.Export, compression)
}

func TestInfoOf(t *testing.T) {
	seen := map[uint16]bool{}
	for _, want := range infos {
		cs := recordedState(t, want)
		seen[cs.CipherSuite] = true
		if got := infoLine(InfoOf(cs)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if len(seen) != len(inGo) {
		t.Errorf("%d suites recorded of %d", len(seen), len(inGo))
	}
}

func TestInfoOfNothing(t *testing.T) {
	if got := InfoOf(stdtls.ConnectionState{}); got != (Info{Protocol: "unknown"}) {
		t.Errorf("%+v", got)
	}
}

// TestInfoByLuaSec has LuaSec describe a connection with each suite.
func TestInfoByLuaSec(t *testing.T) {
	lua, err := exec.LookPath("lua5.4")
	if err != nil || exec.Command(lua, "-e", `require "ssl"`).Run() != nil {
		t.Skip("no LuaSec to compare with; its answers are recorded in infos")
	}
	var lines []string
	for _, line := range infos {
		// Debian's OpenSSL has neither.
		if !strings.Contains(line, "RC4") && !strings.Contains(line, "3DES") {
			lines = append(lines, line)
		}
	}
	server := exec.Command(lua, "testdata/info-server.lua", keys, strconv.Itoa(len(lines)))
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		// It may have ended by itself, after the last connection.
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		cs := recordedState(t, line)
		conn, err := stdtls.Dial("tcp", "127.0.0.1:"+strings.TrimSpace(port), &stdtls.Config{
			InsecureSkipVerify: true,
			MinVersion:         cs.Version,
			MaxVersion:         cs.Version,
			CipherSuites:       []uint16{cs.CipherSuite},
		})
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		said, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if got := infoLine(InfoOf(conn.ConnectionState())) + "\n"; got != said {
			t.Errorf("LuaSec %sours   %s", said, got)
		}
		if cs.Version != stdtls.VersionTLS13 && said != line+"\n" {
			t.Errorf("LuaSec   %srecorded %s", said, line)
		}
		if err := conn.Close(); err != nil {
			t.Log(err) // LuaSec may have closed first
		}
	}
}
