package main

import "log"

type waveResult struct {
	spent
	AllSeconds float64 `json:"all_seconds"`
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	Failed     int     `json:"failed"`
}

// wave logs many clients in, all at once or o.atOnce at the same time. They then stay.
func wave(o options) (any, error) {
	atOnce := o.atOnce
	if atOnce == 0 {
		atOnce = o.conns
	}
	before, err := usageOf(o.pid)
	if err != nil {
		return nil, err
	}
	g, err := gather(o, atOnce)
	if err != nil {
		return nil, err
	}
	if g.failure != nil {
		log.Printf("wave: %d failed, one because: %v", o.conns-g.in, g.failure)
	}
	after, err := usageOf(o.pid)
	return waveResult{after.since(before), g.took.Seconds(), g.times.percentile(50), g.times.percentile(99), o.conns - g.in}, err
}
