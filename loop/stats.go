package loop

import "runtime/metrics"

// A Kind says how an object came to be; Stats count by it.
type Kind uint8

const (
	KindAccepted Kind = iota
	KindOutgoing
	KindAdopted  // a stream socket that somebody else made
	KindDatagram // dialled or adopted
	KindListener
	KindWatch
	Kinds // how many there are
)

// Stats are an operator's view of a Loop. What is counted is counted since
// the Loop was made.
type Stats struct {
	Opened, Closed [Kinds]uint64
	// Received and Sent are bytes on the wire: ciphertext, where there is TLS.
	Received, Sent uint64
	AcceptErrors   uint64
	Refused        [Limits]uint64
	Events         uint64
	// Completed ones, by our role.
	ClientHandshakes, ServerHandshakes uint64
	// Failures has the handshakes that failed by the reason that Lua gets.
	Failures map[string]uint64

	// What follows is not counted but looked up by Loop.Stats.

	// Threaded: a thread of its own runs the I/O side at present. Changes is how
	// often that has changed, by the reason; Reason is the latest. ThreadTime is
	// how long there has been such a thread, in ns.
	Threaded   bool
	Changes    [Reasons]uint64
	Reason     Reason
	ThreadTime uint64
	Running    int // handshakes
	// Unsent and Undelivered are bytes that the kernel, or the Lua side, has
	// not taken yet.
	Unsent, Undelivered uint64
	// Buffered is the memory of the buffers that they are in; BuffersFull is how
	// many connections were closed because there was too much of it.
	Buffered, BuffersFull uint64
	// Stalls is how often the watchdog found that nothing moved.
	Stalls uint64
	// Goroutines and Threads are the Go runtime's, of all Loops together.
	Goroutines, Threads uint64
}

// maxReasons bounds Failures. A peer cannot use it up: the reasons of TLS are some
// 120 and those of the system few, however it fails.
const maxReasons = 256

// reasonNoContext counts the contexts that cannot be used: each may have a text
// of its own.
const reasonNoContext = "no usable context"

// Stats returns what there is to know now.
func (l *Loop) Stats() Stats {
	l.gate.enter()
	defer l.gate.leave()
	s := l.stats
	l.driver.look(&s, l.clock())
	s.Buffered, s.BuffersFull = uint64(l.ceiling.held), l.ceiling.full
	s.Stalls = l.gate.dog.stalls.Load()
	s.Failures = make(map[string]uint64, len(l.stats.Failures))
	for reason, n := range l.stats.Failures {
		s.Failures[reason] = n
	}
	s.lookAtRuntime()
	for i := range l.objects.slots {
		if c, ok := l.objects.slots[i].value.(*conn); ok {
			s.look(c)
		}
	}
	return s
}

func (s *Stats) lookAtRuntime() {
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/sched/threads/total:threads"}}
	metrics.Read(samples)
	s.Goroutines, s.Threads = samples[0].Value.Uint64(), samples[1].Value.Uint64()
}

func (s *Stats) look(c *conn) {
	if c.state == stateClosed {
		return
	}
	if c.security == securityHandshake {
		s.Running++
	}
	s.Unsent += uint64(len(c.out) - c.sentOut + len(c.direct) + len(c.early))
	s.Undelivered += uint64(len(c.pending))
}

// count enters a new connection into the statistics.
func (c *conn) count(k Kind) {
	if c.datagram {
		k = KindDatagram
	}
	c.kind = k
	c.loop.stats.Opened[k]++
}

func (s *Stats) handshakeDone(server bool) {
	if server {
		s.ServerHandshakes++
	} else {
		s.ClientHandshakes++
	}
}

// handshakeFailed counts a handshake that ended for a reason.
func (s *Stats) handshakeFailed(reason string) {
	if _, known := s.Failures[reason]; !known && len(s.Failures) >= maxReasons {
		reason = "other"
	}
	if s.Failures == nil {
		s.Failures = map[string]uint64{}
	}
	s.Failures[reason]++
}

// countRead and countSent count bytes on the wire.
func (l *Loop) countRead(n int) { l.stats.Received += uint64(n) }

func (l *Loop) countSent(n int) { l.stats.Sent += uint64(n) }

func (d *driver) look(s *Stats, now int64) {
	s.Threaded, s.Reason, s.Changes = d.thread != nil, d.reason, d.changes
	ns := d.threaded
	if s.Threaded {
		ns += now - d.since
	}
	s.ThreadTime = uint64(ns)
}
