package loop

import (
	stdtls "crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"net.server_go/tls"
)

// smallHelloServer ends connections whose client hello is not in one packet of
// Ethernet's. On the others it serves TLS.
func smallHelloServer(t *testing.T) *net.TCPAddr {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	const keys = "../tls/testdata/keys/"
	certificate := must(stdtls.LoadX509KeyPair(keys+"p256.crt", keys+"p256.key"))(t)
	var served sync.WaitGroup
	ended := make(chan struct{})
	t.Cleanup(func() {
		listener.Close()
		close(ended)
		served.Wait()
	})
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				<-ended
				conn.Close()
			})
			served.Go(func() { serveSmallHello(conn, certificate) })
		}
	})
	return listener.Addr().(*net.TCPAddr)
}

func serveSmallHello(conn net.Conn, certificate stdtls.Certificate) {
	defer conn.Close()
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err != nil || int(head[3])<<8|int(head[4]) > 1400 {
		return
	}
	server := stdtls.Server(&headed{conn, head}, &stdtls.Config{Certificates: []stdtls.Certificate{certificate}})
	_, _ = io.Copy(server, server)
}

// headed is a connection of which the first bytes were read already.
type headed struct {
	net.Conn
	head []byte
}

func (h *headed) Read(p []byte) (int, error) {
	if len(h.head) > 0 {
		n := copy(p, h.head)
		h.head = h.head[n:]
		return n, nil
	}
	return h.Conn.Read(p)
}

// TestServerThatCannotReadALongHello: it is reached at the second attempt, by direct
// TLS, which begins before the connection is there, and by STARTTLS.
func TestServerThatCannotReadALongHello(t *testing.T) {
	for _, direct := range []bool{true, false} {
		t.Run(fmt.Sprintf("direct=%t", direct), func(t *testing.T) {
			l := newTestLoop(t)
			at := smallHelloServer(t)
			attempt := func() Handle {
				h := must(l.Dial("127.0.0.1", at.Port, "", 0))(t).Handle
				if direct {
					l.startTLS(h, l.context("client"), startDirect, "")
				} else {
					l.await(Connected, h)
					l.startTLS(h, l.context("client"), 0, "")
				}
				return h
			}
			l.await(Closed, attempt())
			h := attempt()
			l.await(Secured, h)
			if got := tls.InfoOf(l.Session(h).ConnectionState()).Group; got != "x25519" {
				t.Errorf("the group is %q, want x25519", got)
			}
			l.put(h, "hello")
			l.wantData(h, "hello")
		})
	}
}

// TestPostQuantumIsASetting: it holds for servers and for clients.
func TestPostQuantumIsASetting(t *testing.T) {
	for _, c := range []struct {
		postQuantum bool
		want        string
	}{{true, "X25519MLKEM768"}, {false, "x25519"}} {
		l := newTestLoop(t)
		settings := DefaultSettings()
		settings.PostQuantum = c.postQuantum
		l.Configure(settings)
		client, server := l.ends()
		l.startTLS(server, l.context("server"), 0, "")
		l.startTLS(client, l.context("client"), 0, "")
		for _, h := range []Handle{client, server} {
			l.await(Secured, h)
			if got := tls.InfoOf(l.Session(h).ConnectionState()).Group; got != c.want {
				t.Errorf("tls_post_quantum = %t: the group is %q, want %q", c.postQuantum, got, c.want)
			}
		}
	}
}

func TestClassicPeersAreBounded(t *testing.T) {
	p := classicPeers{}
	for i := range 3 * maxClassicPeers {
		p.add(fmt.Sprint(i), int64(i))
		if len(p) > maxClassicPeers {
			t.Fatalf("%d peers are remembered", len(p))
		}
		if !p.has(fmt.Sprint(i), int64(i)) {
			t.Fatalf("peer %d is forgotten at once", i)
		}
	}
	p.add("late", 0)
	if p.has("late", addSeconds(0, classicTime)) {
		t.Error("a peer is remembered for ever")
	}
}
