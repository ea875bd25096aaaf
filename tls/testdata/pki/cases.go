package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// chain is a case against a CA file; names are separated by "|".
func chain(name, certs, cas string) Case {
	c := Case{Name: name, Chain: strings.Split(certs, "|")}
	if cas != "" {
		c.CAFile = strings.Split(cas, "|")
	}
	return c
}

func (c Case) in(path string) Case {
	c.capath = strings.Split(path, "|")
	return c
}

func (c Case) deep(n int) Case {
	c.Depth = &n
	return c
}

func (c Case) lists(flags ...string) Case {
	c.VerifyExt = flags
	return c
}

func (p *pki) cases() []Case {
	cases := plainCases()
	// Each leaf of these says in its name what is special about it.
	for _, leaf := range []string{
		"expired", "not yet", "never", "client only", "server only", "any purpose", "email only", "no purposes",
		"signs only", "enciphers only", "agrees only", "repudiates only", "netscape client", "netscape server",
		"leaf is CA", "unknown critical", "unknown", "proxy", "policies", "p384", "p521", "pss512", "p224",
		"rsa1024", "rsa1960", "rsa1963", "sha1", "tampered", "at A",
	} {
		cases = append(cases, chain(leaf, leaf+"|int", "root"))
	}
	for _, ca := range []string{
		"ed root", "ec root", "expired root", "server root", "not a CA", "usage root", "netscape root", "mail CA root",
		"v1 root", "rsa1024 root", "sha1 root", "nc root",
	} {
		leaf := map[string]string{"ed root": "ed25519", "ec root": "ec384"}[ca]
		if leaf == "" {
			leaf = "of " + ca
		}
		cases = append(cases, chain("root: "+ca, leaf, ca), chain("root not trusted: "+ca, leaf+"|"+ca, ""))
	}
	for _, ca := range []string{
		"expired int", "client int", "not a CA", "false CA", "bare int", "usage int", "v1 int", "int without signing",
		"short root int", "unknown critical int", "rsa1024 int", "sha1 int", "young int", "int without lists",
	} {
		cases = append(cases,
			chain("int: "+ca, "of "+ca+"|"+ca, "root|short root|young root"),
			chain("trusted int: "+ca, "of "+ca, ca+"|root|short root|young root"),
			chain("only int trusted: "+ca, "of "+ca, ca))
	}
	for _, name := range slices.Sorted(maps.Keys(p.certs)) {
		if rest, found := strings.CutPrefix(name, "of spelling "); found {
			cases = append(cases, chain(name, name+"|spelling "+rest, "utf8 root"),
				chain(name+" by the first", name, "utf8 root"), chain(name+" in a folder", name, "").in("utf8 root"))
		}
		if ca := p.constraintOf(name); ca != "" {
			cases = append(cases, chain("constraint: "+name, name+"|"+ca, "root"))
		}
	}
	cases = append(cases, listCases()...)
	return append(cases, p.daneCases()...)
}

// constraintOf is the CA of a certificate that constraints made.
func (p *pki) constraintOf(name string) string {
	issuer := p.cert(name).Issuer.CommonName
	if strings.HasPrefix(issuer, "nc ") && issuer != "nc root" && strings.HasPrefix(name, "nc ") && name != issuer {
		return issuer
	}
	return ""
}

