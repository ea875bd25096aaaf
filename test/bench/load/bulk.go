package main

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

const (
	bulkWrite  = 64 << 10
	bulkWindow = 1 << 20 // bytes that may be on their way, so that the server's buffers stay bounded
)

type bulkResult struct {
	spent
	Bytes int64 `json:"bytes"`
}

// bulk sends as much as it can over one connection, and counts what comes back.
func bulk(o options) (any, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	conn, err := dialTLS(o, config)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var back atomic.Int64
	credit := make(chan struct{}, bulkWindow/bulkWrite)
	failed := make(chan error, 2)
	go func() { failed <- bulkSend(conn, credit) }()
	go func() { failed <- bulkReceive(conn, credit, &back) }()

	if err := waitOrFail(o.warm, failed); err != nil {
		return nil, err
	}
	before, err := usageOf(o.pid)
	if err != nil {
		return nil, err
	}
	first := back.Load()
	if err := waitOrFail(o.duration, failed); err != nil {
		return nil, err
	}
	bytes := back.Load() - first
	after, err := usageOf(o.pid)
	return bulkResult{after.since(before), bytes}, err
}

func bulkSend(conn net.Conn, credit chan<- struct{}) error {
	message := make([]byte, bulkWrite)
	for {
		credit <- struct{}{}
		if _, err := conn.Write(message); err != nil {
			return err
		}
	}
}

func bulkReceive(conn net.Conn, credit <-chan struct{}, back *atomic.Int64) error {
	buffer := make([]byte, 2*bulkWrite)
	for partial := 0; ; {
		n, err := conn.Read(buffer)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		back.Add(int64(n))
		for partial += n; partial >= bulkWrite; partial -= bulkWrite {
			<-credit
		}
	}
}

func waitOrFail(duration time.Duration, failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	case <-time.After(duration):
		return nil
	}
}
