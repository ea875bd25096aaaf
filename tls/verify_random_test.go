package tls

import (
	"bufio"
	"cmp"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestVerifyAcceptsNothingThatOpenSSLRefuses makes random chains, and as many
// with something odd in one certificate, and asks OpenSSL for each (test/c/verify_oracle.c):
//
//	VERIFY_RANDOM=100000 VERIFY_SEED=7 go test -v -run AcceptsNothing ./tls
//
// What OpenSSL accepts and we refuse is logged by our reason.
func TestVerifyAcceptsNothingThatOpenSSLRefuses(t *testing.T) {
	oracle := buildOracle(t)
	number := func(name string, otherwise int) int {
		n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
		if err != nil {
			t.Fatal(name, ": ", err)
		}
		return n
	}
	n, seed := number("VERIFY_RANDOM", 1500), number("VERIFY_SEED", int(time.Now().UnixNano()%1e9))
	t.Logf("VERIFY_SEED=%d", seed)
	for _, odd := range []bool{false, true} {
		w := newWorld(uint64(seed), odd)
		tally := map[string]int{}
		for from := 0; from < n; from += batchSize {
			requests := make([]request, min(batchSize, n-from))
			for i := range requests {
				requests[i] = w.request()
			}
			for i, answer := range ask(t, oracle, requests) {
				requests[i].compare(t, answer, tally)
			}
		}
		for _, what := range slices.Sorted(maps.Keys(tally)) {
			t.Logf("odd: %v: %7d %s", odd, tally[what], what)
		}
	}
}

const batchSize = 1000

func buildOracle(t *testing.T) string {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip(err)
	}
	if err := exec.Command("gcc", "-E", "-include", "openssl/x509_vfy.h", "-x", "c", "/dev/null", "-o", "/dev/null").Run(); err != nil {
		t.Skip("OpenSSL's headers are not installed (libssl-dev)")
	}
	oracle := filepath.Join(t.TempDir(), "verify_oracle")
	out, err := exec.Command("gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror",
		"../test/c/verify_oracle.c", "-lcrypto", "-o", oracle).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return oracle
}

// request is one question to both verifiers.
type request struct {
	roots, chain [][]byte
	options      VerifyOptions
}

func (r *request) encode(w io.Writer) {
	flags := byte(0)
	if r.options.Server && !r.options.IgnorePurpose {
		flags |= 1
	}
	if r.options.Continue {
		flags |= 2
	}
	head := []byte{flags, byte(max(r.options.SecurityLevel, 0)), byte(r.options.Depth)}
	head = binary.BigEndian.AppendUint32(head, uint32(r.options.Now.Unix()))
	w.Write(append(head, byte(len(r.roots)), byte(len(r.chain))))
	for _, der := range append(slices.Clone(r.roots), r.chain...) {
		w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(der))), der...))
	}
}

func ask(t *testing.T, oracle string, requests []request) (answers []string) {
	cmd := exec.Command(oracle)
	in, _ := cmd.StdinPipe()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		w := bufio.NewWriter(in)
		for i := range requests {
			requests[i].encode(w)
		}
		w.Flush()
		in.Close()
	}()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		answers = append(answers, lines.Text())
	}
	if err := cmd.Wait(); err != nil || len(answers) != len(requests) {
		t.Fatalf("%d answers to %d requests: %v", len(answers), len(requests), err)
	}
	return answers
}

// ours is our answer in the oracle's form.
func (r *request) ours() (ok bool, text string) {
	cas, _ := NewCAStore("", "")
	for _, der := range r.roots {
		x, _ := x509.ParseCertificate(der)
		cas.found.add([]*certFacts{newCertFacts(x)}, nil)
	}
	var chain []*x509.Certificate
	for _, der := range r.chain {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			return false, "crypto/x509 cannot parse it"
		}
		chain = append(chain, x)
	}
	o := r.options
	o.CAs = cas
	got := Verify(chain, o)
	return got.OK, got.Text
}

// storeReadable: a trusted certificate that Go cannot parse is left out of our
// store (docs/differences.md), so the two verifiers would be asked differently.
func (r *request) storeReadable() bool {
	for _, der := range r.roots {
		if _, err := x509.ParseCertificate(der); err != nil {
			return false
		}
	}
	return true
}

func (r *request) compare(t *testing.T, openssl string, tally map[string]int) {
	if !r.storeReadable() {
		tally["not compared"]++
		return
	}
	ok, text := r.ours()
	first, _, _ := strings.Cut(openssl, "|")
	_, first, _ = strings.Cut(first, " ")
	switch {
	case ok && openssl == "ok":
		tally["both accept"]++
	case ok:
		tally["OpenSSL ALONE REFUSES"]++
		t.Errorf("we accept, OpenSSL says %q: %s", openssl, r.dump())
	case openssl == "ok":
		tally["we alone refuse: "+text]++
	case text == first:
		tally["both refuse, with the same text"]++
	default:
		tally["both refuse, with other texts"]++
	}
}

func (r *request) dump() string {
	var s strings.Builder
	for _, der := range r.roots {
		s.WriteString("\nroot " + hex.EncodeToString(der))
	}
	for _, der := range r.chain {
		s.WriteString("\npeer " + hex.EncodeToString(der))
	}
	return s.String()
}

// world makes requests.
type world struct {
	*rand.Rand
	keys []*testKey
	odd  bool
	now  time.Time
}

