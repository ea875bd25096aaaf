package tls

import (
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Context is what LuaSec's context is: a configuration, checked, with its
// certificates and keys loaded. It does not change.
type Context struct {
	config       Config
	base         *stdtls.Config        // what clients and servers have in common
	pairs        []*stdtls.Certificate // what certificates share with other contexts
	certificates []stdtls.Certificate
	cas          *CAStore
	level        int
	tickets      ticketSecrets
	groups       groups
}

// NewContext does what LuaSec's newcontext does, in its order and with its
// errors. What crypto/tls cannot honour but can do without comes as notices.
func NewContext(cfg Config) (*Context, []Notice, error) {
	n := &notices{}
	c, err := newContext(cfg, n)
	if err != nil {
		return nil, nil, err
	}
	return c, *n, nil
}

func newContext(cfg Config, n *notices) (c *Context, err error) {
	c = &Context{config: cfg, base: &stdtls.Config{}}
	if err = checkProtocol(cfg.Protocol); err != nil {
		return nil, err
	}
	if cfg.Mode != "server" && cfg.Mode != "client" {
		return nil, fmt.Errorf("invalid mode (%s)", cfg.Mode)
	}
	if c.pairs, err = loadKeyPairs(cfg.Certificates, n); err != nil {
		return nil, err
	}
	if c.cas, err = loadCAs(cfg.CAFile, cfg.CAPath); err != nil {
		return nil, err
	}
	c.certificates = completeChains(c.pairs, c.cas)
	wanted, err := wantedCiphers(cfg, n)
	if err != nil {
		return nil, err
	}
	if err = checkVerify(verifyNames, cfg.Verify); err != nil {
		return nil, err
	}
	if err = checkOptions(cfg.Options, n); err != nil {
		return nil, err
	}
	if cfg.DHParam {
		n.add("debug", "dhparam has no effect: suites with DHE do not exist here")
	}
	if c.groups, err = parseGroups(cfg.CurvesList, cfg.Curve, n); err != nil {
		return nil, err
	}
	c.base.CurvePreferences = c.groups.preferred
	if err = checkVerify(verifyExtNames, cfg.VerifyExt); err != nil {
		return nil, err
	}
	if err = checkALPN(cfg.ALPN); err != nil {
		return nil, err
	}
	c.level = wanted.level
	if err = c.setVersionsAndSuites(wanted, n); err != nil {
		return nil, err
	}
	c.base.SessionTicketsDisabled = slices.Contains(cfg.Options, "no_ticket")
	return c, nil
}

func loadCAs(file, path string) (*CAStore, error) {
	if file == "" && path == "" {
		return nil, nil
	}
	cas, err := NewCAStore(file, path)
	if err != nil {
		return nil, fmt.Errorf("error loading CA locations (%s)", reason(err))
	}
	return cas, nil
}

// wantedCiphers reads ciphers and ciphersuites.
func wantedCiphers(cfg Config, n *notices) (wanted ciphers, err error) {
	wanted.level = defaultSecurityLevel
	if cfg.Ciphers != "" {
		if wanted, err = parseCiphers(cfg.Ciphers); err != nil {
			return wanted, err
		}
	}
	if wanted.level > defaultSecurityLevel {
		n.add("info", "@SECLEVEL=%d chooses cipher suites only: keys and signatures are not measured by it", wanted.level)
	}
	return wanted, checkCipherSuites(cfg.CipherSuites, n)
}

// checkCipherSuites follows SSL_CTX_set_ciphersuites. crypto/tls offers its
// three suites of TLS 1.3 whatever one says.
func checkCipherSuites(list string, n *notices) error {
	if list == "" {
		return nil
	}
	var known []string
	for _, name := range strings.Split(list, ":") {
		if slices.ContainsFunc(suites13, func(s suite) bool { return s.name == name }) {
			known = append(known, name)
		}
	}
	if known == nil {
		return errNoCipherMatch
	}
	for _, s := range suites13 {
		if inGo[s.id] && !slices.Contains(known, s.name) {
			n.add("info", "ciphersuites has no effect: %s is offered too", s.name)
		}
	}
	return nil
}

func checkALPN(protocols []string) error {
	if protocols != nil && len(protocols) == 0 {
		return errors.New("invalid ALPN list (empty)")
	}
	for _, p := range protocols {
		switch {
		case p == "":
			return errors.New("invalid ALPN name (empty string)")
		case len(p) > 255:
			return errors.New("invalid ALPN name (length > 255)")
		}
	}
	return nil
}

// setVersionsAndSuites leaves only TLS 1.3 if the cipher string leaves nothing
// of what crypto/tls has below.
func (c *Context) setVersionsAndSuites(wanted ciphers, n *notices) error {
	b := c.base
	b.MinVersion, b.MaxVersion = versionRange(c.config.Protocol, expandOptions(c.config.Options), wanted.level, n)
	if c.config.Ciphers == "" || b.MinVersion == stdtls.VersionTLS13 {
		return nil
	}
	if len(wanted.suites) == 0 {
		if b.MaxVersion < stdtls.VersionTLS13 {
			return fmt.Errorf("error setting cipher list (none of its suites exists here: %s)", someOf(wanted.missing))
		}
		n.add("warn", "No suite of ciphers exists here, so only TLS 1.3 is left")
		b.MinVersion = stdtls.VersionTLS13
		return nil
	}
	b.CipherSuites = wanted.suites
	if len(wanted.missing) > 0 {
		n.add("debug", "Cipher suites that do not exist here are left out: %s", someOf(wanted.missing))
	}
	return nil
}

func someOf(names []string) string {
	const most = 8
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// ServerConfig is a fresh configuration for a server, for a client that asks by
// SNI for name, "" for none. ALPN and verification are left to the session.
func (c *Context) ServerConfig(name string) *stdtls.Config {
	config := c.base.Clone()
	if !config.SessionTicketsDisabled {
		config.SetSessionTicketKeys(c.tickets.keys(name, time.Now()))
	}
	switch len(c.certificates) {
	case 0:
	case 1:
		config.Certificates = c.certificates
	default:
		config.GetCertificate = c.certificateFor
	}
	config.ClientAuth = c.clientAuth()
	return config
}

// clientAuth is whether a client is asked for a certificate, and needs one: the
// greater value asks for more.
func (c *Context) clientAuth() stdtls.ClientAuthType {
	switch {
	case !c.VerifyPeer():
		return stdtls.NoClientCert
	case slices.Contains(c.config.Verify, "fail_if_no_peer_cert"):
		return stdtls.RequireAnyClientCert
	}
	return stdtls.RequestClientCert
}

// refusesUntrusted tells whether a peer that verification fails for is refused.
func (c *Context) refusesUntrusted() bool { return c.VerifyPeer() && !c.VerifyContinue() }

// certificateFor chooses by what the client can verify alone: the name has
// chosen the context already.
func (c *Context) certificateFor(hello *stdtls.ClientHelloInfo) (*stdtls.Certificate, error) {
	nameless := *hello
	nameless.ServerName = ""
	for i := range c.certificates {
		if nameless.SupportsCertificate(&c.certificates[i]) == nil {
			return &c.certificates[i], nil
		}
	}
	return &c.certificates[0], nil
}

// ClientConfig is a fresh configuration for a client. It trusts anybody:
// verification is left to the session, and so is the server's name.
func (c *Context) ClientConfig() *stdtls.Config {
	config := c.base.Clone()
	config.InsecureSkipVerify = true
	config.NextProtos = c.config.ALPN
	if c.HasCertificate() {
		config.GetClientCertificate = c.clientCertificate
	}
	return config
}

// clientCertificate, like OpenSSL, looks at what the server can verify and not
// at the authorities that it says it trusts.
func (c *Context) clientCertificate(request *stdtls.CertificateRequestInfo) (*stdtls.Certificate, error) {
	open := *request
	open.AcceptableCAs = nil
	for i := range c.certificates {
		if open.SupportsCertificate(&c.certificates[i]) == nil {
			return &c.certificates[i], nil
		}
	}
	return &stdtls.Certificate{}, nil // none is sent
}

// hasVersion tells whether the options leave any protocol version.
func (c *Context) hasVersion() bool { return c.base.MinVersion <= c.base.MaxVersion }

// Server tells whether the mode is "server".
func (c *Context) Server() bool { return c.config.Mode == "server" }

// HasCertificate tells whether there is a certificate to present. A server
// without one needs SNI.
func (c *Context) HasCertificate() bool { return len(c.certificates) > 0 }

// ALPN is the list of protocols, nil if there is none.
func (c *Context) ALPN() []string { return c.config.ALPN }

// SelectALPN chooses from what a client offers. The order of the own list
// decides; "" if nothing is in both, which is no reason to refuse the client.
func (c *Context) SelectALPN(offered []string) string {
	for _, p := range c.config.ALPN {
		if slices.Contains(offered, p) {
			return p
		}
	}
	return ""
}

// VerifyPeer tells whether an untrusted peer is refused, and whether a server
// asks for a certificate.
func (c *Context) VerifyPeer() bool { return slices.Contains(c.config.Verify, "peer") }

// VerifyContinue tells whether verification only takes notes.
func (c *Context) VerifyContinue() bool { return slices.Contains(c.config.VerifyExt, "lsec_continue") }

// IgnorePurpose tells whether a server's certificate will do for a client.
func (c *Context) IgnorePurpose() bool {
	return slices.Contains(c.config.VerifyExt, "lsec_ignore_purpose")
}

// Depth is the most intermediate CAs that a chain may have, as in VerifyOptions.
func (c *Context) Depth() int {
	if c.config.Depth == nil {
		return 9
	}
	return *c.config.Depth
}

// CRLCheck tells whether revocation is looked up, for the leaf and for all.
func (c *Context) CRLCheck() (leaf, chain bool) {
	return slices.Contains(c.config.VerifyExt, "crl_check"), slices.Contains(c.config.VerifyExt, "crl_check_chain")
}

// CAs is where trusted certificates are.
func (c *Context) CAs() (file, path string) { return c.config.CAFile, c.config.CAPath }

// CAStore has the certificates of CAs, read once; nil if there are none.
func (c *Context) CAStore() *CAStore { return c.cas }

// SecurityLevel is the one of ciphers (@SECLEVEL=n), or the default.
func (c *Context) SecurityLevel() int { return c.level }

// UsesDANE tells whether TLSA records are considered.
func (c *Context) UsesDANE() (enabled, noEENamechecks bool) {
	return c.config.DANE, c.config.DANENoEENamechecks
}
