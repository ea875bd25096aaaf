package tls

import (
	"slices"
	"testing"
	"time"
)

func TestTicketKeysRotate(t *testing.T) {
	var secrets ticketSecrets
	start := time.Now()
	first := secrets.keys("a", start)[0]
	for _, step := range []struct {
		after        time.Duration
		first, known bool
		keys         int
	}{
		{23 * time.Hour, true, true, 1},
		{25 * time.Hour, false, true, 2},
		{47 * time.Hour, false, true, 2},
		{48 * time.Hour, false, false, 1},
		{50 * time.Hour, false, false, 2}, // the key of hour 25 is a day old
		{1000 * time.Hour, false, false, 1},
	} {
		keys := secrets.keys("a", start.Add(step.after))
		if got := keys[0] == first; got != step.first {
			t.Errorf("after %v the first key encrypts: %v", step.after, got)
		}
		if got := slices.Contains(keys, first); got != step.known {
			t.Errorf("after %v the first key decrypts: %v", step.after, got)
		}
		if len(keys) != step.keys {
			t.Errorf("after %v there are %d keys, want %d", step.after, len(keys), step.keys)
		}
	}
}

func TestTicketKeysAreOfNameAndContext(t *testing.T) {
	var one, other ticketSecrets
	now := time.Now()
	seen := map[[32]byte]string{}
	for name, s := range map[string]*ticketSecrets{"one": &one, "other": &other} {
		for _, host := range []string{"", "a", "b"} {
			key := s.keys(host, now)[0]
			if key != s.keys(host, now)[0] {
				t.Errorf("%s, %q: the key changes", name, host)
			}
			if before, known := seen[key]; known {
				t.Errorf("%s, %q has the key of %s", name, host, before)
			}
			seen[key] = name + " " + host
		}
	}
}