func newWorld(seed uint64, odd bool) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), odd: odd, now: time.Unix(1767225600, 0)}
	for range 6 {
		w.keys = append(w.keys, newECDSAKey(elliptic.P256()))
	}
	w.keys = append(w.keys, newEdKey(), newECDSAKey(elliptic.P384()), newRSAKey(2048), newRSAKey(1024))
	return w
}

// in says yes once in n times.
func (w *world) in(n int) bool { return w.IntN(n) == 0 }

// rare is in, but seldom where something is odd: the oddity is to decide.
func (w *world) rare(n int) bool { return w.in(n) && (!w.odd || w.in(6)) }

func pick[T any](w *world, from ...T) T { return from[w.IntN(len(from))] }

// key is mostly a cheap one.
func (w *world) key() *testKey {
	if w.rare(12) {
		return pick(w, w.keys[6:]...)
	}
	return pick(w, w.keys[:6]...)
}

// entity is a certificate that can sign others.
type entity struct {
	raw *rawCertificate
	der []byte
}

// request makes a root, CAs below each other, a leaf, and some confusion.
func (w *world) request() request {
	depth := pick(w, 0, 1, 1, 1, 2, 2, 3)
	target := -1 // the certificate with something odd
	if w.odd {
		target = pick(w, depth+1, depth+1, w.IntN(depth+2))
	}
	all := []*entity{w.entity(0, nil, depth == 0 && w.in(4), target == 0)}
	for i := 1; i <= depth+1; i++ {
		all = append(all, w.entity(i, all[i-1], i == depth+1, target == i))
	}
	r := request{options: VerifyOptions{
		Depth: pick(w, 9, 9, 9, 9, 9, 9, 9, 9, 9, w.IntN(4)), Now: w.now, Server: w.in(2), IgnorePurpose: w.in(2), Continue: w.in(2),
		SecurityLevel: pick(w, 2, 1, 1, -1),
	}}
	for _, e := range slices.Backward(all[1:]) {
		r.chain = append(r.chain, e.der)
	}
	r.roots = [][]byte{all[0].der}
	if !w.rare(4) {
		return r
	}
	w.confuse(&r, all)
	return r
}

// confuse changes who has which certificates.
func (w *world) confuse(r *request, all []*entity) {
	switch w.IntN(7) {
	case 0: // the root is not trusted
		r.roots, r.chain = nil, append(r.chain, r.roots[0])
	case 1: // it is sent too
		r.chain = append(r.chain, r.roots[0])
	case 2: // the store has what the peer does not send
		if len(r.chain) > 1 {
			r.roots, r.chain = append(r.roots, r.chain[1]), slices.Delete(r.chain, 1, 2)
		}
	case 3: // the root is the leaf
		r.chain = [][]byte{r.roots[0]}
	case 4: // in disorder
		rest := r.chain[1:]
		w.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	default: // a CA of the same name, signed by another
		i := w.IntN(len(all))
		twin := *all[i].raw
		issuer := all[max(i-1, 0)]
		twin.serial = w.Int64N(1000) + 1
		if w.in(2) {
			twin.key = w.key()
		}
		if w.in(2) {
			twin.notAfter = w.now.Add(-time.Hour)
		}
		der := twin.sign(issuer.raw.key)
		if w.in(2) {
			r.roots = append([][]byte{der}, r.roots...)
		} else {
			r.chain = slices.Insert(r.chain, 1, der)
		}
	}
}

// entity makes the certificate at this level; without an issuer it is its own.
func (w *world) entity(level int, issuer *entity, leaf, odd bool) *entity {
	c := &rawCertificate{
		version: 2, serial: w.Int64N(100) + 1, key: w.key(),
		notBefore: w.now.Add(-time.Hour), notAfter: w.now.Add(time.Hour),
	}
	c.subject = w.subject(level, leaf)
	by := c
	if issuer != nil {
		by = issuer.raw
	}
	c.issuer = by.subject
	w.blemish(c, level)
	c.extensions = w.extensions(c, by, leaf)
	if c.version != 2 && !w.in(4) {
		c.extensions = nil
	}
	if odd {
		w.makeOdd(c)
	}
	return &entity{c, c.sign(by.key)}
}

func (w *world) subject(level int, leaf bool) []byte {
	if !leaf {
		return rawName(pick[byte](w, 12, 12, 12, 19), "CA "+strconv.Itoa(level))
	}
	sets := [][]byte{rawAttribute(oidCommonName, 12, pick(w, "leaf", "a.example", "x.test", "b.a.example", "*.a.example"))}
	if w.in(10) {
		sets = append(sets, rawAttribute(oidEmailAddress, pick[byte](w, 22, 22, 12), pick(w, mails...)))
	}
	if w.in(20) {
		sets = nil
	}
	return derTLV(derSequenceTag, sets...)
}

// blemish makes something other than the extensions wrong, once in a while.
func (w *world) blemish(c *rawCertificate, level int) {
	if !w.rare(20) {
		return
	}
	switch w.IntN(5) {
	case 0:
		c.notAfter = w.now.Add(pick[time.Duration](w, -1, 0, 1) * time.Second)
	case 1:
		c.notBefore = w.now.Add(pick[time.Duration](w, -1, 0, 1) * time.Second)
	case 2:
		c.broken = true
	case 3:
		c.version = w.IntN(3)
	case 4:
		c.issuer = rawName(pick[byte](w, 12, 19, 22), pick(w, "CA ", "ca ", " cA\t ")+strconv.Itoa(max(level-1, 0)))
	}
}
