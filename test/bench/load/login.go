package main

import (
	"crypto/tls"
	"io"
	"sync"
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
	times := &sharedLatencies{latencies: latencies{wanted: true}}
	count, used, err := repeat(o, func(client int) error { return loginOnce(o, config, client, times) }, times.restart)
	if err != nil {
		return nil, err
	}
	return loginResult{used, int(count), times.percentile(50), times.percentile(99)}, nil
}

func loginOnce(o options, config *tls.Config, client int, times *sharedLatencies) error {
	start := time.Now()
	conn, err := dial(o)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(start.Add(dialTimeout)); err != nil {
		return err
	}
	s := &session{stream: conn, host: o.name, user: userName(client), config: config}
	s.secure = func(config *tls.Config) (io.ReadWriter, error) {
		secured := tls.Client(conn, config)
		return secured, secured.Handshake()
	}
	if err := s.login(); err != nil {
		return err
	}
	times.addShared(start)
	return s.close()
}

type sharedLatencies struct {
	sync.Mutex
	latencies
}

func (l *sharedLatencies) addShared(since time.Time) {
	l.Lock()
	defer l.Unlock()
	l.add(since)
}

func (l *sharedLatencies) restart() {
	l.Lock()
	defer l.Unlock()
	l.reset()
}
