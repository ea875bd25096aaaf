package tls

// verdict is X509_TRUST_*: neither is "go on looking".
type verdict int

const (
	undecided verdict = iota
	trusted
)

// buildChain is build_chain of x509_vfy.c: upwards from the leaf, from the
// trust store first and from the peer's certificates where that has no issuer,
// until a self-signed certificate of the trust store is reached. One issuer is
// tried at each step, so the work is bounded by the depth.
func (v *verifier) buildChain() bool {
	verdict := v.extendChain()
	num := len(v.chain)
	if verdict == undecided && num <= v.Depth+1 && v.dane.has(usageDANETA) {
		verdict = v.checkBareKeys()
	}
	if verdict == trusted {
		return true
	}
	return v.untrustedChain(len(v.chain) - 1)
}

// untrustedChain says why there is no trusted one.
func (v *verifier) untrustedChain(top int) bool {
	if v.err != "" { // "a preliminary error has become final"
		return v.fail(top, v.err)
	}
	if !v.failIf(top > v.Depth, top, errChainTooLong) {
		return false
	}
	if !v.failIf(v.dane != nil && (!v.dane.has(usagePKIXTA, usagePKIXEE) || v.dane.pkixDepth >= 0), top, errDANE) {
		return false
	}
	switch {
	case v.chain[top].selfSigned && top == 0:
		return v.fail(top, errSelfSigned)
	case v.chain[top].selfSigned:
		return v.fail(top, errSelfSignedInChain)
	case v.numUntrusted < len(v.chain):
		return v.fail(top, errNoIssuer)
	}
	return v.fail(top, errNoLocalIssuer)
}

func (v *verifier) extendChain() verdict {
	// With nothing but DANE-TA and DANE-EE records the store is no authority.
	mayTrust := v.dane.has(usagePKIXTA, usagePKIXEE) || !v.dane.has(usageDANETA, usageDANEEE)
	peers := append(v.dane.anchors(), v.untrusted...)
	fromPeer, fromStore := true, mayTrust
	for fromPeer || fromStore {
		if fromStore {
			switch found, verdict := v.extendFromStore(); {
			case verdict == trusted:
				return trusted
			case found == another:
				fromPeer = false
				continue
			case found == root:
				return undecided
			case !fromPeer:
				return undecided
			}
		}
		issuer := v.issuerAmong(peers)
		if issuer == nil {
			fromPeer, fromStore = false, mayTrust
			continue
		}
		peers = without(peers, issuer)
		v.chain = append(v.chain, issuer)
		v.numUntrusted++
		if v.checkDANEIssuer(v.numUntrusted-1) == trusted {
			return trusted
		}
	}
	return undecided
}

// found is what extendFromStore did.
type found int

const (
	nothing found = iota
	another       // an issuer that itself has one
	root          // a self-signed certificate, without being trusted for it
)

// extendFromStore adds the trusted issuer of the topmost certificate. A
// self-signed certificate from the peer must be in the store as it is.
func (v *verifier) extendFromStore() (found, verdict) {
	num := len(v.chain)
	top := v.chain[num-1]
	if num > v.Depth+1 {
		return nothing, undecided
	}
	issuer := v.trustedIssuer(top)
	switch {
	case issuer == nil || top.selfSigned && !top.same(issuer):
		return nothing, undecided
	case top.selfSigned:
		num--
		v.numUntrusted = num
		v.chain[num] = issuer
	default:
		v.chain = append(v.chain, issuer)
	}
	if verdict := v.checkTrust(num); verdict != undecided {
		return root, verdict
	}
	if issuer.selfSigned {
		return root, undecided
	}
	return another, undecided
}

// checkTrust is check_trust: are the certificates from num on, which the store
// gave, an anchor? One that is not self-signed is not (X509_V_FLAG_PARTIAL_CHAIN
// is off), so a leaf or an intermediate in the CA file counts for nothing alone.
func (v *verifier) checkTrust(num int) verdict {
	if v.dane.has(usagePKIXTA, usageDANETA) && num > 0 && num < len(v.chain) {
		if v.checkDANEIssuer(num) == trusted {
			return trusted
		}
	}
	for _, c := range v.chain[num:] {
		if c.selfSigned {
			return v.dane.pkixTrusted(num)
		}
	}
	return undecided
}

// trustedIssuer is X509_STORE_CTX_get1_issuer.
func (v *verifier) trustedIssuer(c *certFacts) *certFacts {
	return v.best(v.CAs.bySubject(c.issuer), func(issuer *certFacts) bool {
		return likelyIssued(issuer, c)
	})
}

// issuerAmong is find_issuer: none that is in the chain already, but for the
// leaf as its own.
func (v *verifier) issuerAmong(peers []*certFacts) *certFacts {
	top := v.chain[len(v.chain)-1]
	if top.selfSigned || len(v.chain) > v.Depth+1 {
		return nil
	}
	return v.best(peers, func(issuer *certFacts) bool {
		return likelyIssued(issuer, top) &&
			(top.selfIssued && len(v.chain) == 1 || !contains(v.chain, issuer))
	})
}

// best is the first that is valid now, or else the one that expired last.
func (v *verifier) best(candidates []*certFacts, suitable func(*certFacts) bool) *certFacts {
	var last *certFacts
	for _, c := range candidates {
		if !suitable(c) {
			continue
		}
		if v.current(c) {
			return c
		}
		if last == nil || c.NotAfter.After(last.NotAfter) {
			last = c
		}
	}
	return last
}

func without(certs []*certFacts, c *certFacts) []*certFacts {
	for i, other := range certs {
		if other == c {
			return append(append([]*certFacts{}, certs[:i]...), certs[i+1:]...)
		}
	}
	return certs
}
