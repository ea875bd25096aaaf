package loop

import "net.server_go/bell"

// mailbox is where the two sides meet. The Lua thread leaves turns and takes
// events; who runs the loop takes turns and leaves events; any goroutine may post
// a function.
type mailbox struct {
	mu     bell.Lock
	turns  []turn
	posted []func()
	events []Event
	err    error
	// What has been dealt with and can be used again.
	spentLogs   [][]byte
	spentEvents []Event

	lua    *bell.PollBell // the Lua thread sleeps on it
	driver bell.Bell      // who runs the loop does, when it may not look at its sockets
}

// turn is what the Lua side did since the turn before: it is done with the
// events of a batch, and wrote a log of commands meanwhile.
type turn struct {
	settled []Event
	log     []byte
}

// leaveTurn hands t over, if there is anything in it, and returns a log that is no
// longer needed, or nil.
func (m *mailbox) leaveTurn(t turn) (left bool, spent []byte) {
	if len(t.log) == 0 {
		spent, t.log = t.log, nil
		if len(t.settled) == 0 {
			return false, spent
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turns = append(m.turns, t)
	if n := len(m.spentLogs); t.log != nil && n > 0 {
		spent, m.spentLogs = m.spentLogs[n-1], m.spentLogs[:n-1]
	}
	return true, spent
}

// takeTurns returns the turns that were left, in order, and the functions
// that were posted. used is what it returned before.
func (m *mailbox) takeTurns(used []turn) (turns []turn, posted []func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	turns, posted = m.turns, m.posted
	m.turns, m.posted = used[:0], nil
	return turns, posted
}

// giveBack takes what turns were made of, to be used again.
func (m *mailbox) giveBack(turns []turn) {
	if len(turns) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range turns {
		if t.log != nil {
			m.spentLogs = append(m.spentLogs, t.log[:0])
		}
		clear(t.settled)
		if cap(t.settled) > cap(m.spentEvents) {
			m.spentEvents = t.settled[:0]
		}
	}
	clear(turns)
}

func (m *mailbox) post(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.posted = append(m.posted, f)
}

// isEmpty reports whether nothing waits for who runs the loop.
func (m *mailbox) isEmpty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.turns) == 0 && len(m.posted) == 0
}

// takePosted returns the functions that were posted.
func (m *mailbox) takePosted() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	posted := m.posted
	m.posted = nil
	return posted
}

// logs returns every log that is left.
func (m *mailbox) logs() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	logs := m.spentLogs
	for _, t := range m.turns {
		logs = append(logs, t.log)
	}
	return logs
}

// leaveEvents hands events over. It returns an empty slice for the next, and
// how many wait to be taken.
func (m *mailbox) leaveEvents(events []Event, err error) (empty []Event, waiting int) {
	if len(events) == 0 && err == nil {
		return events, 0
	}
	m.mu.Lock()
	m.err = err
	if len(m.events) == 0 {
		m.events, events = events, m.events
	} else {
		m.events = append(m.events, events...)
		clear(events)
	}
	waiting = len(m.events)
	m.mu.Unlock()
	m.lua.Ring()
	return events[:0], waiting
}

// takeEvents returns what there is for the Lua side.
func (m *mailbox) takeEvents() (events []Event, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	events, err = m.events, m.err
	m.events, m.spentEvents, m.err = m.spentEvents, nil, nil
	if len(events) > 0 {
		err = nil // it will come again, when nothing else is to be told
	}
	return events, err
}

// hasEvents reports whether something waits for the Lua side.
func (m *mailbox) hasEvents() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.events) > 0 || m.err != nil
}
