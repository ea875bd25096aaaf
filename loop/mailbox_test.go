package loop

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"net.server_go/bell"
)

func turnOf(log string, handles ...Handle) turn {
	var t turn
	for _, h := range handles {
		t.settled = append(t.settled, Event{Kind: Data, Handle: h})
	}
	if log != "" {
		t.log = []byte(log)
	}
	return t
}

func handlesOf(events []Event) (handles []Handle) {
	for _, ev := range events {
		handles = append(handles, ev.Handle)
	}
	return handles
}

func newTestMailbox(t *testing.T) *mailbox {
	t.Helper()
	lua, err := bell.NewPollBell()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lua.Close)
	return &mailbox{lua: lua}
}

func eventsOf(handles ...Handle) []Event { return turnOf("", handles...).settled }

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestTurnsAreTakenInOrderAndOnce(t *testing.T) {
	m := newTestMailbox(t)
	var used []turn
	for range 3 {
		m.leaveTurn(turnOf("one", 1))
		m.leaveTurn(turnOf("two"))
		m.leaveTurn(turnOf("", 3, 4))
		if m.isEmpty() {
			t.Error("empty with three turns in it")
		}
		turns, posted := m.takeTurns(used)
		if len(turns) != 3 || len(posted) != 0 {
			t.Fatalf("%d turns, %d functions; want 3, 0", len(turns), len(posted))
		}
		for i, log := range []string{"one", "two", ""} {
			wantEqual(t, "log", string(turns[i].log), log)
		}
		wantEqual(t, "settled", handlesOf(turns[0].settled), []Handle{1})
		wantEqual(t, "settled", handlesOf(turns[2].settled), []Handle{3, 4})
		m.giveBack(turns)
		if used = turns; !m.isEmpty() {
			t.Error("not empty after all was taken")
		}
	}
	if turns, _ := m.takeTurns(used); len(turns) != 0 {
		t.Errorf("%d turns are taken twice", len(turns))
	}
}

// TestTurnsLeftMeanwhileAreOthers: what was taken stays as it is while the
// Lua thread leaves more.
func TestTurnsLeftMeanwhileAreOthers(t *testing.T) {
	m := newTestMailbox(t)
	m.leaveTurn(turnOf("one"))
	first, _ := m.takeTurns(nil)
	m.leaveTurn(turnOf("two"))
	second, _ := m.takeTurns(nil)
	m.leaveTurn(turnOf("three"))
	wantEqual(t, "first", string(first[0].log), "one")
	wantEqual(t, "second", string(second[0].log), "two")
}

// TestTurnOfNothingIsNone, so that it wakes nobody; its log comes back.
func TestTurnOfNothingIsNone(t *testing.T) {
	m := newTestMailbox(t)
	empty := make([]byte, 0, 10)
	_, spent := m.leaveTurn(turn{log: empty})
	if cap(spent) != 10 || !m.isEmpty() {
		t.Errorf("returned memory of %d bytes, empty: %v; want 10, true", cap(spent), m.isEmpty())
	}
	_, spent = m.leaveTurn(turn{log: empty, settled: eventsOf(1)})
	if turns, _ := m.takeTurns(nil); len(turns) != 1 || turns[0].log != nil || cap(spent) != 10 {
		t.Errorf("%d turns, returned memory of %d bytes; want one without a log, 10", len(turns), cap(spent))
	}
}

func TestSpentLogsAreReturnedOnceEach(t *testing.T) {
	m := newTestMailbox(t)
	logs := map[*byte]bool{}
	for i := range 3 {
		log := []byte{byte(i)}
		logs[&log[0]] = true
		if _, spent := m.leaveTurn(turn{log: log}); spent != nil {
			t.Error("a log is returned that nobody has given back")
		}
	}
	turns, _ := m.takeTurns(nil)
	if _, spent := m.leaveTurn(turnOf("x")); spent != nil {
		t.Error("a log is returned that is being read")
	}
	m.giveBack(turns)
	for range 3 {
		_, spent := m.leaveTurn(turnOf("x"))
		if len(spent) != 0 || cap(spent) == 0 || !logs[&spent[:1][0]] {
			t.Fatalf("returned %v of %d bytes, want one of the three, empty", spent, cap(spent))
		}
		delete(logs, &spent[:1][0])
	}
	if _, spent := m.leaveTurn(turnOf("x")); spent != nil {
		t.Error("a log is returned twice")
	}
}

// TestEveryLogIsLeftAtTheEnd: C frees them all.
func TestEveryLogIsLeftAtTheEnd(t *testing.T) {
	m := newTestMailbox(t)
	m.leaveTurn(turnOf("spent"))
	turns, _ := m.takeTurns(nil)
	m.giveBack(turns)
	m.leaveTurn(turn{settled: eventsOf(1)})
	m.mu.Lock() // takes none back, so that one is spent and one is not read
	m.turns = append(m.turns, turnOf("unread"))
	m.mu.Unlock()
	found := map[string]bool{}
	for _, log := range m.logs() {
		if cap(log) > 0 {
			found[string(log[:cap(log)][:2])] = true
		}
	}
	wantEqual(t, "logs", found, map[string]bool{"sp": true, "un": true})
}

