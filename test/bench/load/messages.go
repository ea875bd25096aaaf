package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A chatter is a client in a pair: each sends to the other.
type chatter struct {
	session
	message []byte
	due     []time.Time // of the messages that it has not got yet, oldest first
}

type chat struct {
	options
	chatters []*chatter
	poll     int
	times    latencies
	count    int
	next     int // with -rate: who sends next
	nextAt   time.Time
}

var messageEnd = []byte("</message>")

// messages has pairs of clients send each other chat messages: one after the other, or with -rate so many a second
// in all. The time of a message counts from when it was to be sent.
func messages(o options) (any, error) {
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	if o.conns%2 != 0 {
		return nil, fmt.Errorf("-conns is %d; messages need pairs", o.conns)
	}
	c := &chat{options: o, times: latencies{wanted: true}}
	if err := c.connect(config); err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	return c.measure()
}

func (c *chat) connect(config *tls.Config) error {
	var err error
	if c.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	for i := range c.conns {
		chatter, err := newChatter(c.options, config, i)
		if err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
		c.chatters = append(c.chatters, chatter)
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(c.poll, unix.EPOLL_CTL_ADD, chatter.transport.fd, &event); err != nil {
			return err
		}
	}
	return nil
}

func newChatter(o options, config *tls.Config, number int) (*chatter, error) {
	t, err := dialRaw(o)
	if err != nil {
		return nil, err
	}
	t.waiting = true
	c := &chatter{session: newSession(o, config, number, t)}
	if err := c.login(); err != nil {
		return nil, err
	}
	t.waiting = false
	c.message = fmt.Appendf(nil, "<message to='%s@%s/%s' type='chat' id='m%d'><body>%s</body></message>",
		userName(number^1), o.name, resource, number, bytes.Repeat([]byte("x"), o.size))
	return c, nil
}

func (c *chat) measure() (any, error) {
	c.nextAt = time.Now()
	if c.rate == 0 {
		for i := range c.chatters {
			if err := c.send(i, c.nextAt); err != nil {
				return nil, err
			}
		}
	}
	if err := c.run(c.nextAt.Add(c.warm)); err != nil {
		return nil, err
	}
	c.times.reset()
	before, err := usageOf(c.pid)
	if err != nil {
		return nil, err
	}
	first := c.count
	if err := c.run(time.Now().Add(c.duration)); err != nil {
		return nil, err
	}
	after, err := usageOf(c.pid)
	if err != nil {
		return nil, err
	}
	return messagesResult{
		loginResult{after.since(before), c.count - first, c.times.percentile(50), c.times.percentile(99)},
		c.times.percentile(99.9),
	}, nil
}

type messagesResult struct {
	loginResult
	P999 float64 `json:"p999_us"`
}

func (c *chat) run(until time.Time) error {
	for now := time.Now(); now.Before(until); now = time.Now() {
		wait := until.Sub(now)
		if c.rate > 0 {
			if err := c.sendDue(now); err != nil {
				return err
			}
			wait = min(wait, time.Until(c.nextAt))
		}
		if err := c.turn(wait); err != nil {
			return err
		}
	}
	return nil
}

func (c *chat) sendDue(now time.Time) error {
	interval := time.Second / time.Duration(c.rate)
	for ; !c.nextAt.After(now); c.nextAt = c.nextAt.Add(interval) {
		if err := c.send(c.next, c.nextAt); err != nil {
			return err
		}
		c.next = (c.next + 1) % len(c.chatters)
	}
	return nil
}

func (c *chat) send(from int, due time.Time) error {
	sender, receiver := c.chatters[from], c.chatters[from^1]
	receiver.due = append(receiver.due, due)
	_, err := sender.stream.Write(sender.message)
	return err
}

func (c *chat) turn(wait time.Duration) error {
	var events [64]unix.EpollEvent
	timeout := unix.NsecToTimespec(max(0, wait.Nanoseconds()))
	n, err := epollPwait2(c.poll, events[:], &timeout)
	if err != nil && err != unix.EINTR {
		return err
	}
	for _, event := range events[:max(n, 0)] {
		if err := c.receive(int(event.Fd)); err != nil {
			return err
		}
	}
	return nil
}

func (c *chat) receive(number int) error {
	chatter := c.chatters[number]
	chatter.transport.empty = false
	for !chatter.transport.empty || chatter.config != nil {
		err := chatter.read()
		if errors.Is(err, errAgain) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.got(number); err != nil {
			return err
		}
	}
	return nil
}

// got counts the messages in the buffer.
func (c *chat) got(number int) error {
	chatter := c.chatters[number]
	if refused(chatter.buffer) {
		return fmt.Errorf("instead of a message: %s", chatter.buffer)
	}
	for {
		_, rest, found := bytes.Cut(chatter.buffer, messageEnd)
		if !found {
			return nil
		}
		chatter.buffer = chatter.buffer[:copy(chatter.buffer, rest)]
		c.count++
		c.times.add(chatter.due[0])
		chatter.due = chatter.due[:copy(chatter.due, chatter.due[1:])]
		if c.rate == 0 {
			if err := c.send(number, time.Now()); err != nil {
				return err
			}
		}
	}
}
