package main

import (
	"crypto/tls"
	"errors"
	"fmt"
)

type handshakeResult struct {
	spent
	Count int `json:"count"`
}

// handshake makes one handshake after the other in each of the clients: full ones, or with -resume resumed ones.
func handshake(o options) (any, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	if o.resume {
		if config.ClientSessionCache, err = firstSession(o, config); err != nil {
			return nil, fmt.Errorf("the first session: %w", err)
		}
	}
	count, used, err := repeat(o, func(c *client) error {
		t, err := c.dial(o)
		if err != nil {
			return err
		}
		secured := tls.Client(t, config)
		defer secured.Close()
		if err := secured.Handshake(); err != nil {
			return err
		}
		if o.resume && !secured.ConnectionState().DidResume {
			return errors.New("the session was not resumed")
		}
		return nil
	}, func() {})
	return handshakeResult{used, count}, err
}

// A oneSession is a cache with the last session that it was given while it was open.
type oneSession struct {
	state  *tls.ClientSessionState
	closed bool
}

func (s *oneSession) Get(string) (*tls.ClientSessionState, bool) { return s.state, s.state != nil }

func (s *oneSession) Put(_ string, state *tls.ClientSessionState) {
	if !s.closed {
		s.state = state
	}
}

// firstSession has a byte echoed, because in TLS 1.3 what resumes a session comes after the handshake.
func firstSession(o options, config *tls.Config) (*oneSession, error) {
	cache := &oneSession{}
	config = config.Clone()
	config.ClientSessionCache = cache
	t, err := newTalker(o, config)
	if err != nil {
		return nil, err
	}
	defer t.transport.Close()
	t.transport.waiting = true
	if _, err := t.stream.Write([]byte{'x'}); err != nil {
		return nil, err
	}
	if _, err := t.stream.Read(make([]byte, 1)); err != nil {
		return nil, err
	}
	if cache.closed = true; cache.state == nil {
		return nil, errors.New("the server gave no ticket")
	}
	return cache, nil
}
