package main

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	loginAtOnce = 32
	joinAtOnce  = 10
)

// A room has occupants, of whom the first is the only one that speaks.
type room struct {
	options
	occupants []*session
	poll      int
	presences int // stanzas that all occupants together got
	messages  int
	times     latencies // from sending a message until the last occupant has it
}

type mucResult struct {
	spent
	Count       int     `json:"count"` // messages that an occupant got
	Joins       int     `json:"joins"`
	JoinSeconds float64 `json:"join_seconds"` // from the first join until each occupant knows of every other
	P50         float64 `json:"p50_us"`
	P99         float64 `json:"p99_us"`
}

// muc has all clients join one room (XEP-0045), and then one of them speak: a message follows when all have the last one.
func muc(o options) (any, error) {
	g, err := gather(o, min(loginAtOnce, o.conns))
	if err != nil {
		return nil, err
	}
	if g.failure != nil {
		return nil, g.failure
	}
	runtime.LockOSThread()
	r := &room{options: o, occupants: g.sessions, times: latencies{wanted: true}}
	if err := r.watch(); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := r.join(); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	return r.measure(time.Since(start))
}

func (r *room) watch() error {
	var err error
	if r.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	for i, occupant := range r.occupants {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(r.poll, unix.EPOLL_CTL_ADD, occupant.transport.fd, &event); err != nil {
			return err
		}
	}
	return nil
}

// join has a few join at once, and the next ones when everybody knows of everybody.
func (r *room) join() error {
	for in := 0; in < len(r.occupants); {
		for _, occupant := range r.occupants[in:min(in+joinAtOnce, len(r.occupants))] {
			in++
			if err := r.send(occupant, "<presence xmlns='jabber:client' to='room@rooms.%s/%s'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
				r.name, occupant.user); err != nil {
				return err
			}
		}
		// Each also gets the subject, as a message.
		if err := r.until(func() bool { return r.presences >= in*in && r.messages >= in }); err != nil {
			return err
		}
	}
	return nil
}

func (r *room) measure(joining time.Duration) (any, error) {
	if err := r.speak(r.warm); err != nil {
		return nil, err
	}
	r.times.reset()
	before, err := usageOf(r.pid)
	if err != nil {
		return nil, err
	}
	first := r.messages
	if err := r.speak(r.duration); err != nil {
		return nil, err
	}
	after, err := usageOf(r.pid)
	return mucResult{
		after.since(before), r.messages - first, len(r.occupants), joining.Seconds(), r.times.percentile(50), r.times.percentile(99),
	}, err
}

func (r *room) speak(duration time.Duration) error {
	for until := time.Now().Add(duration); time.Now().Before(until); {
		sent, missing := time.Now(), r.messages+len(r.occupants)
		if err := r.send(r.occupants[0], "<message xmlns='jabber:client' to='room@rooms.%s' type='groupchat' id='m%d'><body>%s</body></message>",
			r.name, missing, bytes.Repeat([]byte("x"), r.size)); err != nil {
			return err
		}
		if err := r.until(func() bool { return r.messages >= missing }); err != nil {
			return err
		}
		r.times.add(sent)
	}
	return nil
}

func (r *room) send(from *session, format string, args ...any) error {
	_, err := from.stream.Write(fmt.Appendf(nil, format, args...))
	return err
}

func (r *room) until(done func() bool) error {
	var events [64]unix.EpollEvent
	for until := time.Now().Add(r.patience); !done(); {
		n, err := unix.EpollWait(r.poll, events[:], int(r.patience.Milliseconds()))
		if err != nil && err != unix.EINTR {
			return err
		}
		if n == 0 || time.Now().After(until) {
			return fmt.Errorf("%d occupants have %d presences and %d messages, and no more came",
				len(r.occupants), r.presences, r.messages)
		}
		for _, event := range events[:max(n, 0)] {
			if err := r.receive(r.occupants[event.Fd]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *room) receive(occupant *session) error {
	occupant.transport.empty = false
	for {
		if err := occupant.read(); errors.Is(err, errAgain) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s after %q: %w", occupant.user, occupant.buffer, err)
		}
		whole := bytes.LastIndexByte(occupant.buffer, '>') + 1
		got := occupant.buffer[:whole]
		if refused(got) {
			return fmt.Errorf("%s got %s", occupant.user, got)
		}
		r.presences += bytes.Count(got, []byte("</presence>"))
		r.messages += bytes.Count(got, messageEnd)
		occupant.buffer = occupant.buffer[:copy(occupant.buffer, occupant.buffer[whole:])]
	}
}
