package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"log"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// pki is all the certificates by name.
type pki struct {
	certs, crls map[string][]byte
	keys        map[string]crypto.Signer
	serial      int64
}

var (
	long2000 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	long2001 = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	long2002 = time.Date(2002, 1, 1, 0, 0, 0, 0, time.UTC)
	long2110 = time.Date(2110, 1, 1, 0, 0, 0, 0, time.UTC)
	long2120 = time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC)
)

type template = x509.Certificate

func newKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	return key
}

func curveKey(c elliptic.Curve) crypto.Signer {
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	check(err)
	return key
}

func rsaKey(bits int) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	check(err)
	return key
}

func edKey() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	return key
}

func (p *pki) cert(name string) *x509.Certificate {
	c, err := x509.ParseCertificate(p.certs[name])
	check(err)
	return c
}

// ca and leaf are what templates start from; edits follow.
func (p *pki) ca(name, issuer string, edits ...func(*template)) {
	t := &template{
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Test"}},
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: -1,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	p.issue(name, issuer, t, edits...)
}

func (p *pki) leaf(name, issuer string, edits ...func(*template)) {
	t := &template{
		Subject:               pkix.Name{CommonName: "host.example.org"},
		DNSNames:              []string{"host.example.org"},
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	p.issue(name, issuer, t, edits...)
}

// issue makes a certificate; the issuer may be itself. The key is p.keys[name]
// if that was set before.
func (p *pki) issue(name, issuer string, t *template, edits ...func(*template)) {
	p.serial++
	t.SerialNumber, t.NotBefore, t.NotAfter = big.NewInt(p.serial), long2000, long2120
	for _, edit := range edits {
		edit(t)
	}
	if p.keys[name] == nil {
		p.keys[name] = newKey()
	}
	parent := t
	if issuer != name {
		parent = p.cert(issuer)
	}
	if t.AuthorityKeyId != nil && len(t.AuthorityKeyId) == 0 { // noAuthority
		copied := *parent
		copied.SubjectKeyId = nil
		parent = &copied
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, p.keys[name].Public(), p.keys[issuer])
	if err != nil {
		log.Fatal(name, ": ", err)
	}
	p.certs[name] = der
}

func noAuthority(t *template)   { t.AuthorityKeyId = []byte{} }
func expired(t *template)       { t.NotAfter = long2001 }
func notYet(t *template)        { t.NotBefore = long2110 }
func noConstraints(t *template) { t.BasicConstraintsValid, t.IsCA = false, false }
func notCA(t *template)         { t.IsCA, t.MaxPathLen = false, 0 }
func noUsage(t *template)       { t.KeyUsage = 0 }
func noExtUsage(t *template)    { t.ExtKeyUsage = nil }
func sha1RSA(t *template)       { t.SignatureAlgorithm = x509.SHA1WithRSA }
func pss(t *template)           { t.SignatureAlgorithm = x509.SHA256WithRSAPSS }
func noNames(t *template)       { t.DNSNames = nil }

func usage(u x509.KeyUsage) func(*template) { return func(t *template) { t.KeyUsage = u } }
func extUsage(u ...x509.ExtKeyUsage) func(*template) {
	return func(t *template) { t.ExtKeyUsage = u }
}
func subject(cn string) func(*template) {
	return func(t *template) { t.Subject = pkix.Name{CommonName: cn, Organization: []string{"Test"}} }
}
func rawSubject(der []byte) func(*template) { return func(t *template) { t.RawSubject = der } }
func hosts(names ...string) func(*template) { return func(t *template) { t.DNSNames = names } }
func pathLen(n int) func(*template) {
	return func(t *template) { t.MaxPathLen, t.MaxPathLenZero = n, n == 0 }
}
func keyID(id ...byte) func(*template) { return func(t *template) { t.SubjectKeyId = id } }
func extension(critical bool, value []byte, oid ...int) func(*template) {
	return func(t *template) {
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oid, Critical: critical, Value: value})
	}
}
func permitHosts(names ...string) func(*template) {
	return func(t *template) { t.PermittedDNSDomains, t.PermittedDNSDomainsCritical = names, true }
}

