package main

import (
	"errors"
	"io"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	bulkWrite  = 256 << 10 // with less this end is the slower one
	bulkWindow = 1 << 20   // bytes that may be on their way, so that the server's buffers stay bounded
)

type bulkResult struct {
	spent
	Bytes int64 `json:"bytes"`
}

// A transfer sends as much as it can over one connection, and counts what comes back.
type transfer struct {
	*talker
	message, buffer []byte
	away, back      int64 // bytes: on their way, and all that came back
}

func bulk(o options) (any, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	talker, err := newTalker(o, config)
	if err != nil {
		return nil, err
	}
	t := &transfer{talker: talker, message: make([]byte, bulkWrite), buffer: make([]byte, 2*bulkWrite)}
	t.transport.wait = t.wait
	if err := t.run(o.warm); err != nil {
		return nil, err
	}
	before, err := usageOf(o.pid)
	if err != nil {
		return nil, err
	}
	first := t.back
	if err := t.run(o.duration); err != nil {
		return nil, err
	}
	after, err := usageOf(o.pid)
	return bulkResult{after.since(before), t.back - first}, err
}

func (t *transfer) run(duration time.Duration) error {
	for until := time.Now().Add(duration); time.Now().Before(until); {
		if err := t.turn(); err != nil {
			return err
		}
	}
	return nil
}

func (t *transfer) turn() error {
	if t.away+bulkWrite > bulkWindow {
		return t.wait(t.transport.fd, 0)
	}
	t.away += bulkWrite
	if _, err := t.stream.Write(t.message); err != nil {
		return err
	}
	return t.receive()
}

// wait waits for events, or until it has received something: who waits to send must take what comes, or both ends wait.
func (t *transfer) wait(fd int, events int16) error {
	if err := await(fd, events|unix.POLLIN); err != nil {
		return err
	}
	return t.receive()
}

func (t *transfer) receive() error {
	t.transport.empty = false
	for {
		n, err := t.stream.Read(t.buffer)
		t.away -= int64(n)
		t.back += int64(n)
		switch {
		case errors.Is(err, errAgain):
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}
