package loop

import "testing"

// TestALoopThatMayNotReadDoesNotPoll, not even in a turn that may not wait: epoll
// would tell of what is to be left alone.
func TestALoopThatMayNotReadDoesNotPoll(t *testing.T) {
	l := newTestLoop(t)
	if *ioThreadFlag != "never" {
		t.Skip("the Lua thread does not step the sockets")
	}
	l.starved = true
	for wait, want := range map[int64]Wait{
		0:             {FD: -1},
		1_000_000:     {FD: l.mail.lua.FD(), Milliseconds: 1},
		1_000_000_000: {FD: l.mail.lua.FD(), Milliseconds: starvedLook},
		-1:            {FD: l.mail.lua.FD(), Milliseconds: starvedLook},
	} {
		w, _ := l.Begin(nil, wait)
		if w != want {
			t.Errorf("with %d ns at most it waits for %+v instead of %+v", wait, w, want)
		}
		if _, err := l.End(nil, nil); err != nil {
			t.Fatal(err)
		}
	}
}
