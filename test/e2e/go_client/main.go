// Go_client starts TLS within an XML stream, says by which group the keys were exchanged
// and stays until its input ends:
//
//	go run ./test/e2e/go_client ADDRESS HOST AUTHORITY
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

const patience = 10 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "go_client:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: go_client ADDRESS HOST AUTHORITY")
	}
	address, host := args[0], args[1]
	pem, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("no certificate in " + args[2])
	}
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := proceed(conn, host); err != nil {
		return err
	}
	client := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: roots}) // groups: Go's defaults
	if err := client.Handshake(); err != nil {
		return err
	}
	fmt.Println(client.ConnectionState().CurveID)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// proceed asks for TLS (RFC 6120, section 5) and reads up to the server's consent.
func proceed(conn net.Conn, host string) error {
	in := bufio.NewReader(conn)
	steps := []struct{ say, until string }{
		{"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='" + host + "'>",
			"</stream:features>"},
		{"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
	}
	for _, step := range steps {
		if _, err := io.WriteString(conn, step.say); err != nil {
			return err
		}
		for got := ""; !strings.HasSuffix(got, step.until); {
			part, err := in.ReadString('>')
			if err != nil {
				return fmt.Errorf("%w after %q", err, got)
			}
			got += part
		}
	}
	return nil
}
