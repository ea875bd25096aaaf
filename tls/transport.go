package tls

import (
	"io"
	"net"
	"time"

	"net.server_go/bell"
)

// again is what the transport's Read says when there is nothing: crypto/tls
// goes on later after an error that is temporary.
type again struct{}

func (again) Error() string   { return "no data yet" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// transport is the memory below crypto/tls. While the handshake runs its
// Read yields until there is something; afterwards it says errAgain.
type transport struct {
	mu        bell.Lock
	in, out   []byte
	lent      bool // in is somebody else's
	full      bool // there will be news when there is room
	handshake *handshake
	over      bool // the handshake
	ended     error
	yield     func() // of the handshake
	taken     int    // bytes of in that the handshake has read
	first     byte   // that came from the peer
}

func (t *transport) Read(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.in) == 0 {
		if t.ended != nil {
			return 0, t.ended
		}
		if t.over {
			return 0, errAgain
		}
		t.wait()
	}
	if !t.over && t.taken > handshakeLimit {
		return 0, errTooMuch
	}
	n := copy(p, t.in)
	t.taken += n
	if t.in = t.in[n:]; len(t.in) == 0 {
		t.in = nil
	}
	if t.full && len(t.in) < inputLimit {
		t.full = false
		if !t.over {
			t.handshake.news = true
		}
	}
	return n, nil
}

// wait lets other handshakes go on until there may be input.
func (t *transport) wait() {
	if len(t.out) > 0 {
		t.handshake.news = true
	}
	t.mu.Unlock()
	t.yield()
	t.mu.Lock()
}

// news says that the loop is to look at the session after this step.
func (t *transport) news() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handshake.news = true
}

// begin starts the handshake h.
func (t *transport) begin(h *handshake) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handshake = h
	h.resume()
}

// resume lets the handshake go on, if there is one.
func (t *transport) resume() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resumeHandshake()
}

func (t *transport) resumeHandshake() {
	if t.handshake != nil {
		t.handshake.resume()
	}
}

// Write queues: crypto/tls takes an error of a write for permanent.
func (t *transport) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = append(t.out, p...)
	return len(p), nil
}

// reserve makes room for so much more output at once, which is cheaper than
// growing by and by.
func (t *transport) reserve(size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cap(t.out)-len(t.out) < size {
		t.out = append(make([]byte, 0, len(t.out)+size), t.out...)
	}
}

// lend reports false if there is something that comes before data.
func (t *transport) lend(data []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.in) > 0 || !t.over {
		return false
	}
	t.in, t.lent = data, true
	return true
}

func (t *transport) takeBack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lent {
		t.in, t.lent = append([]byte(nil), t.in...), false
	}
}

func (t *transport) reuse(memory []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil {
		t.out = memory[:0]
	}
}

func (t *transport) feed(data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == 0 && len(data) > 0 {
		t.first = data[0]
	}
	t.in = append(t.in, data...)
	t.resumeHandshake()
}

// firstReceived is the first byte from the peer, the type of its first record; 0 if
// there is none.
func (t *transport) firstReceived() byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first
}

// handshakeLimit bounds what a whole handshake reads, most of which crypto/tls
// keeps meanwhile: a hello of 64 KiB, certificates of 100 KB (OpenSSL's limit), and
// what is around them.
const handshakeLimit = 192 << 10

// inputLimit is how much a peer may send ahead of the handshake.
const inputLimit = 128 << 10

func (t *transport) isFull() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.full = len(t.in) >= inputLimit
	return t.full
}

func (t *transport) held() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taken + len(t.in) + len(t.out)
}

func (t *transport) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = err
	t.resumeHandshake()
}

func (t *transport) takeOutput() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.out
	t.out = nil
	return out
}

func (t *transport) outputSize() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.out)
}

func (t *transport) handshakeOver() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handshake.news = true
	t.over, t.handshake, t.yield = true, nil, nil
}

// crypto/tls calls none of these unless it is asked to close or to time out.
func (t *transport) Close() error                     { return nil }
func (t *transport) LocalAddr() net.Addr              { return nil }
func (t *transport) RemoteAddr() net.Addr             { return nil }
func (t *transport) SetDeadline(time.Time) error      { return nil }
func (t *transport) SetReadDeadline(time.Time) error  { return nil }
func (t *transport) SetWriteDeadline(time.Time) error { return nil }

var _ io.ReadWriteCloser = (*transport)(nil)
