package main

import (
	"crypto/tls"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A crowd is clients that have logged in and stay.
type crowd struct {
	sessions []*session // by number; nil if it could not log in
	times    latencies  // from a client's first packet until it was in
	in       int
	took     time.Duration // until the last one was in
	failure  error         // of the last one that could not log in
}

// gather logs clients in, atOnce at the same time, until all have tried or o.patience is over.
func gather(o options, atOnce int) (*crowd, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	g := &crowd{sessions: make([]*session, o.conns), times: latencies{wanted: true}}
	c, err := newCrew(atOnce, func(client *client) error {
		for number := client.number; number < o.conns; number += atOnce {
			if err := g.admit(o, config, client, number); err != nil {
				g.failure = fmt.Errorf("client %d: %w", number, err)
				continue
			}
			g.in++
			g.took = time.Since(begin)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := c.drain(o.patience); err != nil {
		return nil, err
	}
	if c.working > 0 {
		g.failure = fmt.Errorf("%d clients got no answer within %v", c.working, o.patience)
	}
	return g, unix.Close(c.poll)
}

func (g *crowd) admit(o options, config *tls.Config, client *client, number int) error {
	begin := time.Now()
	t, err := client.dial(o)
	if err != nil {
		return err
	}
	s := newSession(o, config, number, t)
	if err := s.login(); err != nil {
		t.Close()
		return err
	}
	g.times.add(begin)
	g.sessions[number] = &s
	return client.release(t)
}