func plainCases() []Case {
	return []Case{
		chain("good", "good|int", "root"),
		chain("root sent too", "good|int|root", "root"),
		chain("in a folder", "good|int", "").in("root"),
		chain("in a folder of many", "good", "").in("root|int|other root|other int|twin A|twin B"),
		chain("twins in a folder", "of twin B, no ids", "").in("twin A|twin B"),
		chain("file and folder", "good", "root").in("int|root"),
		chain("by the root", "direct", "root"),
		chain("no trust", "good|int", ""),
		chain("no trust, root sent", "good|int|root", ""),
		chain("other trust", "good|int", "other root"),
		chain("other trust, root sent", "good|int|root", "other root"),
		chain("no intermediate", "good", "root"),
		chain("intermediate in the file", "good", "root|int"),
		chain("intermediate in the folder", "good", "").in("root|int"),
		chain("intermediate trusted, no root", "good", "int"),
		chain("intermediate sent and trusted, no root", "good|int", "int"),
		chain("intermediate sent and trusted, root sent", "good|int|root", "int"),
		chain("leaf trusted", "good", "good"),
		chain("leaf trusted, chain sent", "good|int|root", "good"),
		chain("self-signed", "alone", "root"),
		chain("self-signed, trusted", "alone", "alone"),
		chain("self-signed without ids", "alone, no ids", ""),
		chain("self-signed CA", "alone CA", ""),
		chain("self-signed CA, trusted", "alone CA", "alone CA"),
		chain("self-signed and more", "alone|int|root", "root"),
		chain("self-signed expired", "expired alone", ""),
		chain("self-signed expired, trusted", "expired alone", "expired alone"),
		chain("self-signed, tampered", "tampered alone", ""),
		chain("self-signed, tampered, trusted", "tampered alone", "tampered alone"),
		chain("a mimic of the root", "mimic", "root"),
		chain("a CA as leaf", "int", "root"),
		chain("the root as leaf", "root", "root"),
		chain("the root as leaf, not trusted", "root", ""),
		chain("reordered", "deep3|root|int2|int3|int", "root"),
		chain("duplicates", "good|good|int|int|root|root", "root"),
		chain("duplicates, no trust", "good|good|int|int|root|root", ""),
		chain("unrelated", "good|other int|alone|int", "root"),
		chain("deep", "deep3|int3|int2|int", "root"),
		chain("deep, depth 0", "deep3|int3|int2|int", "root").deep(0),
		chain("deep, depth 1", "deep3|int3|int2|int", "root").deep(1),
		chain("deep, depth 2", "deep3|int3|int2|int", "root").deep(2),
		chain("deep, depth 3", "deep3|int3|int2|int", "root").deep(3),
		chain("deep, depth 2, no trust", "deep3|int3|int2|int", "").deep(2),
		chain("deep, depth 2, no trust, root sent", "deep3|int3|int2|int|root", "").deep(2),
		chain("deep, depth 1, gap", "deep3|int3|int", "root").deep(1),
		chain("direct, depth 0", "direct", "root").deep(0),
		chain("good, depth 0", "good|int", "root").deep(0),
		chain("good, depth 0, all trusted", "good|int", "root|int").deep(0),
		chain("self-signed, depth 0", "alone", "").deep(0),
		chain("good, depth 9", "good|int", "root").deep(9),

		chain("expired, not trusted", "other expired|other int", "root"),
		chain("expired, nothing else", "expired", "root"),
		chain("both intermediates, expired first", "of expired int|expired int|renewed int", "root"),
		chain("both intermediates, expired last", "of expired int|renewed int|expired int", "root"),
		chain("expired intermediate sent, renewed trusted", "of expired int|expired int", "root|renewed int"),
		chain("expired root and renewed", "of expired root", "expired root|renewed root"),
		chain("renewed root and expired", "of expired root", "renewed root|expired root"),
		chain("two expired roots", "of expired root", "expired root|older root"),
		chain("two expired roots, the other way", "of expired root", "older root|expired root"),
		chain("expired root sent, renewed trusted", "of expired root|expired root", "renewed root"),

		chain("root with a short path", "of short root int|short root int", "short root"),
		chain("intermediate with a short path", "of short int int|short int int|short int", "root"),
		chain("path of one", "of one int int|one int int|one int", "root"),
		chain("self-issued is not counted", "of self-issued|self-issued|short int", "root"),
		chain("cross-signed by an expired root", "of young int|young int|cross", "young root"),
		chain("cross-signed, both trusted", "of young int|young int|cross", "young root|old root"),
		chain("cross-signed, only the expired root trusted", "of young int|young int|cross", "old root"),
		chain("cross-signed, only another root trusted", "of young int|young int|cross by root", "root"),
		chain("cross-signed twice", "of young int|young int|cross|cross by root", "root"),
		chain("cross-signed twice, the other way", "of young int|young int|cross by root|cross", "root"),
		chain("cross-signed, root sent", "of young int|young int|young root|cross by root", "root"),
		chain("cross-signed, not trusted", "of young int|young int|cross", "root"),

		chain("right proxy", "right proxy|good|int", "root"),

		chain("weak, not trusted", "other rsa1024|other int", "root"),
		chain("weak, alone", "rsa1024", "root"),
		chain("sha1 with ecdsa", "sha1 ecdsa|other int", "other root"),
		chain("sha1 of the first, not trusted", "sha1|int", ""),
		chain("sha384", "sha384|other int", "other root"),
		chain("weak everywhere", "of rsa1024 int|rsa1024 int", ""),

		chain("tampered intermediate", "good|tampered int", "root"),
		chain("tampered intermediate and a good one", "good|tampered int|int", "root"),
		chain("tampered root", "good|int", "tampered root"),
		chain("tampered root sent", "good|int|tampered root", "root"),
		chain("tampered and not trusted", "tampered|int", ""),
		chain("false issuer", "of false int|int", "root"),
		chain("false issuer without ids", "of false int, no ids|int", "root"),
		chain("false intermediate", "of false int|false int", "root"),
		chain("false root, same id", "good|int", "same id root"),
		chain("twins", "of twin B", "twin A|twin B"),
		chain("twins without ids", "of twin B, no ids", "twin A|twin B"),
		chain("twins without ids, the other way", "of twin B, no ids", "twin B|twin A"),
		chain("by serial", "by serial", "root"),
		chain("by wrong serial", "by wrong serial", "root"),
		chain("by wrong issuer", "by wrong issuer", "root"),
	}
}

