package main

import (
	"crypto/tls"
	"time"
)

type loginResult struct {
	spent
	Count int     `json:"count"`
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
}

// login makes one login after the other in each of the clients, each of which is a user of its own.
func login(o options) (any, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	times := &latencies{wanted: true}
	count, used, err := repeat(o, func(c *client) error { return loginOnce(o, config, c, times) }, times.reset)
	if err != nil {
		return nil, err
	}
	return loginResult{used, count, times.percentile(50), times.percentile(99)}, nil
}

func loginOnce(o options, config *tls.Config, c *client, times *latencies) error {
	start := time.Now()
	t, err := c.dial(o)
	if err != nil {
		return err
	}
	defer t.Close()
	s := newSession(o, config, c.number, t)
	if err := s.login(); err != nil {
		return err
	}
	times.add(start)
	return s.close()
}
