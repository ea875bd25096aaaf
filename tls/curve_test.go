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
