package tls

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// How long a secret of ticketSecrets is used for new tickets, and how long
// tickets that were made with it are accepted.
const (
	ticketRotation = 24 * time.Hour
	ticketLifetime = 2 * ticketRotation
)

// ticketSecrets are a context's own, so that a ticket is good for the
// verification that it was made under and no longer than the configuration.
type ticketSecrets struct {
	mu   sync.Mutex
	list []ticketSecret // the latest first
}

type ticketSecret struct {
	made  time.Time
	value [32]byte
}

// keys are the ticket keys (RFC 5077) for clients that ask for name, "" for
// none: the first encrypts, all decrypt. Each name has keys of its own, for
// it may mean another host, with other rights.
func (t *ticketSecrets) keys(name string, now time.Time) [][32]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rotate(now)
	keys := make([][32]byte, len(t.list))
	for i := range t.list {
		mac := hmac.New(sha256.New, t.list[i].value[:])
		mac.Write([]byte(name))
		mac.Sum(keys[i][:0])
	}
	return keys
}

// rotate drops the secrets that are too old, and makes one if the latest is
// not fresh.
func (t *ticketSecrets) rotate(now time.Time) {
	for n := len(t.list); n > 0 && now.Sub(t.list[n-1].made) >= ticketLifetime; n-- {
		t.list = t.list[:n-1]
	}
	if len(t.list) > 0 && now.Sub(t.list[0].made) < ticketRotation {
		return
	}
	latest := ticketSecret{made: now}
	rand.Read(latest.value[:]) // never fails
	t.list = append([]ticketSecret{latest}, t.list...)
}
