package tls

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// newTestContext fills in what the test does not care about.
func newTestContext(t *testing.T, cfg Config) (*Context, []Notice) {
	t.Helper()
	c, notices, err := NewContext(refusal{cfg: cfg}.complete())
	if err != nil {
		t.Fatal(err)
	}
	return c, notices
}

// files is a configuration with certificates of testdata/keys.
func files(mode string, names ...string) Config {
	cfg := Config{Mode: mode}
	for _, name := range names {
		cfg.Certificates = append(cfg.Certificates, pairs(keys+name).Certificates...)
	}
	return cfg
}

// handshake connects a client and a server and returns what each has got.
func stdHandshake(t *testing.T, server, client *stdtls.Config) (atServer, atClient stdtls.ConnectionState, err error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	s, c := stdtls.Server(a, server), stdtls.Client(b, client)
	failed := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err != nil {
			a.Close()
		} else if _, err = s.Write([]byte("x")); err == nil {
			_, err = s.Read(make([]byte, 1))
		}
		failed <- err
	}()
	if err = c.Handshake(); err == nil {
		if _, err = c.Read(make([]byte, 1)); err == nil {
			_, err = c.Write([]byte("x"))
		}
	}
	if err != nil {
		b.Close()
	}
	if serverErr := <-failed; serverErr != nil && err == nil {
		err = serverErr
	}
	return s.ConnectionState(), c.ConnectionState(), err
}

func TestVersions(t *testing.T) {
	const v10, v11, v12, v13 = stdtls.VersionTLS10, stdtls.VersionTLS11, stdtls.VersionTLS12, stdtls.VersionTLS13
	for _, test := range []struct {
		protocol, options, ciphers string
		lowest, highest            uint16
		notice                     string
	}{
		{"sslv23", "no_sslv2 no_sslv3 no_tlsv1 no_tlsv1_1", "", v12, v13, ""}, // Prosody's default, tlsv1_2+
		{"sslv23", "no_sslv2 no_sslv3 no_tlsv1 no_tlsv1_1 no_tlsv1_2", "", v13, v13, ""},
		{"sslv23", "", "", v12, v13, "debug"},
		{"any", "", "HIGH", v12, v13, "debug"},
		{"any", "", "HIGH:@SECLEVEL=0", v10, v13, ""},
		{"any", "no_tlsv1", "HIGH:@SECLEVEL=0", v11, v13, ""},
		{"any", "no_tlsv1_3", "", v12, v12, "debug"},
		{"any", "no_tlsv1_2 no_tlsv1_3", "", v10, v11, ""},
		{"any", "no_tlsv1_1 no_tlsv1_2", "HIGH:@SECLEVEL=0", v13, v13, "warn"},
		{"any", "no_tlsv1_2", "HIGH:@SECLEVEL=0", v13, v13, "warn"},
		{"any", "no_tlsv1_2", "", v13, v13, "debug"},
		{"any", "no_tlsv1_1", "HIGH:@SECLEVEL=0", v12, v13, "warn"},
		{"tlsv1", "", "", v10, v10, ""},
		{"tlsv1_1", "", "", v11, v11, ""},
		{"tlsv1_2", "no_tlsv1", "", v12, v12, ""},
		{"tlsv1_3", "", "", v13, v13, ""},
	} {
		c, notices := newTestContext(t, Config{Protocol: test.protocol, Options: strings.Fields(test.options), Ciphers: test.ciphers})
		config := c.ServerConfig("")
		if config.MinVersion != test.lowest || config.MaxVersion != test.highest {
			t.Errorf("%v: %x to %x", test, config.MinVersion, config.MaxVersion)
		}
		notices = slices.DeleteFunc(notices, func(n Notice) bool { return strings.HasPrefix(n.Text, "Cipher suites") })
		if level := levels(notices); level != test.notice {
			t.Errorf("%v: notices %v", test, notices)
		}
	}
	for _, cfg := range []Config{
		{Mode: "server", Protocol: "any", Options: []string{"no_ssl_mask"}},
		{Mode: "client", Protocol: "tlsv1_2", Options: []string{"no_tlsv1_2"}},
	} {
		if c, _, err := NewContext(cfg); err != nil || c.hasVersion() {
			t.Errorf("%v leaves a version, %v", cfg, err)
		}
	}
}

