package loop

import (
	"fmt"

	"net.server_go/tls"
)

// ceiling bounds what the buffers of all connections hold together: output that
// the kernel has not taken, and input that the Lua side has not. Each of them has a
// bound of its own, but a thousand peers that do not read could use up the memory.
// Near the ceiling nothing is accepted, and who holds much is not read; at the
// ceiling the connection that holds the most is closed.
type ceiling struct {
	limit int // bytes
	held  int
	tight bool   // since three quarters, until half of the limit
	told  bool   // while it is tight
	full  uint64 // connections closed for it
}

// DefaultBufferPart of the memory that the process may have is the ceiling, unless
// the settings have one.
const DefaultBufferPart = 4

// fairShare is how much a connection may hold and is still read near the ceiling.
const fairShare = 64 << 10

// reasonNoSpace is server_epoll's for a connection whose own buffer is full.
const reasonNoSpace = "no space left in buffer"

func (c *ceiling) configure(bytes int) {
	if c.limit = bytes; bytes == 0 {
		c.limit = int(min(AvailableMemory(), 1<<62) / DefaultBufferPart)
	}
}

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
	c.throttled = c.throttled || c.loop.ceiling.tight && holds > fairShare
}

// checkCeiling is called once a turn, when all has been sent that the kernel takes.
func (l *Loop) checkCeiling() {
	c := &l.ceiling
	for c.held > c.limit && l.closeLargest() {
	}
	switch {
	case !c.tight && c.held > c.limit/4*3:
		c.tight = true
		l.eachConn(func(c *conn) { c.throttled = c.holds > fairShare })
	case c.tight && c.held < c.limit/2:
		c.tight, c.told = false, false
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

// closeLargest closes the connection that holds the most, and reports whether
// there was one.
func (l *Loop) closeLargest() bool {
	var largest *conn
	l.eachConn(func(c *conn) {
		if largest == nil || c.holds > largest.holds {
			largest = c
		}
	})
	if largest == nil || largest.holds == 0 {
		return false
	}
	c := &l.ceiling
	c.full++
	if !c.told {
		c.told = true
		largest.note(tls.Notice{Level: "warn", Text: fmt.Sprintf(
			"The buffers of all connections have reached %d bytes: those that hold the most are closed, this one for %d", c.limit, largest.holds)})
	}
	// Its peer does not read: a goodbye would only take more memory.
	largest.state, largest.out, largest.sentOut, largest.early, largest.pending = statePeerClosed, nil, 0, nil, nil
	largest.end(reasonNoSpace, false)
	return true
}