func der(v any) []byte {
	b, err := asn1.Marshal(v)
	check(err)
	return b
}

func tlv(tag byte, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	class, number := int(tag>>6), int(tag&0x1f)
	return der(asn1.RawValue{Class: class, Tag: number, IsCompound: tag&0x20 != 0, Bytes: body})
}

// name encodes a common name with a chosen string type.
func name(tag byte, cn []byte) []byte {
	return tlv(0x30, tlv(0x31, tlv(0x30, der(asn1.ObjectIdentifier{2, 5, 4, 3}), tlv(tag, cn))))
}

type tbs struct {
	Version            int `asn1:"optional,explicit,default:0,tag:0"`
	SerialNumber       *big.Int
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Issuer             asn1.RawValue
	Validity           asn1.RawValue
	Subject            asn1.RawValue
	PublicKey          asn1.RawValue
	Extensions         []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
}

// version1 makes name a certificate without extensions.
func (p *pki) version1(name, issuer string) {
	var t tbs
	_, err := asn1.Unmarshal(p.cert(name).RawTBSCertificate, &t)
	check(err)
	t.Version, t.Extensions = 0, nil
	p.certs[name] = p.signed(der(t), t.SignatureAlgorithm, issuer)
}

// tamper breaks a signature.
func (p *pki) tamper(name, original string) {
	broken := append([]byte{}, p.certs[original]...)
	broken[len(broken)-1] ^= 1
	p.certs[name], p.keys[name] = broken, p.keys[original]
}

func (p *pki) revoke(name, issuer string, edit func(*x509.RevocationList), revoked ...string) {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: long2000, NextUpdate: long2120}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: p.cert(r).SerialNumber, RevocationTime: long2000})
	}
	if edit != nil {
		edit(list)
	}
	parent := *p.cert(issuer)
	parent.KeyUsage |= x509.KeyUsageCRLSign
	out, err := x509.CreateRevocationList(rand.Reader, list, &parent, p.keys[issuer])
	check(err)
	p.crls[name] = out
}

func (p *pki) writeKey(folder, base, name string) {
	key, err := x509.MarshalPKCS8PrivateKey(p.keys[name])
	check(err)
	out := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	check(os.WriteFile(filepath.Join(folder, base+".key"), out, 0o600))
}

func newPKI() *pki {
	p := &pki{certs: map[string][]byte{}, crls: map[string][]byte{}, keys: map[string]crypto.Signer{}}
	p.plain()
	p.times()
	p.purposes()
	p.authorities()
	p.weak()
	p.broken()
	p.names()
	p.constraints()
	p.lists()
	return p
}

func (p *pki) plain() {
	p.keys["root"], p.keys["int"], p.keys["good"] = rsaKey(2048), rsaKey(2048), rsaKey(2048)
	p.ca("root", "root")
	p.ca("int", "root")
	p.leaf("good", "int")
	p.leaf("direct", "root")
	p.ca("other root", "other root")
	p.ca("other int", "other root")
	p.leaf("other", "other int")
	p.leaf("alone", "alone", keyID(9, 9))
	p.leaf("alone, no ids", "alone, no ids")
	p.ca("alone CA", "alone CA", hosts("host.example.org"), usage(x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature))
	p.ca("int2", "int")
	p.ca("int3", "int2")
	p.leaf("wild", "int", hosts("*.example.org", "foo*.example.net", "*.com"))
	p.leaf("common", "int", noNames, subject("host.example.org"))
	p.leaf("deep2", "int2")
	p.leaf("deep3", "int3")

	p.keys["ed25519"], p.keys["p384"], p.keys["p521"] = edKey(), curveKey(elliptic.P384()), curveKey(elliptic.P521())
	p.keys["ed root"] = edKey()
	p.ca("ed root", "ed root")
	p.leaf("ed25519", "ed root")
	p.leaf("p384", "int", pss)
	p.leaf("p521", "int", func(t *template) { t.SignatureAlgorithm = x509.SHA512WithRSA })
	p.keys["ec root"] = curveKey(elliptic.P384())
	p.ca("ec root", "ec root")
	p.leaf("ec384", "ec root")
	p.leaf("pss512", "int", func(t *template) { t.SignatureAlgorithm = x509.SHA512WithRSAPSS })
}