func levels(notices []Notice) string {
	var all []string
	for _, n := range notices {
		all = append(all, n.Level)
	}
	return strings.Join(all, " ")
}

func TestNotices(t *testing.T) {
	for _, test := range []struct {
		cfg  Config
		want string // level and text's beginning, by lines
	}{
		{Config{}, ""},
		{Config{DHParam: true}, "debug dhparam has no effect"},
		{Config{Ciphers: "DHE"}, "warn No suite of ciphers exists here, so only TLS 1.3 is left"},
		{Config{Ciphers: "EDH+aRSA+AESGCM:ECDHE+AESGCM"}, "debug Cipher suites that do not exist here are left out: DHE-RSA-AES256-GCM-SHA384, DHE-RSA-AES128-GCM-SHA256"},
		{Config{Ciphers: "HIGH+kEDH:ECDHE"}, "debug Cipher suites that do not exist here are left out: "},
		{Config{Ciphers: "AES128-SHA:@SECLEVEL=3"}, "info @SECLEVEL=3 chooses\nwarn No suite of ciphers"},
		{Config{Ciphers: "ECDHE+AESGCM:@SECLEVEL=3"}, "info @SECLEVEL=3 chooses"},
		{Config{CipherSuites: "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"}, ""},
		{Config{CipherSuites: "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"}, "info ciphersuites has no effect: TLS_AES_128_GCM_SHA256"},
		{Config{CurvesList: "X25519:X448:ffdhe2048"}, "debug Curves that do not exist here are left out: X448, ffdhe2048"},
		{Config{Options: []string{"no_ticket", "single_dh_use", "cipher_server_preference", "no_compression"}}, ""},
		{Config{Options: []string{"prioritize_chacha"}}, "debug Option prioritize_chacha has no effect"},
		{Config{Options: []string{"no_ssl_mask"}}, "warn No protocol version is left"},
		{certificate(keys + "rsa.crt"), "warn There is no key for the certificate"},
	} {
		test.cfg.Protocol = "any"
		if test.cfg.Options == nil {
			test.cfg.Options = []string{"no_tlsv1", "no_tlsv1_1"}
		} else {
			test.cfg.Protocol = "tlsv1_2"
		}
		_, notices := newTestContext(t, test.cfg)
		var want []string
		if test.want != "" {
			want = strings.Split(test.want, "\n")
		}
		if len(notices) != len(want) {
			t.Errorf("%+v: %v", test.cfg, notices)
			continue
		}
		for i, n := range notices {
			if !strings.HasPrefix(n.Level+" "+n.Text, want[i]) {
				t.Errorf("%+v: %v", test.cfg, n)
			}
		}
	}
}

func TestSuitesAndCurves(t *testing.T) {
	c, _ := newTestContext(t, Config{
		Ciphers:    "ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256",
		CurvesList: "X25519:prime256v1:secp384r1:P-521:X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024",
	})
	for _, config := range []*stdtls.Config{c.ServerConfig(""), c.ClientConfig()} {
		if want := []uint16{0xc030, 0xc02f}; !slices.Equal(config.CipherSuites, want) {
			t.Errorf("suites %x", config.CipherSuites)
		}
		want := []stdtls.CurveID{stdtls.X25519, stdtls.CurveP256, stdtls.CurveP384, stdtls.CurveP521,
			stdtls.X25519MLKEM768, stdtls.SecP256r1MLKEM768, stdtls.SecP384r1MLKEM1024}
		if !slices.Equal(config.CurvePreferences, want) {
			t.Errorf("curves %v", config.CurvePreferences)
		}
	}
	c, _ = newTestContext(t, Config{Ciphers: "DHE"})
	if config := c.ServerConfig(""); config.MinVersion != stdtls.VersionTLS13 {
		t.Error("TLS 1.2 without a suite that was asked for")
	}
	c, _ = newTestContext(t, Config{Curve: "secp384r1"})
	if config := c.ServerConfig(""); !slices.Equal(config.CurvePreferences, []stdtls.CurveID{stdtls.CurveP384}) {
		t.Errorf("curves %v", config.CurvePreferences)
	}
	c, _ = newTestContext(t, Config{})
	if config := c.ServerConfig(""); config.CipherSuites != nil || config.CurvePreferences != nil {
		t.Error("something was chosen that was not asked for")
	}
}

