package loop

import (
	"bytes"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// names returns what re finds in the part of file between two texts, in a
// form that C and Go have in common.
func names(t *testing.T, file, from, to string, re string) []string {
	t.Helper()
	b := must(os.ReadFile(file))(t)
	_, text, ok := strings.Cut(string(b), from)
	if text, _, _ = strings.Cut(text, to); !ok {
		t.Fatalf("%s has no %q", file, from)
	}
	var found []string
	for _, m := range regexp.MustCompile(re).FindAllStringSubmatch(text, -1) {
		found = append(found, strings.ToLower(strings.ReplaceAll(m[1], "_", "")))
	}
	return found
}

// TestNumbersAreThoseOfTheHeader compares the order of the constants here
// with the enumerations that C is compiled with.
func TestNumbersAreThoseOfTheHeader(t *testing.T) {
	const header = "../include/server_go.h"
	commands := names(t, "command.go", "const (\n", "\n)", `(?m)^\tcmd(\w+)`)
	if want := names(t, header, "enum sgo_command_kind {", "}", `SGO_(\w+)`); !slices.Equal(commands, want) {
		t.Errorf("commands in Go: %v\nin the header:  %v", commands, want)
	}
	events := names(t, "event.go", "const (\n", "\n)", `(?m)^\t([A-Z]\w+)`)
	if want := names(t, header, "enum sgo_event_kind {", "}", `SGO_(\w+)`); !slices.Equal(events, want) {
		t.Errorf("events in Go:  %v\nin the header: %v", events, want)
	}
	if cmdWrite != 1 || cmdPause != 2 || Accepted != 1 || AcceptFailed != 2 {
		t.Error("the numbers do not count up from 1")
	}
}

func TestRecordsArePadded(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	want := ""
	for n := range 20 {
		l.put(h, pattern(n))
		want += pattern(n)
	}
	l.await(Drained, h)
	if got := readFull(t, peer, len(want)); got != want {
		t.Errorf("the peer received %q, want %q", got, want)
	}
}

func TestCommandsForDeadHandlesAreIgnored(t *testing.T) {
	l := newTestLoop(t)
	dead, _, _ := l.pair(unix.SOCK_STREAM, 0)
	l.Release(dead)
	h, _, peer := l.pair(unix.SOCK_STREAM, 0)
	if dead.Index() != h.Index() {
		t.Fatalf("slot %d instead of %d: the test needs a recycled one", h.Index(), dead.Index())
	}
	for _, c := range commandKinds {
		for _, target := range []Handle{dead, 0, 12345, ^Handle(0)} {
			l.num(target, c.kind, 0)
		}
	}
	l.quiet()
	poke(t, peer)
	l.wantData(h, "x")
}

// TestCommandsAfterClosedAreIgnored: Lua keeps a connection after its end.
func TestCommandsAfterClosedAreIgnored(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	l.awaitClosed(h, "closed", true)
	for _, c := range commandKinds {
		if c.kind != cmdRelease {
			l.num(h, c.kind, 0)
			l.num(h, c.kind, 1)
		}
	}
	l.put(h, "late")
	l.quiet()
}

func TestUnfitCommandsAreIgnored(t *testing.T) {
	l := newTestLoop(t)
	server, _ := l.listen(0)
	r, w := pipe(t)
	watched := must(l.Watch(r, 1))(t).Handle
	for _, c := range commandKinds {
		if c.kind != cmdPauseFor && c.kind != cmdRelease {
			l.num(server, c.kind, 0)
		}
		if c.kind != cmdWatchFlags && c.kind != cmdRelease {
			l.num(watched, c.kind, 0)
		}
	}
	l.quiet()
	if _, err := unix.Write(w, []byte("x")); err != nil {
		t.Fatal(err)
	}
	l.await(Ready, watched)
}

// commandKinds are the commands without payload but a number; false: they
// have none.
var commandKinds = []struct {
	kind   uint32
	number bool
}{
	{cmdPause, false}, {cmdResume, false}, {cmdWatchRead, true}, {cmdWatchWrite, true},
	{cmdHoldWrites, false}, {cmdReleaseWrites, false}, {cmdReadMode, true}, {cmdLimit, true},
	{cmdPauseFor, true}, {cmdReadDeadline, true}, {cmdWriteDeadline, true}, {cmdWatchFlags, true},
	{cmdFinish, false}, {cmdRelease, false}, {cmdBlockReads, false}, {99, false},
}

var commandNumbers = []float64{
	0, 1, 2, 3, -1, -2, 0.001, 100, 8192, 1e6, 1e18, -1e18, 1e300,
	math.NaN(), math.Inf(1), math.Inf(-1), math.SmallestNonzeroFloat64,
}

// applier feeds a Loop with what a fuzzer invents and checks what comes back.
type applier struct {
	*testLoop
	handles []Handle
	paused  map[Handle]bool
	closed  map[Handle]bool
	refuses int

	// A stream socket: what went in and came out, in both directions.
	stream                       Handle
	peer                         int
	written, arrived, sent, read []byte
}

func newApplier(t testing.TB) *applier {
	l := newTestLoop(t)
	a := &applier{testLoop: l, paused: map[Handle]bool{}, closed: map[Handle]bool{}}
	a.stream, _, a.peer = l.pair(unix.SOCK_STREAM, 0)
	datagrams, _, _ := l.pair(unix.SOCK_DGRAM, 0)
	server, _ := l.listen(0)
	_, local := l.Names(server)
	r, _ := pipe(t)
	watched := must(l.Watch(r, 3))(t).Handle
	dialled := must(l.Dial("127.0.0.1", local.Port, "", int(ReadLines)))(t).Handle
	a.handles = []Handle{a.stream, a.stream, datagrams, server, watched, dialled, 0, a.stream + 1<<indexBits}
	l.refuse = func(ev Event) bool {
		a.refuses = a.refuses*5 + 1
		refused := a.paused[ev.Handle] || a.refuses%3 == 0
		if !refused && ev.Handle == a.stream {
			a.read = append(a.read, ev.Bytes...)
		}
		return refused
	}
	return a
}

func (a *applier) command(op, target, value byte) {
	h := a.handles[int(target)%len(a.handles)]
	if op < 64 { // most are writes
		data := bytes.Repeat([]byte{target, value, '\n'}, int(value)*int(value)/3)
		if h == a.stream {
			a.written = append(a.written, data...)
		}
		a.log = append(a.log, record(h, cmdWrite, data)...)
		return
	}
	kind := commandKinds[int(op)%len(commandKinds)]
	number := commandNumbers[int(value)%len(commandNumbers)]
	switch kind.kind {
	case cmdPause, cmdBlockReads:
		a.paused[h] = true
	case cmdResume:
		a.paused[h] = false
	case cmdWatchRead:
		a.paused[h] = number == 0
	}
	if kind.number {
		a.num(h, kind.kind, number)
	} else {
		a.cmd(h, kind.kind)
	}
}

func (a *applier) stepAndCheck() {
	a.t.Helper()
	for _, ev := range a.step(0) {
		if a.closed[ev.Handle] {
			a.t.Fatalf("event of kind %d after Closed", ev.Kind)
		}
		switch ev.Kind {
		case Closed:
			a.closed[ev.Handle] = true
		case Accepted:
			a.handles = append(a.handles, ev.Handle)
		case Data:
			if a.paused[ev.Handle] {
				a.t.Fatalf("a paused connection delivered %q", ev.Bytes)
			}
		}
	}
	a.events = nil
	buffer := make([]byte, 1<<16)
	for n := 1; n > 0; {
		n, _ = unix.Read(a.peer, buffer) // would block, mostly
		a.arrived = append(a.arrived, buffer[:max(n, 0)]...)
	}
	if !bytes.HasPrefix(a.written, a.arrived) {
		a.t.Fatalf("%d bytes arrived that are no beginning of the %d written", len(a.arrived), len(a.written))
	}
	// The line mode takes out these.
	clean := func(b []byte) string { return strings.NewReplacer("\r", "", "\n", "").Replace(string(b)) }
	if !strings.HasPrefix(clean(a.sent), clean(a.read)) {
		a.t.Fatalf("%d bytes were delivered that are no beginning of the %d received", len(a.read), len(a.sent))
	}
}

func (a *applier) peerSends(value byte) {
	data := []byte(pattern(int(value)*int(value) + 1))
	n, err := unix.Write(a.peer, data)
	if err == nil {
		a.sent = append(a.sent, data[:n]...)
	}
}

// FuzzApply has the Loop execute any commands, in any order, on connections
// that live: it never panics, loses no order, delivers nothing while paused
// and nothing after Closed.
func FuzzApply(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x10\x00\x00\xff\xf0\x00\x00\xf8\x00\x20\xf0\x00\x00"))
	for kind := range commandKinds {
		var all []byte
		for target := range byte(9) {
			all = append(all, byte(75+kind), target, target*3, 0, target, 40, 0xf0, 0, 0, 0xf8, 0, 50, 0xf0, 0, 0)
		}
		f.Add(all)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		a := newApplier(t)
		for ; len(ops) >= 3; ops = ops[3:] {
			switch op := ops[0]; {
			case op < 0xf0:
				a.command(op, ops[1], ops[2])
			case op < 0xf8:
				a.stepAndCheck()
			case op == 0xf8, op == 0xf9:
				a.peerSends(ops[2])
			case op == 0xfa:
				a.advance(float64(ops[2]))
			case op == 0xfb:
				_ = unix.Shutdown(a.peer, int(ops[2])%3) // it may have been already
			default:
				log := a.log
				a.log = nil
				a.Flush(log)
			}
		}
		a.stepAndCheck()
		a.stepAndCheck()
	})
}
