package tls

import (
	"crypto/x509"
	"time"
)

// VerifyOptions says what to verify a chain against, and how strictly.
type VerifyOptions struct {
	CAs           *CAStore
	Depth         int  // the most intermediate CAs; -1: OpenSSL's default, 100; below: trust nobody
	Server        bool // we are the server: the peer is a client
	IgnorePurpose bool // lsec_ignore_purpose: a client may be what suits a server
	Continue      bool // lsec_continue: collect every error, never stop
	CRLLeaf       bool // crl_check
	CRLChain      bool // crl_check_chain, which does nothing without crl_check
	SecurityLevel int  // OpenSSL's; 0: Debian's default, 2; negative: none
	Now           time.Time
	DANE          *DANE // nil: not used
}

// Result is what LuaSec's getpeerverification reports.
type Result struct {
	OK     bool
	Errors map[int][]string // by depth, in order; without Continue the first only
	Text   string           // the first error
}

// Debian builds OpenSSL with OPENSSL_TLS_SECURITY_LEVEL=2.
const defaultSecurityLevel = 2

// OpenSSL's default depth, and here the most: more would be work for nothing.
const maxDepth = 100

// The peer certificates that are looked at. More than 11 cannot be of use with
// Prosody's depth.
const maxUntrusted = 100

// Verify checks a chain as the peer sent it, leaf first. No certificate at all
// is no error, as in OpenSSL.
//
// It follows X509_verify_cert of OpenSSL 3.0 (x509_vfy.c) step by step, because
// Prosody shows and stores which errors come, at which depth and in which order.
// crypto/x509's Verify finds one error, and another one, but a chain that it
// refuses is not trusted either. Host names are not checked, but for DANE's base
// name.
func Verify(chain []*x509.Certificate, o VerifyOptions) Result {
	if len(chain) == 0 {
		return Result{OK: true}
	}
	v := newVerifier(chain[:min(len(chain), maxUntrusted)], o)
	if !v.run() && v.err == "" {
		v.fail(0, errUnspecified) // never OK without having seen the end
	}
	return v.result()
}

// verifier is X509_STORE_CTX: one chain being built and checked.
type verifier struct {
	VerifyOptions
	untrusted    []*certFacts
	chain        []*certFacts
	numUntrusted int // how many of chain, from the leaf on, came from the peer
	level        int

	work       budget     // what the whole verification may still cost
	dane       *daneState // nil: not enabled
	bareAnchor bool       // DANE: the topmost certificate is signed by a bare key

	err    verifyError // the last one; sticky
	first  verifyError
	errors map[int][]string
}

func newVerifier(chain []*x509.Certificate, o VerifyOptions) *verifier {
	v := &verifier{VerifyOptions: o, level: o.SecurityLevel, work: maxWork}
	if v.level == 0 {
		v.level = defaultSecurityLevel
	}
	if v.Depth == -1 || v.Depth > maxDepth {
		v.Depth = maxDepth
	}
	for _, x := range chain {
		v.untrusted = append(v.untrusted, newCertFacts(x))
	}
	v.chain, v.numUntrusted = []*certFacts{v.untrusted[0]}, 1
	v.dane = newDANEState(o.DANE)
	return v
}

// fail reports an error and says whether to go on, as LuaSec's verify_cb does.
func (v *verifier) fail(depth int, err verifyError) bool {
	if v.errors == nil {
		v.first, v.errors = err, map[int][]string{}
	}
	v.err = err
	v.errors[depth] = append(v.errors[depth], string(err))
	return v.Continue
}

func (v *verifier) failIf(cond bool, depth int, err verifyError) bool {
	return !cond || v.fail(depth, err)
}

func (v *verifier) result() Result {
	return Result{OK: v.err == "", Errors: v.errors, Text: string(v.first)}
}

func (v *verifier) run() bool {
	leaf := v.chain[0]
	if !v.failIf(!keyMeetsLevel(leaf.PublicKey, v.level), 0, errLeafKeyWeak) {
		return false
	}
	if leaf.PublicKey == nil {
		return false
	}
	if leaf.invalid { // at once, because DANE asks nothing else of a leaf
		v.fail(0, errInvalidExtension)
		return false
	}
	if v.dane != nil {
		return v.verifyDANE()
	}
	return v.verifyChain()
}

// verifyChain is verify_chain.
func (v *verifier) verifyChain() bool {
	return v.buildChain() &&
		v.checkExtensions() &&
		v.checkLevel() &&
		v.checkHost() &&
		v.checkRevocation() &&
		v.checkSignatures() &&
		v.checkNameConstraints() &&
		v.confirm()
}

