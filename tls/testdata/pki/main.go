// Pki makes tls/testdata/verify.json: certificates, cases of verifying them,
// and what LuaSec with OpenSSL 3 says of each. To do it anew, on a machine with
// lua5.4, lua-sec and openssl, in the root of the repository:
//
//	go run ./tls/testdata/pki
//
// With -random 2000 -o FILE there are as many random cases instead, to look for
// differences with VERIFY_SUITE=FILE go test -run LuaSec ./tls.
//
// Keys are thrown away: the Go test needs none. Everything that is meant to be
// valid is so until 2120.
package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Suite is the file that is written; verify_test.go reads the same.
type Suite struct {
	Now   time.Time
	Certs map[string][]byte // DER, by name
	CRLs  map[string][]byte
	Cases []Case
}

// Case is one chain and what to verify it against.
type Case struct {
	Name      string
	Chain     []string
	CAFile    []string          `json:",omitempty"` // names of certificates and CRLs
	CAPath    map[string]string `json:",omitempty"` // by file name
	Depth     *int              `json:",omitempty"`
	VerifyExt []string          `json:",omitempty"`
	DANE      *DANE             `json:",omitempty"`
	Answers   map[string]Answer

	capath []string
}

// DANE is what setdane and settlsa are given.
type DANE struct {
	Name           string
	NoEENamechecks bool `json:",omitempty"`
	Records        []Record
}

// Record is a TLSA record.
type Record struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}

// Answer is getpeerverification's, or why the handshake failed.
type Answer struct {
	OK        bool             `json:",omitempty"`
	Errors    map[int][]string `json:",omitempty"`
	Text      string           `json:",omitempty"`
	Handshake string           `json:",omitempty"`
}

func main() {
	log.SetFlags(0)
	random := flag.Int("random", 0, "make so many random cases instead")
	output := flag.String("o", "tls/testdata/verify.json", "the file to write")
	flag.Parse()
	folder, err := os.MkdirTemp("", "pki")
	check(err)
	defer os.RemoveAll(folder)
	p := newPKI()
	suite := &Suite{Now: time.Now().UTC().Truncate(time.Second), Certs: p.certs, CRLs: p.crls, Cases: p.cases()}
	if *random > 0 {
		suite.Cases = p.randomCases(*random)
	}
	p.write(folder, suite)
	suite.ask(folder)
	out, err := json.MarshalIndent(suite, "", "\t")
	check(err)
	check(os.WriteFile(*output, append(out, '\n'), 0o644))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// write lays the files out that oracle.lua needs.
func (p *pki) write(folder string, suite *Suite) {
	p.writeKey(folder, "server", "good")
	check(os.WriteFile(filepath.Join(folder, "server.pem"), p.pem("good"), 0o600))
	var lua bytes.Buffer
	fmt.Fprintln(&lua, "return {")
	for i := range suite.Cases {
		c := &suite.Cases[i]
		base := fmt.Sprintf("%s/%d", folder, i)
		p.writeKey(folder, fmt.Sprint(i), c.Chain[0])
		check(os.WriteFile(base+".pem", p.pem(c.Chain...), 0o600))
		fmt.Fprintf(&lua, "{ name = %q, key = %q, chain = %q,", c.Name, base+".key", base+".pem")
		if c.CAFile != nil {
			check(os.WriteFile(base+".ca", p.pem(c.CAFile...), 0o600))
			fmt.Fprintf(&lua, " cafile = %q,", base+".ca")
		}
		if c.capath != nil {
			p.writePath(base+".d", c)
			fmt.Fprintf(&lua, " capath = %q,", base+".d")
		}
		if c.Depth != nil {
			fmt.Fprintf(&lua, " depth = %d,", *c.Depth)
		}
		fmt.Fprintf(&lua, " verifyext = { ")
		for _, flag := range c.VerifyExt {
			fmt.Fprintf(&lua, "%q, ", flag)
		}
		fmt.Fprintf(&lua, "},%s },\n", c.DANE.lua())
	}
	fmt.Fprintln(&lua, "}")
	check(os.WriteFile(folder+"/cases.lua", lua.Bytes(), 0o600))
}

// writePath makes a hashed directory; openssl names the files.
func (p *pki) writePath(dir string, c *Case) {
	check(os.Mkdir(dir, 0o700))
	for _, name := range c.capath {
		check(os.WriteFile(filepath.Join(dir, name+".pem"), p.pem(name), 0o600))
	}
	check(exec.Command("openssl", "rehash", dir).Run())
	links, err := filepath.Glob(dir + "/????????.*")
	check(err)
	c.CAPath = map[string]string{}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil {
			c.CAPath[filepath.Base(link)] = strings.TrimSuffix(target, ".pem")
		}
	}
}

func (d *DANE) lua() string {
	if d == nil {
		return ""
	}
	flags := "true"
	if d.NoEENamechecks {
		flags = `{ "no_ee_namechecks" }`
	}
	var records strings.Builder
	for _, r := range d.Records {
		fmt.Fprintf(&records, "{ %d, %d, %d, \"", r.Usage, r.Selector, r.MatchingType)
		for _, b := range r.Data {
			fmt.Fprintf(&records, "\\x%02x", b)
		}
		records.WriteString("\" }, ")
	}
	return fmt.Sprintf(" dane = { name = %q, flags = %s, records = { %s} },", d.Name, flags, records.String())
}

// ask runs the oracle and takes its answers in.
func (s *Suite) ask(folder string) {
	cmd := exec.Command("lua5.4", "tls/testdata/pki/oracle.lua", folder)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	check(err)
	byName := map[string]*Case{}
	for i := range s.Cases {
		s.Cases[i].Answers = map[string]Answer{}
		byName[s.Cases[i].Name] = &s.Cases[i]
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		fields := strings.SplitN(line, "\t", 3)
		var a Answer
		check(json.Unmarshal([]byte(fields[2]), &a))
		byName[fields[0]].Answers[fields[1]] = a
	}
}

// pem encodes certificates and CRLs by name.
func (p *pki) pem(names ...string) []byte {
	var out []byte
	for _, name := range names {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: p.certs[name]}
		if der, ok := p.crls[name]; ok {
			block = &pem.Block{Type: "X509 CRL", Bytes: der}
		}
		if block.Bytes == nil {
			log.Fatal("no certificate ", name)
		}
		out = append(out, pem.EncodeToMemory(block)...)
	}
	return out
}