func (p *pki) times() {
	p.leaf("expired", "int", expired)
	p.leaf("not yet", "int", notYet)
	p.leaf("never", "int", expired, notYet)
	p.ca("expired int", "root", expired)
	p.leaf("of expired int", "expired int")
	p.keys["renewed int"] = p.keys["expired int"]
	p.ca("renewed int", "root", subject("expired int"))
	p.ca("expired root", "expired root", expired)
	p.leaf("of expired root", "expired root")
	p.keys["renewed root"] = p.keys["expired root"]
	p.ca("renewed root", "renewed root", subject("expired root"))
	p.keys["older root"] = p.keys["expired root"]
	p.ca("older root", "older root", subject("expired root"), func(t *template) { t.NotAfter = long2002 })
	p.leaf("expired alone", "expired alone", expired)
	p.leaf("other expired", "other int", expired)
}

func (p *pki) purposes() {
	p.leaf("client only", "int", extUsage(x509.ExtKeyUsageClientAuth))
	p.leaf("server only", "int", extUsage(x509.ExtKeyUsageServerAuth))
	p.leaf("any purpose", "int", extUsage(x509.ExtKeyUsageAny))
	p.leaf("email only", "int", extUsage(x509.ExtKeyUsageEmailProtection))
	p.leaf("no purposes", "int", noUsage, noExtUsage, noConstraints)
	p.leaf("signs only", "int", usage(x509.KeyUsageDigitalSignature))
	p.leaf("enciphers only", "int", usage(x509.KeyUsageKeyEncipherment))
	p.leaf("agrees only", "int", usage(x509.KeyUsageKeyAgreement))
	p.leaf("repudiates only", "int", usage(x509.KeyUsageContentCommitment))
	p.leaf("netscape client", "int", noUsage, noExtUsage, extension(false, der(asn1.BitString{Bytes: []byte{0x80}, BitLength: 8}), 2, 16, 840, 1, 113730, 1, 1))
	p.leaf("netscape server", "int", noUsage, noExtUsage, extension(false, der(asn1.BitString{Bytes: []byte{0x40}, BitLength: 8}), 2, 16, 840, 1, 113730, 1, 1))
	p.ca("client int", "root", extUsage(x509.ExtKeyUsageClientAuth))
	p.leaf("of client int", "client int")
	p.ca("server root", "server root", extUsage(x509.ExtKeyUsageServerAuth))
	p.leaf("of server root", "server root")
	p.leaf("leaf is CA", "int", func(t *template) { t.IsCA, t.MaxPathLen = true, -1; t.KeyUsage |= x509.KeyUsageCertSign })
}

