// Command handshake loads a TLS server.
//
//	handshake -addr 127.0.0.1:5223 -name example.net -clients 32 -time 3s
//
// makes one full handshake after the other in each of so many clients, and prints how many
// succeeded and how many failed.
//
//	handshake -addr 127.0.0.1:5223 -name example.net -hold 2000
//
// opens so many connections, prints "holding", and holds them, idle, until its standard input ends.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const dialTimeout = 10 * time.Second

func main() {
	addr := flag.String("addr", "", "the `address` of the server")
	name := flag.String("name", "", "the `host` to ask for by SNI")
	clients := flag.Int("clients", 32, "how many at a time")
	duration := flag.Duration("time", 3*time.Second, "how long to make handshakes")
	hold := flag.Int("hold", 0, "hold so many connections instead")
	plain := flag.Bool("plain", false, "without TLS")
	newest := flag.Uint("tls", 13, "12 or 13: the newest protocol to offer")
	flag.Parse()
	log.SetFlags(0)

	// No ClientSessionCache: no resumption. The server's certificate is not this program's
	// concern, and to verify it would only take time from the server.
	config := &tls.Config{ServerName: *name, InsecureSkipVerify: true, MaxVersion: tls.VersionTLS13}
	if *newest == 12 {
		config.MaxVersion = tls.VersionTLS12
	}
	connect := func() (net.Conn, error) {
		conn, err := net.DialTimeout("tcp", *addr, dialTimeout)
		if err != nil || *plain {
			return conn, err
		}
		conn.SetDeadline(time.Now().Add(dialTimeout))
		secured := tls.Client(conn, config)
		if err := secured.Handshake(); err != nil {
			conn.Close()
			return nil, err
		}
		return secured, nil
	}
	if *hold > 0 {
		holdOpen(connect, *clients, *hold)
	} else {
		hammer(connect, *clients, *duration)
	}
}

func hammer(connect func() (net.Conn, error), clients int, duration time.Duration) {
	var succeeded, failed atomic.Int64
	var lastError atomic.Value
	end := time.Now().Add(duration)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for time.Now().Before(end) {
				conn, err := connect()
				if err != nil {
					failed.Add(1)
					lastError.Store(err.Error())
					continue
				}
				conn.Close()
				succeeded.Add(1)
			}
		})
	}
	all.Wait()
	if text := lastError.Load(); text != nil {
		log.Print(text)
	}
	fmt.Println(succeeded.Load(), failed.Load())
}

func holdOpen(connect func() (net.Conn, error), clients, count int) {
	connections := make([]net.Conn, count)
	var next atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(count); i = next.Add(1) - 1 {
				conn, err := connect()
				if err != nil {
					log.Fatal(err)
				}
				connections[i] = conn
			}
		})
	}
	all.Wait()
	fmt.Println("holding")
	io.Copy(io.Discard, os.Stdin)
	for _, conn := range connections {
		conn.Close()
	}
}