func listCases() []Case {
	const leaf, all = "crl_check", "crl_check_chain"
	cases := []Case{
		chain("CRL: none", "good|int", "root").lists(leaf),
		chain("CRL: none, chain", "good|int", "root").lists(leaf, all),
		chain("CRL: chain alone checks nothing", "good|int", "root").lists(all),
		chain("CRL: not trusted", "good|int", "").lists(leaf),
		chain("CRL: not trusted, chain", "good|int", "int list|root list").lists(leaf, all),
		chain("CRL: good", "good|int", "root|int list").lists(leaf),
		chain("CRL: in a folder", "revoked|int", "").in("root|int list").lists(leaf),
		chain("CRL: two in a folder", "revoked|int", "").in("root|int list|int list newer").lists(leaf),
		chain("CRL: file and folder", "revoked|int", "root|int list expired").in("int list").lists(leaf),
		chain("CRL: chain", "good|int", "root|int list|root list").lists(leaf, all),
		chain("CRL: chain, one missing", "good|int", "root|int list").lists(leaf, all),
		chain("CRL: chain, intermediate revoked", "good|int", "root|int list|root list with int").lists(leaf, all),
		chain("CRL: the newer counts", "revoked|int", "root|int list|int list newer").lists(leaf),
		chain("CRL: the newer counts, the other way", "revoked|int", "root|int list newer|int list").lists(leaf),
		chain("CRL: rather one that is valid", "revoked|int", "root|int list expired|int list not yet|int list").lists(leaf),
		chain("CRL: self-signed", "alone", "alone").lists(leaf),
		chain("CRL: by one who may not", "of int without lists|int without lists", "root|list of int without lists").lists(leaf),
		chain("CRL: place A", "at A|int", "root|int list at A").lists(leaf),
		chain("CRL: place A for some reasons", "at A for some|int", "root|int list at A").lists(leaf),
		chain("CRL: place A for all reasons", "at A for all|int", "root|int list at A").lists(leaf),
		chain("CRL: some reasons, not revoked", "at A for some|int", "root|int list").lists(leaf),
		chain("CRL: place B", "at B|int", "root|int list at A").lists(leaf),
		chain("CRL: no place", "revoked|int", "root|int list at A").lists(leaf),
		chain("CRL: any place", "at B|int", "root|int list").lists(leaf),
	}
	for _, list := range []string{"", " expired", " not yet", " critical", " of users", " of CAs", " indirect", " removed", " broken", " v1"} {
		cases = append(cases, chain("CRL: revoked, list"+list, "revoked|int", "root|int list"+list).lists(leaf))
	}
	return cases
}