func (p *pki) authorities() {
	p.leaf("not a CA", "root")
	p.leaf("of not a CA", "not a CA")
	p.ca("false CA", "root", notCA)
	p.leaf("of false CA", "false CA")
	p.ca("bare int", "root", noConstraints, noUsage)
	p.leaf("of bare int", "bare int")
	p.ca("usage int", "root", noConstraints)
	p.leaf("of usage int", "usage int")
	p.ca("usage root", "usage root", noConstraints)
	p.leaf("of usage root", "usage root")
	p.ca("int without signing", "root", usage(x509.KeyUsageDigitalSignature))
	p.leaf("of int without signing", "int without signing")
	p.ca("netscape root", "netscape root", noConstraints, noUsage, extension(false, der(asn1.BitString{Bytes: []byte{0x04}, BitLength: 8}), 2, 16, 840, 1, 113730, 1, 1))
	p.leaf("of netscape root", "netscape root")
	p.ca("mail CA root", "mail CA root", noConstraints, noUsage, extension(false, der(asn1.BitString{Bytes: []byte{0x02}, BitLength: 8}), 2, 16, 840, 1, 113730, 1, 1))
	p.leaf("of mail CA root", "mail CA root")
	p.ca("v1 root", "v1 root")
	p.version1("v1 root", "v1 root")
	p.leaf("of v1 root", "v1 root")
	p.ca("v1 int", "root")
	p.version1("v1 int", "root")
	p.leaf("of v1 int", "v1 int")
	p.ca("short root", "short root", pathLen(0))
	p.ca("short root int", "short root")
	p.leaf("of short root int", "short root int")
	p.ca("short int", "root", pathLen(0))
	p.ca("short int int", "short int")
	p.leaf("of short int int", "short int int")
	p.ca("one int", "root", pathLen(1))
	p.ca("one int int", "one int")
	p.leaf("of one int int", "one int int")
	p.ca("self-issued", "short int", subject("short int"))
	p.leaf("of self-issued", "self-issued")
	p.ca("unknown critical int", "root", extension(true, []byte{5, 0}, 1, 2, 3, 4))
	p.leaf("of unknown critical int", "unknown critical int")
	p.leaf("unknown critical", "int", extension(true, []byte{5, 0}, 1, 2, 3, 4))
	p.leaf("unknown", "int", extension(false, []byte{5, 0}, 1, 2, 3, 4))
	p.leaf("proxy", "int", hosts(), extension(true, tlv(0x30, tlv(0x30, der(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 21, 1}))), 1, 3, 6, 1, 5, 5, 7, 1, 14))
	ofGood := p.cert("good").RawSubject[2:]
	p.leaf("right proxy", "good", hosts(), noConstraints,
		rawSubject(tlv(0x30, ofGood, name(12, []byte("proxy"))[2:])),
		extension(true, tlv(0x30, tlv(0x30, der(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 21, 1}))), 1, 3, 6, 1, 5, 5, 7, 1, 14))
	p.leaf("policies", "int", extension(true, tlv(0x30, tlv(0x30, der(asn1.ObjectIdentifier{1, 2, 3}))), 2, 5, 29, 32))

	// A root that went under another: the cross certificate has its key.
	p.ca("old root", "old root", expired)
	p.ca("young root", "young root")
	p.keys["cross"] = p.keys["young root"]
	p.ca("cross", "old root", subject("young root"))
	p.keys["cross by root"] = p.keys["young root"]
	p.ca("cross by root", "root", subject("young root"))
	p.ca("young int", "young root")
	p.leaf("of young int", "young int")
}

func (p *pki) weak() {
	p.keys["rsa1024"], p.keys["other rsa1024"], p.keys["rsa1024 int"], p.keys["rsa1024 root"] = rsaKey(1024), rsaKey(1024), rsaKey(1024), rsaKey(1024)
	p.keys["rsa1960"], p.keys["rsa1963"] = rsaKey(1960), rsaKey(1963)
	p.keys["p224"] = curveKey(elliptic.P224())
	p.leaf("rsa1024", "int")
	p.leaf("other rsa1024", "other int")
	p.leaf("rsa1960", "int")
	p.leaf("rsa1963", "int")
	p.ca("rsa1024 int", "root")
	p.leaf("of rsa1024 int", "rsa1024 int")
	p.ca("rsa1024 root", "rsa1024 root")
	p.leaf("of rsa1024 root", "rsa1024 root")
	p.leaf("sha1", "int", sha1RSA)
	p.keys["sha1 int"] = rsaKey(2048)
	p.ca("sha1 int", "root", sha1RSA)
	p.leaf("of sha1 int", "sha1 int")
	p.keys["sha1 root"] = rsaKey(2048)
	p.ca("sha1 root", "sha1 root", sha1RSA)
	p.leaf("of sha1 root", "sha1 root")
	p.leaf("sha1 ecdsa", "other int", func(t *template) { t.SignatureAlgorithm = x509.ECDSAWithSHA1 })
	p.leaf("sha384", "other int", func(t *template) { t.SignatureAlgorithm = x509.ECDSAWithSHA384 })
	p.leaf("p224", "int")
}

