package tls

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// keyUpdateRecord is a TLS 1.3 record of TLS_AES_128_GCM_SHA256, the first
// under the secret, with two key updates, of which the first asks for one of
// the peer's (RFC 8446, 4.6.3, 5.2, 7.1).
func keyUpdateRecord(t *testing.T, secret []byte) []byte {
	t.Helper()
	expand := func(label string, n int) []byte {
		info := binary.BigEndian.AppendUint16(nil, uint16(n))
		info = append(info, byte(len("tls13 "+label)))
		info = append(info, "tls13 "+label+"\x00"...)
		out, err := hkdf.Expand(sha256.New, secret, string(info), n)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	block, err := aes.NewCipher(expand("key", 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	const keyUpdate, handshake = 24, 22
	plain := []byte{keyUpdate, 0, 0, 1, 1, keyUpdate, 0, 0, 1, 0, handshake}
	header := []byte{23, 3, 3, 0, byte(len(plain) + aead.Overhead())}
	return aead.Seal(header, expand("iv", 12), plain, header) // the record's number is 0
}

// clientSecret is the secret of the client's first key for data, in a key log.
func clientSecret(t *testing.T, log string) []byte {
	t.Helper()
	for line := range strings.Lines(log) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
	}
	t.Fatal("no secret in the key log")
	return nil
}

// sendTwoKeyUpdates connects with TLS over transport, sends them in one record,
// and waits for what comes of it.
func sendTwoKeyUpdates(t *testing.T, transport net.Conn) {
	t.Helper()
	var log bytes.Buffer
	client := tls.Client(transport, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, KeyLogWriter: &log})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if suite := client.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("the suite is %s", tls.CipherSuiteName(suite))
	}
	if _, err := transport.Write(keyUpdateRecord(t, clientSecret(t, log.String()))); err != nil {
		t.Fatal(err)
	}
	_ = transport.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, transport)
}

// TestGoTakesTwoKeyUpdatesInOneRecord: crypto/tls of Go 1.26.0 and 1.26.1 never
// returns from the Read that meets them, and whoever calls it never moves again.
// It is the reason for the version in go.mod. KEYUPDATE=host:port sends them to a
// server instead.
func TestGoTakesTwoKeyUpdatesInOneRecord(t *testing.T) {
	if address := os.Getenv("KEYUPDATE"); address != "" {
		transport, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer transport.Close()
		sendTwoKeyUpdates(t, transport)
		return
	}
	certificate, err := tls.LoadX509KeyPair(keys+"ed25519.crt", keys+"ed25519.key")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	returned := make(chan error, 1)
	go func() {
		transport, err := listener.Accept()
		if err != nil {
			returned <- err
			return
		}
		defer transport.Close()
		server := tls.Server(transport, &tls.Config{Certificates: []tls.Certificate{certificate}})
		_, err = server.Read(make([]byte, 1))
		returned <- err
	}()
	transport, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	sendTwoKeyUpdates(t, transport)
	transport.Close()
	select {
	case <-returned:
	case <-time.After(10 * time.Second):
		t.Fatal("Read does not return")
	}
}
