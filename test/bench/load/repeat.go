package main

import (
	"sync"
	"sync/atomic"
)

// repeat has each client do the same again and again, and says how often it was done in the time that counts, which
// begins with a call of started.
func repeat(o options, once func(client int) error, started func()) (int64, spent, error) {
	var count atomic.Int64
	var stop atomic.Bool
	failed := make(chan error, o.conns)
	var clients sync.WaitGroup
	for client := range o.conns {
		clients.Go(func() {
			for !stop.Load() {
				if err := once(client); err != nil {
					failed <- err
					return
				}
				count.Add(1)
			}
		})
	}
	defer clients.Wait()
	defer stop.Store(true)

	if err := waitOrFail(o.warm, failed); err != nil {
		return 0, spent{}, err
	}
	started()
	before, err := usageOf(o.pid)
	if err != nil {
		return 0, spent{}, err
	}
	first := count.Load()
	if err := waitOrFail(o.duration, failed); err != nil {
		return 0, spent{}, err
	}
	done := count.Load() - first
	after, err := usageOf(o.pid)
	return done, after.since(before), err
}