func TestEventsAreTakenInOrderAndOnce(t *testing.T) {
	m := newTestMailbox(t)
	coming := eventsOf(1, 2)
	for range 3 {
		var waiting int
		if coming, waiting = m.leaveEvents(coming, nil); len(coming) != 0 || waiting != 2 {
			t.Errorf("%d events in what is to be empty, %d wait; want 0, 2", len(coming), waiting)
		}
		if coming, waiting = m.leaveEvents(append(coming, eventsOf(3)...), nil); len(coming) != 0 || waiting != 3 {
			t.Errorf("%d events in what is to be empty, %d wait; want 0, 3", len(coming), waiting)
		}
		if !m.hasEvents() {
			t.Error("no events where there are three")
		}
		events, err := m.takeEvents()
		wantEqual(t, "events", handlesOf(events), []Handle{1, 2, 3})
		if err != nil || m.hasEvents() {
			t.Errorf("%v, more events: %v; want none", err, m.hasEvents())
		}
		coming = append(coming, eventsOf(1, 2)...)
		wantEqual(t, "the events taken, when more come", handlesOf(events), []Handle{1, 2, 3})
		m.leaveTurn(turn{settled: events})
		turns, _ := m.takeTurns(nil)
		m.giveBack(turns)
	}
}

// TestErrorsAreToldWhenThereAreNoEvents: events must not be lost for one.
func TestErrorsAreToldWhenThereAreNoEvents(t *testing.T) {
	m := newTestMailbox(t)
	broken := errors.New("broken")
	m.leaveEvents(eventsOf(1), broken)
	if events, err := m.takeEvents(); len(events) != 1 || err != nil {
		t.Errorf("%d events, %v; want 1, no error", len(events), err)
	}
	m.leaveEvents(nil, broken)
	if !m.hasEvents() {
		t.Error("an error is nothing to be taken")
	}
	if events, err := m.takeEvents(); len(events) != 0 || err != broken {
		t.Errorf("%d events, %v; want none, the error", len(events), err)
	}
	if _, err := m.takeEvents(); err != nil {
		t.Errorf("the error is told twice")
	}
}

func TestEventsRingTheLuaThread(t *testing.T) {
	m := newTestMailbox(t)
	m.lua.Arm()
	if m.leaveEvents(nil, nil); !m.lua.Asleep() {
		t.Error("woken for nothing")
	}
	if m.leaveEvents(eventsOf(1), nil); m.lua.Asleep() {
		t.Error("not woken for an event")
	}
	m.lua.Arm()
	if m.leaveEvents(nil, errors.New("broken")); m.lua.Asleep() {
		t.Error("not woken for an error")
	}
	m.lua.Disarm()
}

func TestPostedFunctionsAreTakenOnceInOrder(t *testing.T) {
	for name, take := range map[string]func(*mailbox) []func(){
		"with the turns": func(m *mailbox) []func() { _, posted := m.takeTurns(nil); return posted },
		"alone":          (*mailbox).takePosted,
	} {
		m := newTestMailbox(t)
		var called []int
		for i := range 3 {
			m.post(func() { called = append(called, i) })
		}
		if m.isEmpty() {
			t.Errorf("%s: empty with three functions in it", name)
		}
		for _, f := range take(m) {
			f()
		}
		wantEqual(t, name, called, []int{0, 1, 2})
		if n := len(take(m)); n != 0 || !m.isEmpty() {
			t.Errorf("%s: %d functions are taken twice", name, n)
		}
	}
}

// TestMailOfTwoThreads passes numbers through both ways, with the memory
// going round.
func TestMailOfTwoThreads(t *testing.T) {
	const last = 2000
	m := newTestMailbox(t)
	var both sync.WaitGroup
	both.Go(func() { // steps the sockets: each number in a log becomes an event
		var used []turn
		var coming []Event
		for n := Handle(0); n < last; {
			turns, _ := m.takeTurns(used)
			for _, turn := range turns {
				for _, b := range turn.log {
					if n++; byte(n) != b {
						t.Errorf("log has %d, want %d", b, byte(n))
					}
					coming = append(coming, Event{Handle: n})
				}
			}
			m.giveBack(turns)
			used = turns
			coming, _ = m.leaveEvents(coming, nil)
			time.Sleep(time.Microsecond)
		}
	})
	both.Go(func() { // Lua
		var log []byte
		var batch []Event
		sent := Handle(0)
		for n := Handle(0); n < last; {
			for range min(3, last-sent) {
				sent++
				log = append(log, byte(sent))
			}
			_, log = m.leaveTurn(turn{batch, log})
			batch, _ = m.takeEvents()
			for _, ev := range batch {
				if n++; ev.Handle != n {
					t.Errorf("event %d, want %d", ev.Handle, n)
				}
			}
			time.Sleep(time.Microsecond)
		}
	})
	both.Wait()
}
