package main

import (
	"crypto/tls"
	"errors"
	"io"
	"sync"
)

const connectors = 32

type holdResult struct {
	Held int `json:"held"`
}

// hold opens connections, which then stay open.
func hold(o options) (any, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	held, err := connectMany(o, config, o.conns)
	if err != nil {
		return nil, err
	}
	return holdResult{len(held)}, nil
}

func connectMany(o options, config *tls.Config, count int) ([]*talker, error) {
	held := make([]*talker, count)
	failures := make([]error, connectors)
	var all sync.WaitGroup
	for worker := range connectors {
		all.Go(func() {
			for i := worker; i < count && failures[worker] == nil; i += connectors {
				held[i], failures[worker] = connectIdle(o, config)
			}
		})
	}
	all.Wait()
	return held, errors.Join(failures...)
}

func connectIdle(o options, config *tls.Config) (*talker, error) {
	talker, err := newTalker(o, config)
	if err != nil || o.received == 0 {
		return talker, err
	}
	talker.transport.waiting = true
	sent := make(chan error, 1)
	go func() {
		_, err := talker.stream.Write(make([]byte, o.received))
		sent <- err
	}()
	if _, err := io.CopyN(io.Discard, talker.stream, int64(o.received)); err != nil {
		return nil, err
	}
	return talker, <-sent
}
