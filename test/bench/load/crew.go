package main

import (
	"fmt"
	"iter"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A crew is clients on one thread.
type crew struct {
	clients []*client
	poll    int
	count   int // how often it was done
	working int // clients that have not ended
	stop    bool
}

// A client is a coroutine: where it would wait for the server it lets others go on.
// A goroutine, which Go's scheduler parks and wakes, takes more of the processors.
type client struct {
	crew    *crew
	number  int
	watched uint32 // epoll events of its descriptor
	next    func() (struct{}, bool)
	yield   func(struct{}) bool
	err     error
}

// repeat has each client do the same again and again, and says how often it was done in the time that counts, which
// begins with a call of started.
func repeat(o options, once func(*client) error, started func()) (int, spent, error) {
	runtime.LockOSThread()
	c, err := newCrew(o.conns, func(client *client) error {
		for !client.crew.stop {
			if err := once(client); err != nil {
				return err
			}
			client.crew.count++
		}
		return nil
	})
	if err != nil {
		return 0, spent{}, err
	}
	if err := c.work(o.warm); err != nil {
		return 0, spent{}, err
	}
	started()
	before, err := usageOf(o.pid)
	if err != nil {
		return 0, spent{}, err
	}
	first := c.count
	if err := c.work(o.duration); err != nil {
		return 0, spent{}, err
	}
	done := c.count - first
	after, err := usageOf(o.pid)
	if err != nil {
		return 0, spent{}, err
	}
	c.stop = true // each client is to finish what it is at
	if err := c.drain(dialTimeout); err != nil {
		return 0, spent{}, err
	}
	if c.working > 0 {
		return 0, spent{}, fmt.Errorf("%d clients got no answer within %v", c.working, dialTimeout)
	}
	return done, after.since(before), nil
}

// newCrew starts that many clients. What each does is a coroutine, which runs until it would wait.
func newCrew(size int, do func(*client) error) (*crew, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	c := &crew{poll: poll, working: size}
	for number := range size {
		client := &client{crew: c, number: number}
		client.next, _ = iter.Pull(func(yield func(struct{}) bool) {
			client.yield = yield
			client.err = do(client)
		})
		c.clients = append(c.clients, client)
	}
	for _, client := range c.clients {
		if err := c.resume(client); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *crew) work(duration time.Duration) error {
	until := time.Now().Add(duration)
	for now := time.Now(); now.Before(until); now = time.Now() {
		if err := c.turn(until.Sub(now)); err != nil {
			return err
		}
	}
	return nil
}

// drain waits until all clients have ended, or for that long.
func (c *crew) drain(patience time.Duration) error {
	until := time.Now().Add(patience)
	for left := patience; c.working > 0 && left > 0; left = time.Until(until) {
		if err := c.turn(left); err != nil {
			return err
		}
	}
	return nil
}

func (c *crew) turn(patience time.Duration) error {
	var events [64]unix.EpollEvent
	n, err := unix.EpollWait(c.poll, events[:], int(patience.Milliseconds())+1)
	if err != nil && err != unix.EINTR {
		return os.NewSyscallError("epoll_wait", err)
	}
	for _, event := range events[:max(n, 0)] {
		if err := c.resume(c.clients[event.Fd]); err != nil {
			return err
		}
	}
	return nil
}

func (c *crew) resume(client *client) error {
	if client.next == nil {
		return nil
	}
	if _, more := client.next(); !more {
		client.next = nil
		c.working--
	}
	if client.err != nil {
		return fmt.Errorf("client %d: %w", client.number, client.err)
	}
	return nil
}

// dial begins a connection. Who waits on the transport lets the other clients go on.
func (c *client) dial(o options) (*transport, error) {
	t, err := beginDial(o)
	if err != nil {
		return nil, err
	}
	t.waiting, t.wait = true, c.wait
	if err := c.watch(unix.EPOLL_CTL_ADD, t.fd, unix.EPOLLIN); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// release makes the connection wait by itself, without the crew.
func (c *client) release(t *transport) error {
	t.waiting, t.wait = false, await
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(c.crew.poll, unix.EPOLL_CTL_DEL, t.fd, nil))
}

func (c *client) wait(fd int, events int16) error {
	if uint32(events) != c.watched {
		if err := c.watch(unix.EPOLL_CTL_MOD, fd, uint32(events)); err != nil {
			return err
		}
	}
	c.yield(struct{}{})
	return nil
}

func (c *client) watch(operation, fd int, events uint32) error {
	c.watched = events
	event := unix.EpollEvent{Events: events, Fd: int32(c.number)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(c.crew.poll, operation, fd, &event))
}
