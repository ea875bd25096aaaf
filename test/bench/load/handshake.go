package main

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
)

type handshakeResult struct {
	spent
	Count int64 `json:"count"`
}

// handshake makes one full handshake after the other in each of the clients.
func handshake(o options) (any, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	var count atomic.Int64
	var stop atomic.Bool
	failed := make(chan error, o.conns)
	var clients sync.WaitGroup
	for range o.conns {
		clients.Go(func() {
			if err := handshakes(o, config, &count, &stop); err != nil {
				failed <- err
			}
		})
	}
	defer clients.Wait()
	defer stop.Store(true)

	if err := waitOrFail(o.warm, failed); err != nil {
		return nil, err
	}
	before, err := usageOf(o.pid)
	if err != nil {
		return nil, err
	}
	first := count.Load()
	if err := waitOrFail(o.duration, failed); err != nil {
		return nil, err
	}
	made := count.Load() - first
	after, err := usageOf(o.pid)
	return handshakeResult{after.since(before), made}, err
}

func handshakes(o options, config *tls.Config, count *atomic.Int64, stop *atomic.Bool) error {
	for !stop.Load() {
		conn, err := dialTLS(o, config)
		if err != nil {
			return err
		}
		count.Add(1)
		conn.Close()
	}
	return nil
}
