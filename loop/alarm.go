package loop

import "math"

// An alarm rings its owner once, at the time due or later.
type alarm struct {
	due   int64
	pos   int
	owner interface{ ring() }
}

func (a *alarm) before(o *alarm) bool { return a.due < o.due }
func (a *alarm) position() *int       { return &a.pos }

// arm makes a ring at due at the latest. One that is set to ring earlier is
// left alone: its owner finds nothing to do and arms it again, which is
// cheaper than moving it at each byte received.
func (l *Loop) arm(a *alarm, due int64) {
	if a.pos == 0 || due < a.due {
		a.due = due
		l.alarms.fix(a)
	}
}

func (l *Loop) ringAlarms() {
	for {
		a, ok := l.alarms.top()
		if !ok || a.due > l.now {
			return
		}
		l.alarms.remove(a)
		a.owner.ring()
	}
}

const never = math.MaxInt64

// addSeconds returns base + seconds in nanoseconds, held within int64.
func addSeconds(base int64, seconds float64) int64 {
	ns := float64(base) + seconds*1e9
	switch {
	case ns >= math.MaxInt64/2:
		return never
	case ns <= 0:
		return 0
	}
	// Added apart: float64 has 53 bits, which a long uptime in ns can use up.
	return base + int64(seconds*1e9)
}