func (p *pki) broken() {
	p.tamper("tampered", "good")
	p.tamper("tampered int", "int")
	p.tamper("tampered root", "root")
	p.tamper("tampered alone", "alone")
	p.ca("false root", "false root", subject("root"))
	p.ca("false int", "false root", subject("int"))
	p.leaf("of false int", "false int")
	p.leaf("of false int, no ids", "false int", noAuthority)
	p.ca("same id root", "same id root", subject("root"), keyID(p.cert("root").SubjectKeyId...))
	p.ca("twin A", "twin A", subject("twin"))
	p.ca("twin B", "twin B", subject("twin"))
	p.leaf("of twin B", "twin B")
	p.leaf("of twin B, no ids", "twin B", noAuthority)
	p.ca("mimic", "mimic", subject("root"))

	// Authority key identifiers by issuer and serial number.
	root := p.cert("root")
	dirName := tlv(0xa1, tlv(0xa4, root.RawSubject))
	p.leaf("by serial", "root", extension(false, tlv(0x30, dirName, tlv(0x82, root.SerialNumber.Bytes())), 2, 5, 29, 35))
	p.leaf("by wrong serial", "root", extension(false, tlv(0x30, dirName, tlv(0x82, []byte{99})), 2, 5, 29, 35))
	p.leaf("by wrong issuer", "root", extension(false, tlv(0x30, tlv(0xa1, tlv(0xa4, name(12, []byte("x")))), tlv(0x82, root.SerialNumber.Bytes())), 2, 5, 29, 35))
}

// names: the same in other letters, spaces and string types.
func (p *pki) names() {
	p.ca("utf8 root", "utf8 root", rawSubject(name(12, []byte("Example  Root \xc3\xa9"))))
	for i, subject := range [][]byte{
		name(12, []byte("  example ROOT \xc3\xa9  ")),
		name(20, []byte("example root \xe9")),
		name(30, []byte("\x00E\x00x\x00a\x00m\x00p\x00l\x00e\x00 \x00R\x00o\x00o\x00t\x00 \x00\xe9")),
		name(12, []byte("example root \xc3\x89")), // É is not é: only ASCII is folded
		name(12, []byte("exampleroot \xc3\xa9")),
	} {
		n := string(rune('1' + i))
		p.keys["spelling "+n] = p.keys["utf8 root"]
		p.ca("spelling "+n, "utf8 root", rawSubject(subject))
		p.leaf("of spelling "+n, "spelling "+n)
	}
}