// Each of OpenSSL's names gets the suite that it means.
func TestHandshakeWithEachSuite(t *testing.T) {
	certificates := map[string]string{"RSA": "rsa", "ECDSA": "p256"}
	for id := range inGo {
		s := suiteByID(id)
		if s.version == "TLSv1.3" {
			continue
		}
		cfg := files("server", certificates[s.au])
		cfg.Ciphers, cfg.Protocol = s.name+":@SECLEVEL=0", "tlsv1_2"
		server, _ := newTestContext(t, cfg)
		client, _ := newTestContext(t, Config{Mode: "client", Protocol: "any", Ciphers: cfg.Ciphers})
		_, cs, err := stdHandshake(t, server.ServerConfig(""), client.ClientConfig())
		if err != nil || InfoOf(cs).Cipher != s.name {
			t.Errorf("%s: %s, %v", s.name, InfoOf(cs).Cipher, err)
		}
	}
}

func TestHandshakeWithEachProtocol(t *testing.T) {
	for protocol, want := range map[string]string{
		"tlsv1": "TLSv1", "tlsv1_1": "TLSv1.1", "tlsv1_2": "TLSv1.2", "tlsv1_3": "TLSv1.3", "sslv23": "TLSv1.3",
	} {
		cfg := files("server", "rsa")
		cfg.Protocol = protocol
		server, _ := newTestContext(t, cfg)
		client, _ := newTestContext(t, Config{Mode: "client", Protocol: "any", Ciphers: "ALL:@SECLEVEL=0"})
		_, cs, err := stdHandshake(t, server.ServerConfig(""), client.ClientConfig())
		if err != nil || InfoOf(cs).Protocol != want {
			t.Errorf("%s: %s, %v", protocol, InfoOf(cs).Protocol, err)
		}
	}
}

func TestHandshakeWithEachKey(t *testing.T) {
	for _, name := range []string{"rsa", "p256", "p384", "p521", "ed25519"} {
		for _, protocol := range []string{"tlsv1_2", "tlsv1_3"} {
			cfg := files("server", name)
			cfg.Verify, cfg.Protocol = []string{"peer", "fail_if_no_peer_cert"}, protocol
			server, _ := newTestContext(t, cfg)
			client, _ := newTestContext(t, files("client", name))
			atServer, atClient, err := stdHandshake(t, server.ServerConfig(""), client.ClientConfig())
			if err != nil {
				t.Errorf("%s, %s: %v", name, protocol, err)
				continue
			}
			want := certificateOf(t, name)
			if !atServer.PeerCertificates[0].Equal(want) || !atClient.PeerCertificates[0].Equal(want) {
				t.Errorf("%s, %s: another certificate", name, protocol)
			}
		}
	}
}

// Of several certificates the one is taken that the client can verify, whatever
// name it asks for.
func TestServerChoosesByKey(t *testing.T) {
	server, _ := newTestContext(t, files("server", "rsa", "p256"))
	for ciphers, want := range map[string]string{
		"ECDHE-RSA-AES128-GCM-SHA256":   "rsa",
		"ECDHE-ECDSA-AES128-GCM-SHA256": "p256",
		"ECDHE+AESGCM":                  "p256",
	} {
		client, _ := newTestContext(t, Config{Mode: "client", Protocol: "tlsv1_2", Ciphers: ciphers})
		config := client.ClientConfig()
		config.ServerName = "name.that.is.in.neither"
		_, cs, err := stdHandshake(t, server.ServerConfig(""), config)
		if err != nil || !cs.PeerCertificates[0].Equal(certificateOf(t, want)) {
			t.Errorf("%s: %v", ciphers, err)
		}
	}
}

