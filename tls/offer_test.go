package tls

import (
	stdtls "crypto/tls"
	"strings"
	"testing"
)

func TestOfferText(t *testing.T) {
	hello := &stdtls.ClientHelloInfo{
		SupportedVersions: []uint16{0x0a0a, stdtls.VersionTLS13, stdtls.VersionTLS12, 0x7f1c},
		CipherSuites:      []uint16{0xfafa, 0x009e, stdtls.TLS_AES_128_GCM_SHA256, 0xabcd},
		SupportedCurves:   []stdtls.CurveID{stdtls.X25519, 30},
		ServerName:        "evil\nname", SupportedProtos: []string{"evil"},
	}
	const want = "Offered by the peer: versions TLSv1.3 TLSv1.2 0x7F1C; " +
		"suites DHE-RSA-AES128-GCM-SHA256 TLS_AES_128_GCM_SHA256 0xABCD; groups X25519 0x001E; signatures none"
	if got := offerText(hello); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOfferTextIsShort(t *testing.T) {
	hello := &stdtls.ClientHelloInfo{}
	for i := range 30_000 {
		hello.SupportedVersions = append(hello.SupportedVersions, uint16(i))
		hello.CipherSuites = append(hello.CipherSuites, uint16(0xc000+i%100))
		hello.SupportedCurves = append(hello.SupportedCurves, stdtls.CurveID(i))
		hello.SignatureSchemes = append(hello.SignatureSchemes, stdtls.SignatureScheme(i))
	}
	if got := offerText(hello); len(got) > 1200 || !strings.Contains(got, "... (30000 in all)") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

// TestNoticeOfWhatHasNothingInCommon: each side has what the other lacks.
func TestNoticeOfWhatHasNothingInCommon(t *testing.T) {
	for name, test := range map[string]struct {
		server, client func(*Config)
		reason, part   string
	}{
		"versions": {
			func(c *Config) { c.Protocol = "tlsv1_3" }, func(c *Config) { c.Protocol = "tlsv1_2" },
			"unsupported protocol", "versions TLSv1.2; suites ",
		},
		"suites": {
			func(c *Config) { c.Protocol, c.Ciphers = "tlsv1_2", "ECDHE-RSA-AES128-GCM-SHA256" },
			func(c *Config) { c.Protocol, c.Ciphers = "tlsv1_2", "ECDHE-ECDSA-AES128-GCM-SHA256" },
			"no shared cipher", "suites ECDHE-ECDSA-AES128-GCM-SHA256; groups ",
		},
		"groups": {
			func(c *Config) { c.Protocol, c.CurvesList = "tlsv1_3", "P-384" },
			func(c *Config) { c.Protocol, c.CurvesList = "tlsv1_3", "P-521" },
			"no suitable key share", "groups CurveP521; signatures ",
		},
	} {
		s := newEndpoint(sessionContext(t, "server", test.server, "p256"), Options{})
		c := newEndpoint(sessionContext(t, "client", test.client), Options{})
		shake(t, s, c, 0, nil)
		if s.State() != StateFailed || s.Reason(s.Err()) != test.reason {
			t.Errorf("%s: %v", name, s.Err())
		}
		if n := s.Notice(); n.Level != "debug" || !strings.Contains(n.Text, test.part) {
			t.Errorf("%s: notice %q", name, n)
		}
		if n := c.Notice(); n != (Notice{}) {
			t.Errorf("%s: the client has the notice %q", name, n)
		}
	}
}
