package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// costShape is a chain that costs much to verify: each certificate has names,
// and all but the leaf exclude some. Nobody trusts it.
type costShape struct {
	what         string
	certs, names int
	edit         func(x *x509.Certificate, names int)
}

func hostsByHosts(x *x509.Certificate, names int) {
	x.DNSNames = repeat("a", names)
	if x.IsCA {
		x.ExcludedDNSDomains = repeat("b.c", names)
	}
}

func mailsByMails(x *x509.Certificate, names int) {
	x.EmailAddresses = repeat("@aaaaaaaaaaaa", names)
	if x.IsCA {
		x.ExcludedEmailAddresses = repeat("b.c", names)
	}
}

func longMailByMails(x *x509.Certificate, names int) {
	x.EmailAddresses = []string{"@" + strings.Repeat("a", 10*names)}
	if x.IsCA {
		x.ExcludedEmailAddresses = repeat("b.c", names)
	}
}

func manyHosts(x *x509.Certificate, names int) { x.DNSNames = repeat("a", names) }

func manyURIs(x *x509.Certificate, names int) {
	for range names {
		x.URIs = append(x.URIs, &url.URL{Scheme: "a", Host: "b"})
	}
}

func manyAttributes(x *x509.Certificate, names int) {
	for range names {
		x.Subject.ExtraNames = append(x.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "o"})
	}
	if x.IsCA {
		x.ExcludedEmailAddresses = repeat("b.c", 10)
	}
}

func repeat(s string, n int) (all []string) {
	for range n {
		all = append(all, s)
	}
	return all
}

var costShapes = []costShape{
	{what: "hosts by excluded hosts", certs: 11, names: 900, edit: hostsByHosts},
	{what: "mail addresses by excluded ones", certs: 11, names: 400, edit: mailsByMails},
	{what: "a long mail address by excluded ones", certs: 2, names: 2400, edit: longMailByMails},
	{what: "hosts", certs: 1, names: 32000, edit: manyHosts},
	{what: "URIs", certs: 1, names: 14000, edit: manyURIs},
	{what: "attributes of subjects", certs: 11, names: 350, edit: manyAttributes},
}

// chain is the chain, leaf first.
func (s costShape) chain(t testing.TB) (c stdtls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.PrivateKey = key
	var issuer *x509.Certificate
	for i := s.certs - 1; i >= 0; i-- {
		x := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: fmt.Sprint("c", i)},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true, IsCA: i > 0,
		}
		s.edit(x, s.names)
		if issuer == nil {
			issuer = x
		}
		der, err := x509.CreateCertificate(rand.Reader, x, issuer, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		if issuer, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		c.Certificate = append([][]byte{der}, c.Certificate...)
	}
	return c
}

func parsed(t testing.TB, c stdtls.Certificate) (chain []*x509.Certificate) {
	for _, der := range c.Certificate {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, x)
	}
	return chain
}

// Such chains took up to 1 s.
func TestVerifyCostHasABound(t *testing.T) {
	for _, s := range costShapes {
		chain := parsed(t, s.chain(t))
		if size := chainSize(chain); size > maxChainSize {
			t.Errorf("%s: %d bytes", s.what, size)
		}
		checkCost(t, s.what, chain)
	}
	checkCost(t, "the largest RSA keys", largestKeys(t))
}

func checkCost(t *testing.T, what string, chain []*x509.Certificate) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	o := VerifyOptions{Depth: 9, Server: true, IgnorePurpose: true, Continue: true, Now: time.Now()}
	start := threadTime()
	r := Verify(chain, o)
	took := time.Duration(threadTime() - start)
	t.Logf("%-40s %v", what, took)
	if r.OK || took > 500*time.Millisecond {
		t.Errorf("%s: %v, %v", what, took, r)
	}
}

// largestSigner is a key of the largest size that we compute with, and the most
// costly exponent. Its signatures are right in length only.
type largestSigner struct{}

func (largestSigner) Public() crypto.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), maxRSABits), big.NewInt(1)), E: 1<<31 - 1}
}

