package main

/*
#include <stdlib.h>
#include "server_go.h"
*/
import "C"

import (
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"net.server_go/loop"
)

var goVersion = C.CString(runtime.Version())

//export sgo_go_version
func sgo_go_version() *C.char { return goVersion }

//export sgo_stats
func sgo_stats(io C.uint32_t, out *C.struct_sgo_stats, failures *C.struct_sgo_text) {
	*out = C.struct_sgo_stats{}
	with(io, nil, func(s *side) error {
		stats := s.loop.Stats()
		setStats(out, &stats)
		setText(failures, failureText(stats.Failures))
		return nil
	})
}

func setStats(out *C.struct_sgo_stats, s *loop.Stats) {
	for k := range loop.Kinds {
		out.opened[k], out.closed[k] = C.uint64_t(s.Opened[k]), C.uint64_t(s.Closed[k])
	}
	for limit := range loop.Limits {
		out.refused[limit] = C.uint64_t(s.Refused[limit])
	}
	out.received, out.sent = C.uint64_t(s.Received), C.uint64_t(s.Sent)
	out.unsent, out.undelivered = C.uint64_t(s.Unsent), C.uint64_t(s.Undelivered)
	out.buffered, out.buffers_full = C.uint64_t(s.Buffered), C.uint64_t(s.BuffersFull)
	out.accept_errors, out.events = C.uint64_t(s.AcceptErrors), C.uint64_t(s.Events)
	out.client_handshakes, out.server_handshakes = C.uint64_t(s.ClientHandshakes), C.uint64_t(s.ServerHandshakes)
	out.running_handshakes = C.uint64_t(s.Running)
	out.goroutines, out.threads = C.uint64_t(s.Goroutines), C.uint64_t(s.Threads)
	out.stalls = C.uint64_t(s.Stalls)
	for r := range loop.Reasons {
		out.changes[r] = C.uint64_t(s.Changes[r])
	}
	out.threaded, out.reason, out.thread_time = cBool(s.Threaded), C.uint8_t(s.Reason), C.uint64_t(s.ThreadTime)
}

func failureText(failures map[string]uint64) []byte {
	var b []byte
	for _, reason := range slices.Sorted(maps.Keys(failures)) {
		b = strconv.AppendUint(b, failures[reason], 10)
		b = append(b, '\t')
		b = append(b, strings.ReplaceAll(reason, "\n", " ")...)
		b = append(b, '\n')
	}
	return b
}
