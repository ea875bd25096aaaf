package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A usage is the CPU time that the server has used by now.
type usage struct {
	at      time.Time
	lua     time.Duration // of its main thread, which is the one that runs Lua
	process time.Duration
}

// A spent is what the server used between two moments.
type spent struct {
	Seconds        float64 `json:"seconds"`
	LuaSeconds     float64 `json:"lua_seconds"`
	ProcessSeconds float64 `json:"process_seconds"`
}

func usageOf(pid int) (usage, error) {
	now := usage{at: time.Now()}
	if pid == 0 {
		return now, nil
	}
	path := fmt.Sprintf("/proc/%d/task/%d/schedstat", pid, pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return now, err
	}
	if _, err := fmt.Sscan(string(text), &now.lua); err != nil {
		return now, fmt.Errorf("%s: %w", path, err)
	}
	// clock_getcpuclockid's number. Threads that have ended are in it, other than in /proc/PID/task.
	const schedulerClock = 2
	var process unix.Timespec
	if err := unix.ClockGettime(^int32(pid)<<3|schedulerClock, &process); err != nil {
		return now, os.NewSyscallError("clock_gettime", err)
	}
	now.process = time.Duration(process.Nano())
	return now, nil
}

func (u usage) since(before usage) spent {
	return spent{
		Seconds:        u.at.Sub(before.at).Seconds(),
		LuaSeconds:     (u.lua - before.lua).Seconds(),
		ProcessSeconds: (u.process - before.process).Seconds(),
	}
}