func (p *pki) constraints() {
	add := func(name string, edit func(*template)) { p.ca(name, "root", edit) }
	add("nc example.org", permitHosts("example.org"))
	p.leaf("nc in", "nc example.org")
	p.leaf("nc out", "nc example.org", hosts("host.example.com"))
	p.leaf("nc almost", "nc example.org", hosts("badexample.org"))
	p.leaf("nc case", "nc example.org", hosts("Host.EXAMPLE.org"))
	p.leaf("nc one out", "nc example.org", hosts("host.example.org", "host.example.com"))
	p.leaf("nc CN out", "nc example.org", noNames, subject("host.example.com"))
	p.leaf("nc CN in", "nc example.org", noNames, subject("host.example.org"))
	p.leaf("nc CN no host", "nc example.org", noNames, subject("Some Host"))
	p.leaf("nc CN of SAN", "nc example.org", subject("host.example.com"))
	p.leaf("nc uri only", "nc example.org", noNames, subject("host.example.com"), func(t *template) {
		t.URIs = []*url.URL{{Scheme: "xmpp", Opaque: "example.com"}}
	})
	add("nc dot", permitHosts(".example.org"))
	p.leaf("nc dot in", "nc dot")
	p.leaf("nc dot self", "nc dot", hosts("example.org"))
	add("nc not example.org", func(t *template) { t.ExcludedDNSDomains = []string{"example.org"} })
	p.leaf("nc excluded", "nc not example.org")
	p.leaf("nc not excluded", "nc not example.org", hosts("example.com"))
	add("nc ip", func(t *template) {
		_, n4, _ := net.ParseCIDR("192.0.2.0/24")
		_, n6, _ := net.ParseCIDR("2001:db8::/32")
		t.PermittedIPRanges = []*net.IPNet{n4, n6}
	})
	ips := func(s string) func(*template) {
		return func(t *template) { t.IPAddresses = []net.IP{net.ParseIP(s)} }
	}
	p.leaf("nc ip in", "nc ip", ips("192.0.2.7"))
	p.leaf("nc ip out", "nc ip", ips("192.0.3.7"))
	p.leaf("nc ip6 in", "nc ip", ips("2001:db8::1"))
	p.leaf("nc ip6 out", "nc ip", ips("2001:db9::1"))
	add("nc mail", func(t *template) {
		t.PermittedEmailAddresses = []string{"a@example.org", ".sub.example.org", "example.net"}
	})
	mails := func(s ...string) func(*template) { return func(t *template) { t.EmailAddresses = s } }
	p.leaf("nc mail in", "nc mail", mails("a@EXAMPLE.org", "b@x.sub.example.org", "c@example.net"))
	p.leaf("nc mail out", "nc mail", mails("b@example.org"))
	p.leaf("nc mail case", "nc mail", mails("A@example.org"))
	p.leaf("nc mail sub", "nc mail", mails("c@x.example.net"))
	add("nc uri", func(t *template) { t.PermittedURIDomains = []string{"example.org", ".sub.example.org"} })
	uris := func(s string) func(*template) {
		u, err := url.Parse(s)
		check(err)
		return func(t *template) { t.URIs = []*url.URL{u} }
	}
	p.leaf("nc uri in", "nc uri", uris("https://example.org:443/x"))
	p.leaf("nc uri sub", "nc uri", uris("https://a.sub.example.org/x"))
	p.leaf("nc uri out", "nc uri", uris("https://a.example.org/x"))
	p.leaf("nc uri no host", "nc uri", uris("xmpp:example.org"))
	dir := func(prefix []byte) []byte { return tlv(0x30, tlv(0xa0, tlv(0x30, tlv(0xa4, prefix)))) }
	org := tlv(0x30, tlv(0x31, tlv(0x30, der(asn1.ObjectIdentifier{2, 5, 4, 10}), tlv(12, []byte("TEST")))))
	add("nc dir", extension(true, dir(org), 2, 5, 29, 30))
	orgFirst := func(o string) func(*template) {
		return rawSubject(tlv(0x30,
			tlv(0x31, tlv(0x30, der(asn1.ObjectIdentifier{2, 5, 4, 10}), tlv(19, []byte(o)))),
			tlv(0x31, tlv(0x30, der(asn1.ObjectIdentifier{2, 5, 4, 3}), tlv(19, []byte("host"))))))
	}
	p.leaf("nc dir in", "nc dir", orgFirst("Test"))
	p.leaf("nc dir out", "nc dir", orgFirst("Tests"))
	add("nc bounds", extension(true, tlv(0x30, tlv(0xa0, tlv(0x30, tlv(0x82, []byte("example.org")), tlv(0x80, []byte{1})))), 2, 5, 29, 30))
	p.leaf("nc bounds in", "nc bounds")
	xmpp := der(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 5})
	xmppName := tlv(0xa0, xmpp, tlv(0xa0, tlv(12, []byte("host.example.org"))))
	add("nc xmpp", extension(false, tlv(0x30, tlv(0xa0, tlv(0x30, xmppName))), 2, 5, 29, 30))
	p.leaf("nc xmpp same", "nc xmpp", noNames, extension(false, tlv(0x30, xmppName), 2, 5, 29, 17))
	p.leaf("nc xmpp none", "nc xmpp")
	p.leaf("nc xmpp free", "nc example.org", noNames, extension(false, tlv(0x30, xmppName), 2, 5, 29, 17))
	p.ca("nc root", "nc root", permitHosts("example.org"))
	p.leaf("of nc root", "nc root", hosts("example.com"))
	email := rawSubject(tlv(0x30, tlv(0x31, tlv(0x30, der(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}), tlv(22, []byte("b@example.org"))))))
	p.leaf("nc mail in DN", "nc mail", email)
	email8 := rawSubject(tlv(0x30, tlv(0x31, tlv(0x30, der(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}), tlv(12, []byte("a@example.org"))))))
	p.leaf("nc mail utf8 in DN", "nc mail", email8)
}

