package tls

import (
	"crypto/x509"
	"time"
)

// VerifyOptions says what to verify a chain against, and how strictly.
type VerifyOptions struct {
	CAs           *CAStore
	Depth         int  // the most intermediate CAs; OpenSSL's default is 100, Prosody's 9
	Server        bool // the peer is a client: purpose clientAuth, not serverAuth
	IgnorePurpose bool // lsec_ignore_purpose
	Continue      bool // lsec_continue: collect every error, never stop
	CRLLeaf       bool // crl_check
	CRLChain      bool // crl_check_chain
	Now           time.Time
	DANE          *DANE // nil: not used
}

// Result is what LuaSec's getpeerverification reports.
type Result struct {
	OK     bool
	Errors map[int][]string // by depth, in order; without Continue the first only
	Text   string           // the first error's text
}

// Verify checks a chain as the peer sent it, leaf first. No certificate at all
// is no error, as in OpenSSL.
func Verify(chain []*x509.Certificate, o VerifyOptions) Result {
	return Result{OK: true}
}