// record makes TLSA data of a certificate.
func (p *pki) record(usage, selector, matching uint8, cert string) Record {
	data := p.cert(cert).Raw
	if selector == 1 {
		data = p.cert(cert).RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return Record{usage, selector, matching, data}
}

func (c Case) dane(name string, records ...Record) Case {
	c.Name, c.DANE = "DANE: "+c.Name, &DANE{Name: name, Records: records}
	return c
}

func (c Case) noNames() Case {
	c.DANE.NoEENamechecks = true
	return c
}

func (p *pki) daneCases() []Case {
	const host = "host.example.org"
	r := p.record
	wrong := func(usage, selector, matching uint8) Record { return r(usage, selector, matching, "alone CA") }
	return []Case{
		chain("3 1 1", "other|other int", "").dane(host, r(3, 1, 1, "other")),
		chain("3 0 1", "other|other int", "").dane(host, r(3, 0, 1, "other")),
		chain("3 1 2", "other|other int", "").dane(host, r(3, 1, 2, "other")),
		chain("3 0 2", "other|other int", "").dane(host, r(3, 0, 2, "other")),
		chain("3 1 0", "other|other int", "").dane(host, r(3, 1, 0, "other")),
		chain("3 0 0", "other|other int", "").dane(host, r(3, 0, 0, "other")),
		chain("3 1 1, other name", "other|other int", "").dane("example.com", r(3, 1, 1, "other")),
		chain("3 1 1, other name, no name checks", "other|other int", "").dane("example.com", r(3, 1, 1, "other")).noNames(),
		chain("3 1 1, expired", "expired|int", "").dane(host, r(3, 1, 1, "expired")),
		chain("3 1 1, self-signed", "alone", "").dane(host, r(3, 1, 1, "alone")),
		chain("3 1 1, weak", "rsa1024|int", "root").dane(host, r(3, 1, 1, "rsa1024")),
		chain("3 1 1, wrong purpose", "email only|int", "root").dane(host, r(3, 1, 1, "email only")),
		chain("3 1 1 of another, trusted", "good|int", "root").dane(host, wrong(3, 1, 1)),
		chain("3 1 1 of another, not trusted", "good|int", "").dane(host, wrong(3, 1, 1)),
		chain("3 1 1 of the intermediate", "good|int", "root").dane(host, r(3, 1, 1, "int")),
		chain("agility: weaker match", "good|int", "").dane(host, r(3, 1, 1, "good"), wrong(3, 1, 2)),
		chain("agility: full match", "good|int", "").dane(host, r(3, 1, 0, "good"), wrong(3, 1, 2)),
		chain("agility: other selector", "good|int", "").dane(host, r(3, 0, 1, "good"), wrong(3, 1, 2)),
		chain("several", "good|int", "").dane(host, wrong(3, 1, 1), wrong(3, 0, 1), r(3, 1, 1, "good")),

		chain("2 0 1 intermediate", "other|other int", "").dane(host, r(2, 0, 1, "other int")),
		chain("2 1 1 intermediate", "other|other int", "").dane(host, r(2, 1, 1, "other int")),
		chain("2 1 1 intermediate, other name", "other|other int", "").dane("example.com", r(2, 1, 1, "other int")),
		chain("2 1 1, other name, no EE name checks", "other|other int", "").dane("example.com", r(2, 1, 1, "other int")).noNames(),
		chain("2 0 1 root sent", "other|other int|other root", "").dane(host, r(2, 0, 1, "other root")),
		chain("2 0 1 root not sent", "other|other int", "").dane(host, r(2, 0, 1, "other root")),
		chain("2 0 1 root in the store only", "other|other int", "other root").dane(host, r(2, 0, 1, "other root")),
		chain("2 0 0 root not sent", "other|other int", "").dane(host, r(2, 0, 0, "other root")),
		chain("2 0 0 intermediate not sent", "other", "").dane(host, r(2, 0, 0, "other int")),
		chain("2 1 0 root key", "other|other int", "").dane(host, r(2, 1, 0, "other root")),
		chain("2 1 0 intermediate key, not sent", "other", "").dane(host, r(2, 1, 0, "other int")),
		chain("2 1 0 key of another", "other|other int", "").dane(host, wrong(2, 1, 0)),
		chain("2 1 0 of the leaf itself", "alone", "").dane(host, r(2, 1, 0, "alone")),
		chain("2 0 1 of the leaf itself", "alone", "").dane(host, r(2, 0, 1, "alone")),
		chain("2 0 1, expired leaf", "other expired|other int", "").dane(host, r(2, 0, 1, "other int")),
		chain("2 1 0, expired leaf", "other expired|other int", "").dane(host, r(2, 1, 0, "other root")),
		chain("2 0 1 wrong, trusted", "good|int", "root").dane(host, wrong(2, 0, 1)),
		chain("2 0 1 wrong, root sent", "good|int|root", "").dane(host, wrong(2, 0, 1)),
		chain("2 0 1, tampered leaf", "tampered|int", "").dane(host, r(2, 0, 1, "int")),
		chain("2 0 1, pretended leaf", "of false int, no ids|int", "").dane(host, r(2, 0, 1, "int")),

		chain("1 1 1", "good|int", "root").dane(host, r(1, 1, 1, "good")),
		chain("1 1 1, not trusted", "good|int", "").dane(host, r(1, 1, 1, "good")),
		chain("1 1 1, root sent, not trusted", "good|int|root", "").dane(host, r(1, 1, 1, "good")),
		chain("1 1 1 of another", "good|int", "root").dane(host, wrong(1, 1, 1)),
		chain("1 1 1, other name", "good|int", "root").dane("example.com", r(1, 1, 1, "good")),
		chain("1 1 1, other name, no EE name checks", "good|int", "root").dane("example.com", r(1, 1, 1, "good")).noNames(),
		chain("1 1 1, expired", "expired|int", "root").dane(host, r(1, 1, 1, "expired")),
		chain("0 0 1 root", "good|int", "root").dane(host, r(0, 0, 1, "root")),
		chain("0 1 1 intermediate", "good|int", "root").dane(host, r(0, 1, 1, "int")),
		chain("0 0 0 intermediate not sent", "good", "root").dane(host, r(0, 0, 0, "int")),
		chain("0 0 1 not trusted", "good|int|root", "").dane(host, r(0, 0, 1, "root")),
		chain("0 0 1 of another", "good|int", "root").dane(host, wrong(0, 0, 1)),
		chain("0 0 1 of another, not trusted", "good|int", "").dane(host, wrong(0, 0, 1)),
		chain("0 and 3, 3 matches", "other|other int", "").dane(host, wrong(0, 0, 1), r(3, 1, 1, "other")),
		chain("0 and 3, 0 matches", "good|int", "root").dane(host, r(0, 0, 1, "root"), wrong(3, 1, 1)),
		chain("1 and 3, 1 matches", "good|int", "root").dane(host, r(1, 0, 1, "good"), wrong(3, 1, 1)),
		chain("1 and 2, 2 matches", "other|other int", "root").dane(host, wrong(1, 0, 1), r(2, 0, 1, "other int")),
		chain("0 and 2, root of both", "good|int", "root").dane(host, wrong(0, 0, 1), r(2, 0, 1, "root")),
		chain("3 wrong, trusted by 2", "other|other int", "").dane(host, wrong(3, 1, 1), r(2, 0, 1, "other int")),

		chain("no records, trusted", "good|int", "root").dane(host),
		chain("no records, other name", "good|int", "root").dane("example.com"),
		chain("no records, not trusted", "good|int", "").dane("example.com"),
		chain("unusable: usage", "good|int", "root").dane(host, Record{4, 1, 1, wrong(3, 1, 1).Data}),
		chain("unusable: selector", "good|int", "root").dane(host, Record{3, 2, 1, wrong(3, 1, 1).Data}),
		chain("unusable: matching type", "good|int", "root").dane(host, Record{3, 1, 3, wrong(3, 1, 1).Data}),
		chain("unusable: length", "good|int", "root").dane(host, Record{3, 1, 1, []byte("short")}),
		chain("unusable: no certificate", "good|int", "root").dane(host, Record{3, 0, 0, []byte("short")}),
		chain("unusable: no key", "good|int", "root").dane(host, Record{3, 1, 0, []byte("short")}),
		chain("unusable: key and more", "good|int", "root").dane(host, Record{3, 1, 0, append(bytes.Clone(r(3, 1, 0, "good").Data), 0)}),
		chain("unusable and usable", "good|int", "").dane(host, Record{3, 1, 3, []byte("x")}, r(3, 1, 1, "good")),
		chain("wildcard", "wild|int", "root").dane("a.example.org", r(1, 1, 1, "wild")),
		chain("wildcard, two labels", "wild|int", "root").dane("a.b.example.org", r(1, 1, 1, "wild")),
		chain("wildcard, no label", "wild|int", "root").dane("example.org", r(1, 1, 1, "wild")),
		chain("partial wildcard", "wild|int", "root").dane("foobar.example.net", r(1, 1, 1, "wild")),
		chain("partial wildcard, other", "wild|int", "root").dane("barfoo.example.net", r(1, 1, 1, "wild")),
		chain("wildcard too wide", "wild|int", "root").dane("a.com", r(1, 1, 1, "wild")),
		chain("name in other letters", "good|int", "root").dane("HOST.Example.ORG", r(1, 1, 1, "good")),
		chain("common name", "common|int", "root").dane(host, r(1, 1, 1, "common")),
		chain("common name, other", "common|int", "root").dane("example.com", r(1, 1, 1, "common")),
		chain("subdomain", "good|int", "root").dane(".example.org", r(1, 1, 1, "good")),
	}
}

// randomCases throws certificates together.
func (p *pki) randomCases(n int) []Case {
	names := slices.Sorted(maps.Keys(p.certs))
	names = slices.DeleteFunc(names, func(s string) bool { return s == "p224" }) // no key for TLS
	lists := slices.Sorted(maps.Keys(p.crls))
	some := func(most int) []string {
		var out []string
		for range rand.IntN(most + 1) {
			name := names[rand.IntN(len(names))]
			out = append(out, name)
			for rand.IntN(3) > 0 { // what belongs together
				issuer := p.issuerOf(name)
				if issuer == "" || issuer == name {
					break
				}
				name = issuer
				out = append(out, name)
			}
		}
		rand.Shuffle(len(out)/2, func(i, j int) { out[i], out[j] = out[j], out[i] })
		return out
	}
	var cases []Case
	for i := range n {
		c := Case{Name: fmt.Sprint("random ", i), CAFile: some(4)}
		for c.Chain == nil {
			c.Chain = some(4)
		}
		if rand.IntN(4) == 0 {
			depth := rand.IntN(4)
			c.Depth = &depth
		}
		if rand.IntN(4) == 0 && c.CAFile != nil {
			c.VerifyExt = []string{"crl_check", "crl_check_chain"}[:1+rand.IntN(2)]
			c.CAFile = append(c.CAFile, lists[rand.IntN(len(lists))], lists[rand.IntN(len(lists))])
		}
		// With a leaf that is its own trusted root OpenSSL crashes in check_dane_pkeys.
		if rand.IntN(3) == 0 && !slices.Contains(c.CAFile, c.Chain[0]) {
			c.DANE = &DANE{Name: "host.example.org", NoEENamechecks: rand.IntN(2) == 0}
			known := append(c.Chain, c.CAFile...)
			for range 1 + rand.IntN(3) {
				name := known[rand.IntN(len(known))]
				if p.certs[name] != nil {
					c.DANE.Records = append(c.DANE.Records, p.record(uint8(rand.IntN(4)), uint8(rand.IntN(2)), uint8(rand.IntN(3)), name))
				}
			}
		}
		cases = append(cases, c)
	}
	return cases
}

func (p *pki) issuerOf(name string) string {
	raw := p.cert(name).RawIssuer
	for _, other := range slices.Sorted(maps.Keys(p.certs)) {
		if bytes.Equal(p.cert(other).RawSubject, raw) && rand.IntN(2) == 0 {
			return other
		}
	}
	return ""
}