// lists are the CRLs.
func (p *pki) lists() {
	p.leaf("revoked", "int")
	p.revoke("root list", "root", nil)
	p.revoke("root list with int", "root", nil, "int")
	p.revoke("int list", "int", nil, "revoked")
	p.revoke("int list expired", "int", func(l *x509.RevocationList) { l.NextUpdate = long2001 }, "revoked")
	p.revoke("int list not yet", "int", func(l *x509.RevocationList) { l.ThisUpdate = long2110 }, "revoked")
	p.revoke("int list newer", "int", func(l *x509.RevocationList) { l.ThisUpdate = long2001 })
	p.revoke("int list critical", "int", func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
	}, "revoked")
	scope := func(value ...[]byte) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: tlv(0x30, value...)}}
		}
	}
	p.revoke("int list of users", "int", scope(tlv(0x81, []byte{255})), "revoked")
	p.revoke("int list of CAs", "int", scope(tlv(0x82, []byte{255})), "revoked")
	p.revoke("int list indirect", "int", scope(tlv(0x84, []byte{255})), "revoked")
	p.revoke("int list removed", "int", func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = 8 }, "revoked")
	broken := append([]byte{}, p.crls["int list"]...)
	broken[len(broken)-1] ^= 1
	p.crls["int list broken"] = broken
	p.crlVersion1("int list v1", "int list", "int")
	at := func(uri string) func(*template) {
		return func(t *template) { t.CRLDistributionPoints = []string{uri} }
	}
	p.leaf("at A", "int", at("http://example.org/a"))
	reasons := func(bits ...byte) []byte {
		return tlv(0x30, tlv(0x30, tlv(0xa0, tlv(0xa0, tlv(0x86, []byte("http://example.org/a")))), tlv(0x81, bits)))
	}
	p.leaf("at A for some", "int", extension(false, reasons(6, 0x40), 2, 5, 29, 31))
	p.leaf("at A for all", "int", extension(false, reasons(7, 0xff, 0x80), 2, 5, 29, 31))
	p.leaf("at B", "int", at("http://example.org/b"))
	point := tlv(0xa0, tlv(0xa0, tlv(0x86, []byte("http://example.org/a"))))
	p.revoke("int list at A", "int", scope(point), "at A", "at B", "at A for some", "at A for all")
	p.ca("int without lists", "root", usage(x509.KeyUsageCertSign))
	p.leaf("of int without lists", "int without lists")
	p.revoke("list of int without lists", "int without lists", nil)
}

type tbsList struct {
	Version            int `asn1:"optional,default:0"`
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Issuer             asn1.RawValue
	ThisUpdate         time.Time
	NextUpdate         time.Time
	Revoked            []asn1.RawValue
	Extensions         []pkix.Extension `asn1:"tag:0,omitempty,optional,explicit"`
}

// crlVersion1 makes name a list without extensions.
func (p *pki) crlVersion1(name, original, issuer string) {
	list, err := x509.ParseRevocationList(p.crls[original])
	check(err)
	var t tbsList
	_, err = asn1.Unmarshal(list.RawTBSRevocationList, &t)
	check(err)
	t.Version, t.Extensions = 0, nil
	p.crls[name] = p.signed(der(t), t.SignatureAlgorithm, issuer)
}

// signed puts a signature with SHA-256 under raw.
func (p *pki) signed(raw []byte, algorithm pkix.AlgorithmIdentifier, issuer string) []byte {
	digest := sha256.Sum256(raw)
	signature, err := p.keys[issuer].Sign(rand.Reader, digest[:], crypto.SHA256)
	check(err)
	return der(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: raw}, algorithm, asn1.BitString{Bytes: signature, BitLength: len(signature) * 8}})
}
