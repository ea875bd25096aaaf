package tls

// Config is LuaSec's configuration table, as the final() of Prosody's
// util.sslconfig leaves it.
type Config struct {
	Mode         string // "server" or "client"
	Protocol     string // "any", "sslv23", or exactly one: "tlsv1" ... "tlsv1_3"
	Options      []string
	Certificates []KeyPair // of certificate, key and password, or of certificates
	CAFile       string
	CAPath       string
	Depth        *int     // nil: the default, 9; otherwise see VerifyOptions
	Verify       []string // none, peer, client_once, fail_if_no_peer_cert
	VerifyExt    []string // lsec_continue, lsec_ignore_purpose, crl_check, crl_check_chain

	Ciphers      string // for TLS 1.2 and below, as in OpenSSL's ciphers(1)
	CipherSuites string // for TLS 1.3
	Curve        string // one name, used if CurvesList is empty
	CurvesList   string // names, separated by colons

	ALPN []string // nil: none. A server's ALPN function stays on the Lua side

	DANE               bool
	DANENoEENamechecks bool
	DHParam            bool // was given
}

// KeyPair names the PEM files of a certificate chain, leaf first, and of its
// key. They may be the same file.
type KeyPair struct {
	Certificate string
	Key         string
	Password    func() ([]byte, bool) // nil if none was configured
}

// Notice is a part of the configuration that crypto/tls cannot honour.
type Notice struct {
	Level string // "debug", "info" or "warn": what its effect deserves
	Text  string
}