// As in OpenSSL, of two certificates for one kind of key the later is used.
func TestLaterCertificateReplaces(t *testing.T) {
	server, _ := newTestContext(t, files("server", "p256", "rsa", "p384"))
	if n := len(server.certificates); n != 2 {
		t.Fatalf("%d certificates", n)
	}
	if !server.certificates[0].Leaf.Equal(certificateOf(t, "p384")) {
		t.Error("the earlier one is kept")
	}
}

func TestChainIsSent(t *testing.T) {
	brokenFiles(t)
	server, _ := newTestContext(t, Config{Certificates: []KeyPair{{Certificate: "chain.crt", Key: "keys/rsa.key"}}})
	client, _ := newTestContext(t, Config{Mode: "client"})
	_, cs, err := stdHandshake(t, server.ServerConfig(""), client.ClientConfig())
	if err != nil || len(cs.PeerCertificates) != 2 || cs.PeerCertificates[0].Subject.CommonName != "leaf" {
		t.Errorf("%d certificates, %v", len(cs.PeerCertificates), err)
	}
}

func TestClientCertificate(t *testing.T) {
	client, _ := newTestContext(t, files("client", "rsa"))
	bare, _ := newTestContext(t, Config{Mode: "client"})
	for _, test := range []struct {
		verify string
		client *Context
		want   int
		fails  bool
	}{
		{"", client, 0, false},
		{"none", client, 0, false},
		{"fail_if_no_peer_cert", client, 0, false},
		{"peer client_once", client, 1, false},
		{"peer", bare, 0, false},
		{"peer fail_if_no_peer_cert", client, 1, false},
		{"peer fail_if_no_peer_cert", bare, 0, true},
	} {
		cfg := files("server", "p256")
		cfg.Verify = strings.Fields(test.verify)
		server, _ := newTestContext(t, cfg)
		config := server.ServerConfig("")
		config.ClientCAs = x509.NewCertPool() // names an authority that is not the client's
		config.ClientCAs.AddCert(certificateOf(t, "p384"))
		cs, _, err := stdHandshake(t, config, test.client.ClientConfig())
		if (err != nil) != test.fails || len(cs.PeerCertificates) != test.want {
			t.Errorf("%s: %d certificates, %v", test.verify, len(cs.PeerCertificates), err)
		}
	}
}

func TestServerWithoutCertificate(t *testing.T) {
	server, notices := newTestContext(t, Config{Options: []string{"no_tlsv1", "no_tlsv1_1"}})
	if server.HasCertificate() || len(notices) > 0 {
		t.Errorf("has a certificate, or %v", notices)
	}
	client, _ := newTestContext(t, Config{Mode: "client"})
	if _, _, err := stdHandshake(t, server.ServerConfig(""), client.ClientConfig()); err == nil {
		t.Error("a handshake without a certificate")
	}
}

func TestTickets(t *testing.T) {
	for options, want := range map[string]bool{"": true, "no_ticket": false} {
		cfg := files("server", "p256")
		cfg.Options = strings.Fields(options)
		server, _ := newTestContext(t, cfg)
		client, _ := newTestContext(t, Config{Mode: "client"})
		config := client.ClientConfig()
		if config.ClientSessionCache != nil {
			t.Error("a client has a session cache")
		}
		config.ClientSessionCache = stdtls.NewLRUClientSessionCache(1)
		config.ServerName = "a"
		for i, resumed := range []bool{false, want} {
			_, cs, err := stdHandshake(t, server.ServerConfig(""), config)
			if err != nil || cs.DidResume != resumed {
				t.Errorf("%q, connection %d: resumed %t, %v", options, i, cs.DidResume, err)
			}
		}
	}
}

