package tls

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Each option loads alone, with every protocol, and so do all together.
func TestEveryOptionLoads(t *testing.T) {
	if len(optionNames) != 53 {
		t.Errorf("%d names", len(optionNames))
	}
	sets := [][]string{optionNames}
	for _, name := range optionNames {
		sets = append(sets, []string{name})
	}
	for _, mode := range []string{"server", "client"} {
		for _, protocol := range []string{"any", "sslv23", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3"} {
			for _, options := range sets {
				if _, _, err := NewContext(Config{Mode: mode, Protocol: protocol, Options: options}); err != nil {
					t.Errorf("%s, %s, %q: %v", mode, protocol, options, err)
				}
			}
		}
	}
}

// The list has all of LuaSec's own.
func TestOptionsByLuaSec(t *testing.T) {
	out, err := exec.Command("lua5.4", "-e",
		`for name in pairs(require "ssl".config.options) do print(name) end`).Output()
	if err != nil {
		t.Skip("no LuaSec to compare with")
	}
	for _, name := range strings.Fields(string(out)) {
		if !slices.Contains(optionNames, name) {
			t.Errorf("LuaSec has %s", name)
		}
	}
}

// Without any version each handshake fails, for the reason that OpenSSL gives.
func TestNoVersionFailsHandshakes(t *testing.T) {
	none := func(c *Config) { c.Options = []string{"no_ssl_mask"} }
	s, c := newEndpoint(sessionContext(t, "server", none, "p256"), Options{}), newEndpoint(sessionContext(t, "client", nil), Options{})
	shake(t, s, c, 0, nil)
	if s.Err() == nil || s.Reason(s.Err()) != "no protocols available" || c.Reason(c.Err()) != "tlsv1 alert protocol version" {
		t.Errorf("server %v, client %v", s.Err(), c.Err())
	}
	s, c = newEndpoint(sessionContext(t, "server", nil, "p256"), Options{}), newEndpoint(sessionContext(t, "client", none), Options{})
	shake(t, s, c, 0, nil)
	if c.Err() == nil || c.Reason(c.Err()) != "no protocols available" {
		t.Errorf("client %v", c.Err())
	}
}
