package tls

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
)

// What a user reads when crypto/x509 alone refuses a chain. The texts are ours,
// because crypto/x509's quote the certificate.
const (
	errStandard           verifyError = "certificate refused by crypto/x509"
	errStandardNoChain    verifyError = "certificate refused by crypto/x509: no valid chain to the trusted root"
	errStandardUsage      verifyError = "certificate refused by crypto/x509: extended key usage"
	errStandardConstraint verifyError = "certificate refused by crypto/x509: name constraints"
	errStandardCritical   verifyError = "certificate refused by crypto/x509: unhandled critical extension"
)

// confirm has crypto/x509 verify the chain that we accept: nothing is trusted
// because of our code alone (docs/decisions/0001-own-verifier.md). It gets this
// chain and nothing else, so that a peer cannot have it search among others; and
// the topmost certificate only if the store has it, byte for byte: a peer's
// certificate that our code took for a root would convince crypto/x509 too.
// With DANE-TA and DANE-EE the trust is not PKIX's, and it is not asked.
func (v *verifier) confirm() bool {
	if v.err != "" || v.dane.replacesPKIX() {
		return true
	}
	err := v.standardRefusal()
	return v.failIf(err != "", 0, err)
}

func (v *verifier) standardRefusal() verifyError {
	usages := serverUsages
	if v.Server && !v.IgnorePurpose {
		usages = clientUsages
	}
	top := len(v.chain) - 1
	if !contains(v.CAs.bySubject(v.chain[top].subject), v.chain[top]) {
		return errStandardNoChain
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(v.chain[top].forStandard())
	for i := 1; i < top; i++ {
		intermediates.AddCert(v.chain[i].forStandard())
	}
	_, err := v.chain[0].forStandard().Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: v.Now, KeyUsages: usages,
	})
	return refusalText(err)
}

// forStandard is the certificate without the critical extensions that we have
// handled: crypto/x509 leaves directory names in constraints and subjects
// without a host to its caller.
func (c *certFacts) forStandard() *x509.Certificate {
	if len(c.UnhandledCriticalExtensions) == 0 {
		return c.Certificate
	}
	x := *c.Certificate
	x.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(x.UnhandledCriticalExtensions), func(id asn1.ObjectIdentifier) bool {
		return handledExtensions[id.String()]
	})
	return &x
}

func refusalText(err error) verifyError {
	if err == nil {
		return ""
	}
	if errors.As(err, new(x509.UnknownAuthorityError)) {
		return errStandardNoChain
	}
	if errors.As(err, new(x509.UnhandledCriticalExtension)) {
		return errStandardCritical
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		switch invalid.Reason {
		case x509.IncompatibleUsage:
			return errStandardUsage
		case x509.CANotAuthorizedForThisName:
			return errStandardConstraint
		}
	}
	return errStandard
}