func TestSelectALPN(t *testing.T) {
	c, _ := newTestContext(t, Config{ALPN: []string{"xmpp-server", "xmpp-client"}})
	for offered, want := range map[string]string{
		"xmpp-client":             "xmpp-client",
		"xmpp-client xmpp-server": "xmpp-server",
		"h2 xmpp-client":          "xmpp-client",
		"h2":                      "",
		"":                        "",
	} {
		if got := c.SelectALPN(strings.Fields(offered)); got != want {
			t.Errorf("%q: %q, want %q", offered, got, want)
		}
	}
	bare, _ := newTestContext(t, Config{})
	if got := bare.SelectALPN([]string{"h2"}); got != "" || bare.ALPN() != nil {
		t.Errorf("%q without a list", got)
	}
}

func TestAnswers(t *testing.T) {
	c, _ := newTestContext(t, Config{
		Mode: "client", CAFile: keys + "rsa.crt", CAPath: "/no/such/folder", Depth: new(3), Verify: []string{"peer"},
		VerifyExt: []string{"lsec_continue", "crl_check"}, DANE: true, DANENoEENamechecks: true,
	})
	leaf, chain := c.CRLCheck()
	dane, noNames := c.UsesDANE()
	file, path := c.CAs()
	got := []any{c.Server(), c.VerifyPeer(), c.VerifyContinue(), c.IgnorePurpose(), c.Depth(), leaf, chain, dane, noNames, file, path}
	want := []any{false, true, true, false, 3, true, false, true, true, keys + "rsa.crt", "/no/such/folder"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if c.CAStore() == nil {
		t.Error("no CA store")
	}
	c, _ = newTestContext(t, Config{})
	if c.Depth() != 9 || c.VerifyPeer() || !c.Server() || c.CAStore() != nil {
		t.Error("defaults")
	}
}

// A context is shared by all connections of a port: what one session adds to
// its configuration must not show in another's.
func TestConfigsAreFresh(t *testing.T) {
	c, _ := newTestContext(t, files("server", "rsa"))
	a := c.ServerConfig("")
	a.NextProtos = []string{"h2"}
	a.Certificates = nil
	a.MinVersion = 0
	b := c.ServerConfig("")
	if b.NextProtos != nil || len(b.Certificates) != 1 || b.MinVersion == 0 {
		t.Error("configurations share what they must not")
	}
}

// The profiles that Prosody 0.12 and 13 give without any configuration.
func TestProsodyDefaults(t *testing.T) {
	options := []string{"cipher_server_preference", "no_compression", "no_sslv2", "no_sslv3", "no_ticket",
		"no_tlsv1", "no_tlsv1_1", "single_dh_use", "single_ecdh_use", "cipher_server_preference"}
	prosody012 := files("server", "rsa")
	prosody012.Protocol, prosody012.Options, prosody012.DHParam = "sslv23", options, true
	prosody012.Verify, prosody012.VerifyExt = []string{"peer", "client_once"}, []string{"lsec_continue", "lsec_ignore_purpose"}
	prosody012.Curve, prosody012.CurvesList = "secp384r1", "X25519:P-384:P-256:P-521"
	prosody012.Ciphers = "HIGH+kEECDH:HIGH+kEDH:HIGH:!PSK:!SRP:!3DES:!aNULL"
	prosody13 := prosody012
	prosody13.Ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" +
		"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" +
		"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
	prosody13.CipherSuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
	for _, cfg := range []Config{prosody012, prosody13} {
		c, notices := newTestContext(t, cfg)
		for _, n := range notices {
			if n.Level != "debug" {
				t.Errorf("Prosody's default makes noise: %v", n)
			}
		}
		client, _ := newTestContext(t, Config{Mode: "client"})
		if _, _, err := stdHandshake(t, c.ServerConfig(""), client.ClientConfig()); err != nil {
			t.Error(err)
		}
	}
}
