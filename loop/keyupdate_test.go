package loop

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	stdtls "crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rekeyer is a client of TLS 1.3 that makes its records itself, because
// crypto/tls asks nobody for new keys.
type rekeyer struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	number uint64
}

// newRekeyer does the handshake with h. It reads nothing behind that.
func newRekeyer(l *testLoop, h Handle, peer net.Conn) *rekeyer {
	l.t.Helper()
	l.startTLS(h, l.context("server"), 0, "")
	var secrets bytes.Buffer
	over := make(chan error)
	client := stdtls.Client(peer, &stdtls.Config{InsecureSkipVerify: true, MinVersion: stdtls.VersionTLS13, KeyLogWriter: &secrets})
	go func() { over <- client.Handshake() }()
	l.await(Secured, h)
	if err := <-over; err != nil {
		l.t.Fatal(err)
	}
	if client.ConnectionState().CipherSuite != stdtls.TLS_AES_128_GCM_SHA256 {
		l.t.Skip("made for processors with AES")
	}
	_, line, _ := strings.Cut(secrets.String(), "CLIENT_TRAFFIC_SECRET_0 ")
	line, _, _ = strings.Cut(line, "\n")
	_, secret, _ := strings.Cut(line, " ")
	r := &rekeyer{}
	r.use(l.t, must(hex.DecodeString(secret))(l.t))
	return r
}

// expand is HKDF-Expand-Label with an empty context (RFC 8446, section 7.1).
func expand(t testing.TB, secret []byte, label string, size int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "+label+"\x00"...)
	return must(hkdf.Expand(sha256.New, secret, string(info), size))(t)
}

func (r *rekeyer) use(t testing.TB, secret []byte) {
	block := must(aes.NewCipher(expand(t, secret, "key", 16)))(t)
	r.aead = must(cipher.NewGCM(block))(t)
	r.secret, r.iv, r.number = secret, expand(t, secret, "iv", 12), 0
}

// record appends one record.
func (r *rekeyer) record(to []byte, kind byte, data string) []byte {
	nonce := bytes.Clone(r.iv)
	for i, b := range binary.BigEndian.AppendUint64(nil, r.number) {
		nonce[4+i] ^= b
	}
	r.number++
	head := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(data)+1+r.aead.Overhead()))
	return r.aead.Seal(append(to, head...), nonce, append([]byte(data), kind), head)
}

const (
	recordHandshake = 22
	recordData      = 23
	keyUpdate       = "\x18\x00\x00\x01\x01" // update_requested
)

// ask is so many requests for new keys, and a byte lest they count as useless.
func (r *rekeyer) ask(t testing.TB, updates int) (output []byte) {
	for range updates {
		output = r.record(output, recordHandshake, keyUpdate)
		r.use(t, expand(t, r.secret, "traffic upd", sha256.Size))
	}
	return r.record(output, recordData, ".")
}

// narrow is a connection of h that has little room in the kernel.
func narrow(t testing.TB, l *testLoop) (h Handle, peer net.Conn) {
	t.Helper()
	h, owners, fd := l.pair(unix.SOCK_STREAM, 0)
	for _, fd := range []int{owners, fd} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 32<<10); err != nil {
			t.Fatal(err)
		}
	}
	file := os.NewFile(uintptr(must(unix.Dup(fd))(t)), "peer")
	peer = must(net.FileConn(file))(t)
	t.Cleanup(func() { _ = peer.Close() }) // nobody reads it any more
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return h, peer
}

// TestKeyUpdatesWithoutReading: who asks for new keys and does not take the
// answers is not read any more, until he does.
func TestKeyUpdatesWithoutReading(t *testing.T) {
	l := newTestLoop(t)
	h, peer := narrow(t, l)
	r := newRekeyer(l, h, peer)
	const total = 16 << 20
	sent, stalled, rest := 0, 0, []byte(nil)
	for stalled < 20 && sent < total {
		if len(rest) == 0 {
			rest = r.ask(t, 14)
		}
		if err := peer.SetWriteDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := peer.Write(rest)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if stalled++; n > 0 {
			stalled = 0
		}
		sent, rest = sent+n, rest[n:]
		l.step(0)
		if unsent := l.Stats().Unsent; unsent > maxOwed+1024 {
			t.Fatalf("%d bytes of answers wait after %d bytes of requests", unsent, sent)
		}
	}
	if sent >= total {
		t.Fatalf("all of %d bytes are read", sent)
	}
	l.quiet()
	// He reads, and all goes on. What is left of the last records comes with it.
	go func() { _, _ = io.Copy(io.Discard, peer) }() // until the end of the test
	if err := peer.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = peer.Write(append(rest, r.record(nil, recordData, "end")...)) }() // the loop says if it did not come
	for got := ""; !strings.HasSuffix(got, "end"); {
		got += string(l.await(Data, h).Bytes)
	}
	l.Release(h)
}

// TestOwnOutputDoesNotStopReading: two that write much before they read.
func TestOwnOutputDoesNotStopReading(t *testing.T) {
	l := newTestLoop(t)
	h, peer := narrow(t, l)
	r := newRekeyer(l, h, peer)
	const size = 4 << 20
	l.put(h, pattern(size))
	l.step(0)
	go func() {
		var output []byte
		for range 64 {
			output = r.record(append(output, r.ask(t, 10)...), recordData, pattern(1000))
		}
		_, _ = peer.Write(output) // the loop says if it did not come
	}()
	l.awaitData(h, 64*1001)
	if unsent := l.Stats().Unsent; unsent < size/2 {
		t.Errorf("only %d bytes wait", unsent)
	}
	l.Release(h)
}