func (largestSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return append(make([]byte, maxRSABits/8-1), 2), nil
}

func largestKeys(t *testing.T) (chain []*x509.Certificate) {
	key := newTestKey(largestSigner{}, rsaWithSHA256, derTLV(derNull))
	for i := range int64(11) {
		c := rawCertificate{
			version: 2, serial: i + 1, key: key, notBefore: time.Now().Add(-time.Hour), notAfter: time.Now().Add(time.Hour),
			subject: rawName(12, fmt.Sprint("c", i)), issuer: rawName(12, fmt.Sprint("c", i+1)),
		}
		x, err := x509.ParseCertificate(c.sign(key))
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, x)
	}
	return chain
}

// The budget is one for all certificates and constraints of a chain.
func TestVerifyBudgetEndsTheVerification(t *testing.T) {
	v := newVerifier(parsed(t, costShapes[0].chain(t)), VerifyOptions{Depth: 9, Continue: true, Now: time.Now()})
	v.run()
	var texts []string
	for _, all := range v.errors {
		texts = append(texts, all...)
	}
	unspecified := strings.Count(strings.Join(texts, "|"), string(errUnspecified))
	if !v.work.spent() || unspecified != 1 {
		t.Errorf("%d left, %q", v.work, texts)
	}
}

// OpenSSL refuses such a message, whether it verifies or not.
func TestSessionRefusesMoreThan100KBOfCertificates(t *testing.T) {
	large := costShape{certs: 1, names: 34200, edit: manyHosts}.chain(t)
	for _, verify := range [][]string{{"peer"}, {"peer", "fail_if_no_peer_cert"}} {
		eachVersion(t, func(t *testing.T, change func(*Config)) {
			serverContext := sessionContext(t, "server", func(c *Config) { change(c); c.Verify, c.VerifyExt = verify, []string{"lsec_continue"} }, "p256")
			clientContext := sessionContext(t, "client", change, "p256")
			clientContext.certificates = []stdtls.Certificate{large}
			server, client := newEndpoint(serverContext, Options{}), newEndpoint(clientContext, Options{})
			shake(t, server, client, 0, nil)
			if err := server.Err(); err == nil || server.Reason(err) != "excessive message size" {
				t.Errorf("%v", err)
			}
		})
	}
}

// Honest clients must not wait for a chain that costs as much as it can.
func TestSessionHonestHandshakesAmongAttackers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 3 s")
	}
	for _, s := range costShapes[:2] {
		attacker := s.chain(t)
		verify := func(c *Config) { c.Verify, c.VerifyExt = []string{"peer"}, []string{"lsec_continue"} }
		serverContext := sessionContext(t, "server", verify, "p256")
		attackerContext := sessionContext(t, "client", nil, "p256")
		attackerContext.certificates = []stdtls.Certificate{attacker}
		over := make(chan struct{})
		done := make(chan int)
		for range 4 {
			go func() {
				n := 0
				for ; ; n++ {
					select {
					case <-over:
						done <- n
						return
					default:
						shake(t, newEndpoint(serverContext, Options{}), newEndpoint(attackerContext, Options{}), 0, nil)
					}
				}
			}()
		}
		honest := sessionContext(t, "client", nil, "p256")
		worst, handshakes := time.Duration(0), 0
		for start := time.Now(); time.Since(start) < 1500*time.Millisecond; handshakes++ {
			begin := time.Now()
			connected(t, serverContext, honest)
			worst = max(worst, time.Since(begin))
			time.Sleep(10 * time.Millisecond)
		}
		close(over)
		attacks := 0
		for range 4 {
			attacks += <-done
		}
		t.Logf("%s: %d handshakes, worst %v, beside %d attacks", s.what, handshakes, worst, attacks)
		if worst > time.Second {
			t.Errorf("%s: %v", s.what, worst)
		}
	}
}

// threadTime is the CPU time of the calling thread, in ns.
func threadTime() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // it cannot fail
	return t.Nano()
}
