package loop

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"net.server_go/tls"
)

// ceiling bounds what the buffers of all connections hold together: output that
// the kernel has not taken, and input that the Lua side has not. Each of them has a
// bound of its own, but a thousand peers that do not read could use up the memory.
// Near the ceiling nothing is accepted, and who holds much is not read. Beyond the
// ceiling, or when that lasts, the connections that hold the most are closed: else
// peers that do not read could keep all others out.
type ceiling struct {
	alarm // when it has been tight for too long
	loop  *Loop
	limit int // bytes
	held  int
	tight bool   // since three quarters, until half of the limit
	told  bool   // while it is tight
	full  uint64 // connections closed for it
}

// tightTime is how long, in seconds, it may be tight: most peers that read at all
// have taken what waits for them by then.
const tightTime = 60

// DefaultBufferPart of the memory that the process may have is the ceiling, unless
// the settings have one.
const DefaultBufferPart = 4

// fairShare is how much a connection may hold and is still read near the ceiling.
const fairShare = 64 << 10

// reasonNoSpace is server_epoll's for a connection whose own buffer is full.
const reasonNoSpace = "no space left in buffer"

func (c *ceiling) open(l *Loop) {
	c.loop, c.owner = l, c
	c.configure(l.settings.BufferCeiling)
}

func (c *ceiling) configure(bytes int) {
	if c.limit = bytes; bytes == 0 {
		c.limit = defaultCeiling(AvailableMemory())
	}
}

// defaultCeiling is for so many bytes of memory, of which a process of 32 bits can
// address some only.
func defaultCeiling(memory uint64) int { return int(min(memory, math.MaxInt) / DefaultBufferPart) }

// account enters what the connection's buffers hold now. It is called after all
// that may change it.
func (c *conn) account() {
	holds := cap(c.out) + cap(c.early) + cap(c.pending)
	if c.security == securityHandshake && c.state != stateClosed {
		holds += c.session.Held()
	}
	if holds == c.holds {
		return
	}
	c.loop.ceiling.held += holds - c.holds
	c.holds = holds
	c.throttled = c.loop.ceiling.tight && holds > fairShare
}

// checkCeiling is called when all has been sent that the kernel takes, and at the end
// of each turn: what has made room may be the last thing that happens for long.
func (l *Loop) checkCeiling() {
	c := &l.ceiling
	if c.held > c.limit {
		l.closeLargest(c.limit)
	}
	switch {
	case !c.tight && c.held > c.limit/4*3:
		c.tight = true
		l.arm(&c.alarm, addSeconds(l.now, tightTime))
		l.eachConn(func(c *conn) { c.throttled = c.holds > fairShare })
	case c.tight && c.held < c.limit/2:
		c.tight, c.told = false, false
		l.alarms.remove(&c.alarm)
		l.eachConn(func(c *conn) {
			if c.throttled {
				c.throttled = false
				c.update()
			}
		})
		l.descriptorClosed() // accept again
	}
}

func (l *Loop) eachConn(f func(*conn)) {
	for i := range l.objects.slots {
		if c, ok := l.objects.slots[i].value.(*conn); ok && c.state != stateClosed {
			f(c)
		}
	}
}

// ring is called when it has been tight for tightTime.
func (c *ceiling) ring() { c.loop.closeLargest(c.limit/2 - 1) }

// closeLargest closes the connections that hold the most, until all together hold no
// more than so many bytes.
func (l *Loop) closeLargest(most int) {
	var holders []*conn
	l.eachConn(func(c *conn) {
		if c.holds > 0 {
			holders = append(holders, c)
		}
	})
	slices.SortFunc(holders, func(a, b *conn) int { return cmp.Compare(b.holds, a.holds) })
	for _, c := range holders {
		if l.ceiling.held <= most {
			return
		}
		c.endForSpace()
	}
}

func (c *conn) endForSpace() {
	all := &c.loop.ceiling
	all.full++
	if !all.told {
		all.told = true
		c.note(tls.Notice{Level: "warn", Text: fmt.Sprintf(
			"The buffers of all connections hold %d bytes, with a limit of %d: those that hold the most are closed, this one for %d", all.held, all.limit, c.holds)})
	}
	// Its peer does not read: a goodbye would only take more memory.
	c.state, c.out, c.sentOut, c.early, c.pending = statePeerClosed, nil, 0, nil, nil
	c.end(reasonNoSpace, false)
}
