package tls

import (
	"errors"
	"slices"
	"strings"
)

var (
	errNoCipherMatch  = errors.New("error setting cipher list (no cipher match)")
	errInvalidCommand = errors.New("error setting cipher list (invalid command)")
)

// openSSLDefault is what DEFAULT stands for at the beginning of a string.
const openSSLDefault = "ALL:!COMPLEMENTOFDEFAULT:!eNULL"

// suiteB are strings that stand for RFC 6460's profiles. OpenSSL looks only at
// how the string begins, and drops the rest.
var suiteB = []struct{ prefix, list string }{
	{"SUITEB128ONLY", "ECDHE-ECDSA-AES128-GCM-SHA256"},
	{"SUITEB128", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"},
	{"SUITEB192", "ECDHE-ECDSA-AES256-GCM-SHA384"},
}

// ciphers is what a cipher string asks for.
type ciphers struct {
	suites  []uint16 // that crypto/tls has, in the string's order
	missing []string // names of those it does not have
	level   int      // the security level
}

// parseCiphers expands a cipher string, with the grammar and the algorithm of
// OpenSSL's ssl_create_cipher_list (see ciphers(1)). As there, names that nobody
// knows are passed over, and it is an error if nothing is left.
//
// It differs in one thing: suites that crypto/tls calls broken (see
// suite.weakness) are only taken if the string names them.
func parseCiphers(list string) (ciphers, error) {
	for _, b := range suiteB {
		if strings.HasPrefix(list, b.prefix) {
			list = b.list
		}
	}
	p := newCipherParser()
	if rest, ok := strings.CutPrefix(list, "DEFAULT"); ok {
		p.parse(openSSLDefault)
		list = rest
	}
	p.parse(list)
	if p.failed {
		return ciphers{}, errInvalidCommand
	}
	return p.result()
}

// cipherParser is the list of all suites in the making.
type cipherParser struct {
	list   []candidate // preference order
	level  int
	failed bool
}

type candidate struct {
	*suite
	active bool // has been added
}

func newCipherParser() *cipherParser {
	p := &cipherParser{level: defaultSecurityLevel}
	for i := range suites12 {
		p.list = append(p.list, candidate{suite: &suites12[i]})
	}
	return p
}

// parse applies the rules of a string one by one. A rule ends at a separator,
// or where a character comes that cannot be of a name: HIGH!aNULL are two.
func (p *cipherParser) parse(s string) {
	for s != "" {
		if isSeparator(s[0]) {
			s = s[1:]
			continue
		}
		operator := byte(0)
		if strings.IndexByte("-+!@", s[0]) >= 0 {
			operator, s = s[0], s[1:]
		}
		if operator == '@' {
			s = p.command(s)
		} else {
			s = p.rule(operator, s)
		}
	}
}

// command runs what follows an @ and returns what comes after it.
func (p *cipherParser) command(s string) (rest string) {
	word, _ := cutWord(s)
	switch {
	case word == "STRENGTH":
		p.sortByStrength()
	case len(word) == len("SECLEVEL=n") && strings.HasPrefix(word, "SECLEVEL=") && word[9] >= '0' && word[9] <= '5':
		p.level = int(word[9] - '0')
	default:
		p.failed = true
	}
	return skipItem(s)
}

// rule applies names joined by +, of which a suite must match all.
func (p *cipherParser) rule(operator byte, s string) (rest string) {
	var terms []string
	for {
		word, after := cutWord(s)
		if word == "" {
			p.failed = true
			return skipByte(after)
		}
		if !isCipherTerm(word) {
			return skipItem(after)
		}
		terms = append(terms, word)
		s = after
		if !strings.HasPrefix(s, "+") {
			p.apply(operator, terms)
			return s
		}
		s = s[1:]
	}
}

func isSeparator(c byte) bool {
	return c == ':' || c == ' ' || c == ';' || c == ','
}

func isWordByte(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '='
}

func cutWord(s string) (word, rest string) {
	n := 0
	for n < len(s) && isWordByte(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

func skipByte(s string) string {
	if s == "" {
		return s
	}
	return s[1:]
}

func skipItem(s string) string {
	for s != "" && !isSeparator(s[0]) {
		s = s[1:]
	}
	return s
}

// apply moves the suites that match: added ones to the end, removed ones to the
// front, so that they come first when they are added again.
func (p *cipherParser) apply(operator byte, terms []string) {
	var moved, rest []candidate
	for _, c := range p.list {
		if takes(operator, c, terms) {
			moved = append(moved, c)
		} else {
			rest = append(rest, c)
		}
	}
	for i := range moved {
		moved[i].active = operator != '-'
	}
	switch operator {
	case '!':
		p.list = rest
	case '-':
		p.list = append(moved, rest...)
	default:
		p.list = append(rest, moved...)
	}
}

// takes tells whether a rule applies to a candidate.
func takes(operator byte, c candidate, terms []string) bool {
	for _, term := range terms {
		if !cipherTermMatches(term, c.suite) {
			return false
		}
	}
	switch operator {
	case '!':
		return true
	case '+', '-':
		return c.active
	}
	return !c.active && namesWeakness(terms, c.suite)
}

func namesWeakness(terms []string, s *suite) bool {
	weakness := s.weakness()
	return weakness == "" || slices.Contains(terms, weakness) || slices.Contains(terms, s.name)
}

// sortByStrength puts the added suites behind the others, strongest first.
func (p *cipherParser) sortByStrength() {
	rank := func(c candidate) int {
		if !c.active {
			return -1 << 16
		}
		return -c.bits()
	}
	slices.SortStableFunc(p.list, func(a, b candidate) int { return rank(a) - rank(b) })
}

// result sorts the added suites into those that crypto/tls has and the others.
func (p *cipherParser) result() (ciphers, error) {
	r := ciphers{level: p.level}
	matched := false
	for _, c := range p.list {
		if !c.active {
			continue
		}
		matched = true
		switch {
		case !allowedAtLevel(c.suite, p.level):
		case inGo[c.id]:
			r.suites = append(r.suites, c.id)
		default:
			r.missing = append(r.missing, c.name)
		}
	}
	if !matched {
		return ciphers{}, errNoCipherMatch
	}
	return r, nil
}

// allowedAtLevel follows ssl_security_default_callback: OpenSSL does not use
// what is below the security level, though it is in the list.
func allowedAtLevel(s *suite, level int) bool {
	if level == 0 {
		return true
	}
	minBits := [...]int{80, 112, 128, 192, 256}[level-1]
	switch {
	case s.bits() < minBits, s.au == "None", s.mac == "MD5":
		return false
	case minBits > 160 && s.mac == "SHA1":
		return false
	case level >= 2 && strings.HasPrefix(s.enc, "RC4"):
		return false
	}
	return level < 3 || s.ephemeral()
}
