package main

import (
	"math"
	"slices"
	"time"
)

// latencies collects round trips, if anybody wants to know them: a look at the clock is not free.
type latencies struct {
	wanted bool
	all    []time.Duration
}

func newLatencies(conns int) *latencies { return &latencies{wanted: conns == 1} }

func (l *latencies) now() time.Time {
	if !l.wanted {
		return time.Time{}
	}
	return time.Now()
}

func (l *latencies) add(since time.Time) {
	if l.wanted {
		l.all = append(l.all, time.Since(since))
	}
}

func (l *latencies) reset() { l.all = l.all[:0] }

// percentile is in microseconds; 0 if there is none.
func (l *latencies) percentile(p float64) float64 {
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	rank := int(math.Ceil(p / 100 * float64(len(l.all))))
	return float64(l.all[max(rank, 1)-1]) / float64(time.Microsecond)
}
