package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A talker sends a message, and the next one when it has the whole of the last back.
type talker struct {
	transport *transport
	stream    io.ReadWriter // the transport, or TLS over it
	missing   int           // bytes not back yet
	sent      time.Time
}

type echoResult struct {
	spent
	Count int     `json:"count"`
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
}

func address(data []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(data))) }

// newTalker connects; with TLS it makes the handshake too.
func newTalker(o options, config *tls.Config) (*talker, error) {
	transport, err := dialRaw(o)
	if err != nil {
		return nil, err
	}
	talker := &talker{transport: transport, stream: transport}
	if config == nil {
		return talker, nil
	}
	secured := tls.Client(transport, config)
	transport.waiting = true
	defer func() { transport.waiting = false }()
	talker.stream = secured
	return talker, secured.Handshake()
}

type conversation struct {
	options
	talkers   []*talker
	poll      int
	message   []byte
	buffer    []byte
	latencies *latencies
	count     int
}

// echo lets each connection send message after message. With -pause, or on one connection alone, the round trip is timed.
func echo(o options) (any, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	if o.idle > 0 {
		idle, err := connectMany(o, config, o.idle)
		if err != nil {
			return nil, err
		}
		defer runtime.KeepAlive(idle)
	}
	c := &conversation{options: o, message: make([]byte, o.size), buffer: make([]byte, 64<<10), latencies: newLatencies(o.conns)}
	if err := c.connect(config); err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	if o.pause > 0 {
		return c.measure(c.pausing)
	}
	return c.measure(c.busily)
}

func (c *conversation) connect(config *tls.Config) error {
	var err error
	if c.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	for i := range c.conns {
		talker, err := newTalker(c.options, config)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
		c.talkers = append(c.talkers, talker)
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(c.poll, unix.EPOLL_CTL_ADD, talker.transport.fd, &event); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversation) measure(run func(until time.Time) error) (any, error) {
	for _, talker := range c.talkers {
		if err := c.send(talker); err != nil {
			return nil, err
		}
	}
	if err := run(time.Now().Add(c.warm)); err != nil {
		return nil, err
	}
	c.latencies.reset()
	before, err := usageOf(c.pid)
	if err != nil {
		return nil, err
	}
	first := c.count
	if err := run(time.Now().Add(c.duration)); err != nil {
		return nil, err
	}
	after, err := usageOf(c.pid)
	if err != nil {
		return nil, err
	}
	return echoResult{after.since(before), c.count - first, c.latencies.percentile(50), c.latencies.percentile(99)}, nil
}

func (c *conversation) busily(until time.Time) error {
	for time.Now().Before(until) {
		if err := c.turn(); err != nil {
			return err
		}
	}
	return nil
}

// pausing has one connection, whose next message waits for a while.
func (c *conversation) pausing(until time.Time) error {
	for time.Now().Before(until) {
		before := c.count
		for c.count == before {
			if err := c.turn(); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn handles what there is to read; it waits a while for it.
func (c *conversation) turn() error {
	const patience = 100 // ms
	var events [64]unix.EpollEvent
	n, err := unix.EpollWait(c.poll, events[:], patience)
	if err != nil && err != unix.EINTR {
		return err
	}
	for _, event := range events[:max(n, 0)] {
		if err := c.receive(c.talkers[event.Fd]); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversation) receive(t *talker) error {
	t.transport.empty = false
	for {
		n, err := t.stream.Read(c.buffer)
		t.missing -= n
		if n > 0 && t.missing == 0 {
			c.count++
			c.latencies.add(t.sent)
			if c.pause > 0 {
				time.Sleep(c.pause)
			}
			if err := c.send(t); err != nil {
				return err
			}
		}
		if errors.Is(err, errAgain) || err == nil && t.transport.empty && t.stream == io.ReadWriter(t.transport) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *conversation) send(t *talker) error {
	t.missing = len(c.message)
	t.sent = c.latencies.now()
	_, err := t.stream.Write(c.message)
	return err
}