// checkExtensions is check_extensions: what each certificate of the chain may
// be used for.
func (v *verifier) checkExtensions() bool {
	below := 0
	for i, c := range v.chain {
		ok := v.failIf(c.invalid, i, errInvalidExtension) &&
			v.failIf(c.unhandled, i, errCritical) &&
			v.failIf(i > 0 && !v.goodCA(i), i, errInvalidCA) &&
			v.failIf(!v.suits(c, i > 0), i, errPurpose) &&
			v.failIf(i > 1 && c.pathLen() >= 0 && below > c.pathLen(), i, errPathLength)
		if !ok {
			return false
		}
		if i > 0 && !c.selfIssued {
			below++
		}
	}
	return true
}

// goodCA: only the topmost certificate may be a CA without saying so.
func (v *verifier) goodCA(i int) bool {
	c := v.chain[i]
	return c.saysCA() || i == len(v.chain)-1 && c.mayBeCA()
}

// suits is the purpose check. LuaSec's lsec_ignore_purpose does not ignore the
// purpose: it asks for a server's on both sides, which is what XMPP servers
// present to each other.
func (v *verifier) suits(c *certFacts, mustBeCA bool) bool {
	if v.Server && !v.IgnorePurpose {
		return c.suitsClient(mustBeCA)
	}
	return c.suitsServer(mustBeCA)
}

// checkLevel is check_auth_level: all keys but the leaf's, which was checked
// first, and all signatures but the trust anchor's.
func (v *verifier) checkLevel() bool {
	for i, c := range v.chain {
		if !v.failIf(i > 0 && !keyMeetsLevel(c.PublicKey, v.level), i, errCAKeyWeak) ||
			!v.failIf(i < len(v.chain)-1 && !c.sig.meetsLevel(v.level), i, errDigestWeak) {
			return false
		}
	}
	return true
}

// checkSignatures is internal_verify: from the top down, signatures and times.
// The signature of a self-signed anchor is not checked.
func (v *verifier) checkSignatures() bool {
	n := len(v.chain) - 1
	issuer, c := v.chain[n], v.chain[n]
	switch {
	case v.bareAnchor || c.selfSigned:
	case n > 0:
		n--
		c = v.chain[n]
	case !v.fail(0, errNoLeafSignature):
		return false
	}
	for {
		if c != issuer && !v.checkIssuer(n, c, issuer) {
			return false
		}
		if !v.checkTimes(n, c) {
			return false
		}
		if n--; n < 0 {
			return true
		}
		issuer, c = c, v.chain[n]
	}
}

func (v *verifier) checkIssuer(n int, c, issuer *certFacts) bool {
	if !v.work.take(signatureCost(issuer.PublicKey)) {
		v.fail(n, errUnspecified)
		return false
	}
	return v.failIf(issuer.refusesUsage(x509.KeyUsageCertSign), n+1, errUsageNoCertSign) &&
		v.failIf(!c.sig.verify(issuer.PublicKey, c.RawTBSCertificate, c.Signature), n, errSignature)
}

func (v *verifier) checkTimes(n int, c *certFacts) bool {
	return v.failIf(c.NotBefore.After(v.Now), n, errNotYetValid) &&
		v.failIf(!c.NotAfter.After(v.Now), n, errExpired)
}

// current: OpenSSL prefers issuers of which this is true.
func (v *verifier) current(c *certFacts) bool {
	return !c.NotBefore.After(v.Now) && c.NotAfter.After(v.Now)
}

// checkNameConstraints is check_name_constraints: each certificate against the
// constraints of all above it.
func (v *verifier) checkNameConstraints() bool {
	for i := len(v.chain) - 1; i >= 0; i-- {
		c := v.chain[i]
		if i != 0 && c.selfIssued {
			continue
		}
		if !v.checkConstraintsOn(i) {
			return false
		}
	}
	return true
}

func (v *verifier) checkConstraintsOn(i int) bool {
	c := v.chain[i]
	for j := len(v.chain) - 1; j > i; j-- {
		nc := v.chain[j].constraints
		if nc == nil {
			continue
		}
		err := nc.check(c, &v.work)
		if err == "" && i == 0 && !hasName(c, dnsName) {
			err = nc.checkCommonNames(c, &v.work)
		}
		if !v.failIf(err != "", i, err) || v.work.spent() {
			return false
		}
	}
	return true
}

func hasName(c *certFacts, kind int) bool {
	for _, n := range c.altNames {
		if n.kind == kind {
			return true
		}
	}
	return false
}
