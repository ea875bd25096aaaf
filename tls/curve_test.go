package tls

import (
	"testing"
)

// TestGroupsOfProsodysLists: X25519MLKEM768 comes first where the list is one that
// Prosody sets; a list that the administrator wrote is kept.
func TestGroupsOfProsodysLists(t *testing.T) {
	for _, c := range []struct {
		list, curve, group, classic string
	}{
		{"X25519:P-384:P-256:P-521", "", "X25519MLKEM768", "x25519"},
		{"X25519:prime256v1:secp384r1", "", "X25519MLKEM768", "x25519"},
		{"", "", "X25519MLKEM768", "x25519"},
		{"X25519:P-256", "", "x25519", "x25519"},
		{"secp384r1", "", "secp384r1", "secp384r1"},
		{"", "secp384r1", "secp384r1", "secp384r1"},
		{"X25519MLKEM768:X25519", "", "X25519MLKEM768", "X25519MLKEM768"},
	} {
		change := func(config *Config) { config.CurvesList, config.Curve = c.list, c.curve }
		server, client := sessionContext(t, "server", change, "p256"), sessionContext(t, "client", change)
		for _, o := range []struct {
			server, client Options
			want           string
		}{
			{Options{}, Options{}, c.group},
			{Options{Classic: true}, Options{}, c.classic},
			{Options{}, Options{Classic: true}, c.classic},
		} {
			s, e := newEndpoint(server, o.server), newEndpoint(client, o.client)
			shake(t, s, e, 0, nil)
			if got := InfoOf(e.ConnectionState()).Group; got != o.want {
				t.Errorf("curveslist %q, curve %q, %+v: group %q, want %q", c.list, c.curve, o, got, o.want)
			}
		}
	}
}

// TestUnanswered: only a hello that had a post-quantum group may do better without.
func TestUnanswered(t *testing.T) {
	change := func(f func(*Config)) *Context { return sessionContext(t, "client", f) }
	for name, c := range map[string]struct {
		context *Context
		classic bool
		want    bool
	}{
		"offered":         {change(nil), false, true},
		"left out":        {change(nil), true, false},
		"TLS 1.2":         {change(func(c *Config) { c.Protocol = "tlsv1_2" }), false, false},
		"other groups":    {change(func(c *Config) { c.CurvesList = "X25519" }), false, false},
		"Prosody's own":   {change(func(c *Config) { c.CurvesList = prosodysCurves[0] }), false, true},
		"administrator's": {change(func(c *Config) { c.CurvesList = "X25519MLKEM768:X25519" }), false, false},
		"server":          {sessionContext(t, "server", nil, "p256"), false, false},
	} {
		s := NewSession(c.context, Options{Classic: c.classic})
		if got := s.Unanswered(); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
		s.Feed([]byte{recordHandshake})
		if s.Unanswered() {
			t.Errorf("%s: true, though the server has answered", name)
		}
	}
}
