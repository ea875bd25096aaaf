package main

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"net.server_go/loop"
)

// A test file may not use cgo; these are the names that it has for C's types.
type (
	cIO       = _Ctype_uint32_t
	cBuffer   = _Ctype_struct_sgo_buffer
	cError    = _Ctype_struct_sgo_error
	cEvent    = _Ctype_struct_sgo_event
	cObject   = _Ctype_struct_sgo_object
	cTurn     = _Ctype_struct_sgo_turn
	cEpoll    = _Ctype_struct_epoll_event
	cNames    = _Ctype_struct_sgo_names
	cSettings = _Ctype_struct_sgo_settings
	cChar     = _Ctype_char
	cSize     = _Ctype_size_t
	cInt      = _Ctype_int
	cHandle   = _Ctype_uint64_t
	cState    = _Ctype_lua_State
)

const patience = time.Minute

// chars is text as C passes it: where it is, and how long.
func chars(text string) (*cChar, cSize) {
	return (*cChar)(unsafe.Pointer(unsafe.StringData(text))), cSize(len(text))
}

// text is the string at the beginning of a C array.
func text(array []cChar) string {
	s, _, _ := strings.Cut(string(goBytes(&array[0], cSize(len(array)))), "\x00")
	return s
}

func countSides() (n int) {
	sides.Range(func(any, any) bool { n++; return true })
	return n
}

// testIO does what the C side does with one I/O side.
type testIO struct {
	t      *testing.T
	number cIO
	side   *side
}

// newIO opens an I/O side, which the end of the test closes. Nothing may be
// left of it then.
func newIO(t *testing.T) testIO {
	t.Helper()
	before := countSides()
	var e cError
	number := sgo_open(&e)
	if number == 0 {
		t.Fatal(text(e.text[:]))
	}
	t.Cleanup(func() {
		sgo_close(number)
		if n := countSides(); n != before {
			t.Errorf("%d sides at the end, %d at the start", n, before)
		}
	})
	s, ok := sides.Load(uint32(number))
	if !ok {
		t.Fatalf("no side has the number %d", number)
	}
	settings := loop.DefaultSettings()
	settings.IOThread = loop.IOThreadNever // what is in one batch is to be the test's choice
	s.(*side).loop.Configure(settings)
	return testIO{t, number, s.(*side)}
}

// cLog is a log as C leaves it: in memory of malloc.
func cLog(commands string) cBuffer {
	n := len(commands)
	p := _Cfunc__CMalloc(cSize(n + 1)) // +1: never 0
	copy(unsafe.Slice((*byte)(p), n), commands)
	return cBuffer{data: (*cChar)(p), used: cSize(n), size: cSize(n + 1)}
}

// start sends SGO_START.
func (io testIO) start(handle cHandle) {
	record := binary.NativeEndian.AppendUint64(nil, uint64(handle))
	record = binary.NativeEndian.AppendUint32(record, 19)
	io.side.loop.Flush(binary.NativeEndian.AppendUint32(record, 0))
}

// step returns the batch in the memory of C.
func (io testIO) step(commands string) []cEvent {
	io.t.Helper()
	var events *cEvent
	var e cError
	log := cLog(commands)
	ready := make([]unix.EpollEvent, 256)
	turn := cTurn{commands: &log, ready: (*cEpoll)(unsafe.Pointer(&ready[0])), max_wait: 50_000_000}
	n := sgo_step(io.number, &turn, &events, &e)
	if n == 0 && turn.wait.fd >= 0 {
		count, err := unix.EpollWait(int(turn.wait.fd), ready, 50)
		turn.nready, turn.waited = cInt(max(count, 0)), 1
		if err != nil && err != unix.EINTR {
			io.t.Fatal(err)
		}
		n = sgo_step(io.number, &turn, &events, &e)
	}
	if n < 0 {
		io.t.Fatalf("sgo_step: %s", text(e.text[:]))
	}
	return unsafe.Slice(events, n)
}

// await steps until n events of this kind have come.
func (io testIO) await(kind loop.EventKind, n int) []cEvent {
	io.t.Helper()
	var found []cEvent
	for start := time.Now(); len(found) < n; {
		for _, ev := range io.step("") {
			if loop.EventKind(ev.kind) == kind {
				found = append(found, ev)
			}
		}
		if time.Since(start) > patience {
			io.t.Fatalf("%d events of kind %d, want %d", len(found), kind, n)
		}
	}
	return found
}

// watch watches a new pipe that is ready from the start.
func (io testIO) watch() cHandle {
	io.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		io.t.Fatal(err)
	}
	io.t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	if _, err := w.WriteString("x"); err != nil {
		io.t.Fatal(err)
	}
	var o cObject
	var e cError
	if sgo_watch(io.number, cInt(r.Fd()), 1, &o, &e) < 0 {
		io.t.Fatal(text(e.text[:]))
	}
	return o.handle
}

func TestWith(t *testing.T) {
	io := newIO(t)
	var nobody *side
	for _, c := range []struct {
		name string
		f    func(*side) error
		want string
	}{
		{"success", func(*side) error { return nil }, ""},
		{"error", func(*side) error { return errors.New("some error") }, "some error"},
		{"panic", func(*side) error { panic("some panic") }, "internal error: some panic"},
		{"index", func(s *side) error { s.loop.Refuse(5); return nil }, "internal error: runtime error: index out of range [5] with length 0"},
		{"nil", func(*side) error { nobody.capacity++; return nil }, "internal error: runtime error: invalid memory address or nil pointer dereference"},
		{"long text", func(*side) error { return errors.New(strings.Repeat("x", 1000)) }, strings.Repeat("x", 255)},
	} {
		var e cError
		for i := range e.text {
			e.text[i] = 'g' // garbage of the stack
		}
		status := with(io.number, &e, c.f)
		if c.want == "" {
			if status != 0 {
				t.Errorf("%s: status %d, %q", c.name, status, text(e.text[:]))
			}
		} else if status != -1 || text(e.text[:]) != c.want {
			t.Errorf("%s: status %d, %q; want -1, %q", c.name, status, text(e.text[:]), c.want)
		}
		if status := with(io.number, nil, c.f); (status == 0) != (c.want == "") {
			t.Errorf("%s, with no place for the text: status %d", c.name, status)
		}
	}
}

// TestDeadNumbers: Lua objects outlive their I/O side.
func TestDeadNumbers(t *testing.T) {
	io := newIO(t)
	sgo_close(io.number)
	for _, number := range []cIO{io.number, 0, 1 << 31} {
		var e cError
		var o cObject
		var events *cEvent
		turn := cTurn{commands: &cBuffer{}}
		host, length := chars("127.0.0.1")
		for name, status := range map[string]cInt{
			"step":      sgo_step(number, &turn, &events, &e),
			"listen":    sgo_listen(number, host, length, 0, 0, &o, &e),
			"serve":     sgo_serve(number, 0, 0, &o, &e),
			"dial":      sgo_dial(number, host, length, 1, nil, 0, 0, &o, &e),
			"adopt":     sgo_adopt(number, 0, 0, &o, &e),
			"watch":     sgo_watch(number, 0, 1, &o, &e),
			"setoption": sgo_setoption(number, 1, host, length, 1, &e),
		} {
			if status != -1 {
				t.Errorf("%s: status %d, want -1", name, status)
			}
		}
		if got := text(e.text[:]); got != "the backend is closed" {
			t.Errorf("error %q", got)
		}
		names := cNames{}
		names.peer.known = 1
		sgo_names(number, 1, &names)
		if names.peer.known != 0 || sgo_sent(number, 1) != 0 {
			t.Error("a dead number has objects")
		}
		var stats cStats
		var failures cText
		stats.events = 1
		if sgo_stats(number, &stats, &failures); stats.events != 0 || failures.data != nil {
			t.Error("a dead number has statistics")
		}
		sgo_flush(number, nil, 0)
		sgo_release(number, 1)
		sgo_close(number)
	}
}

func TestObjects(t *testing.T) {
	io := newIO(t)
	var e cError
	var server, client cObject
	host, length := chars("127.0.0.1")
	if sgo_listen(io.number, host, length, 0, 0, &server, &e) < 0 {
		t.Fatal(text(e.text[:]))
	}
	var bound cNames
	sgo_names(io.number, server.handle, &bound)
	if got := text(bound.local.host[:]); got != "127.0.0.1" || bound.local.known != 1 || bound.local.port == 0 || bound.peer.known != 0 {
		t.Errorf("the server is %q %+v", got, bound.local)
	}
	kind, kindLength := chars("tcp4")
	if sgo_dial(io.number, host, length, bound.local.port, kind, kindLength, 0, &client, &e) < 0 {
		t.Fatal(text(e.text[:]))
	}
	accepted := io.await(loop.Accepted, 1)[0]
	if accepted.listener != server.handle || accepted.fd < 0 {
		t.Errorf("%+v", accepted)
	}
	if n := io.side.loop.Len(); n != 3 {
		t.Errorf("%d handles, want 3", n)
	}
	for name, want := range map[string]cInt{"keepalive": 0, "no-such": -1} {
		p, n := chars(name)
		if status := sgo_setoption(io.number, client.handle, p, n, 1, &e); status != want {
			t.Errorf("setoption %s: status %d, want %d", name, status, want)
		}
	}
	for _, h := range []cHandle{client.handle, accepted.handle, server.handle} {
		sgo_release(io.number, h)
		sgo_release(io.number, h)
	}
	if n := io.side.loop.Len(); n != 0 {
		t.Errorf("%d handles, want 0", n)
	}
	if status := sgo_adopt(io.number, -1, 0, &client, &e); status != -1 || text(e.text[:]) != "invalid fd" {
		t.Errorf("adopt of nothing: status %d, %q", status, text(e.text[:]))
	}
	if sgo_watch(io.number, -1, 1, &client, &e) != -1 || client.handle == 0 {
		t.Error("a watch of what cannot be polled has no handle")
	}
}

func TestServeAndAdopt(t *testing.T) {
	io := newIO(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	var e cError
	var o cObject
	if sgo_serve(io.number, cInt(file.Fd()), 0, &o, &e) < 0 {
		t.Fatal(text(e.text[:]))
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.start(io.await(loop.Accepted, 1)[0].handle)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	closed := io.await(loop.Closed, 1)[0]
	if got := string(goBytes(closed.bytes, closed.length)); got != "closed" || closed.flag != 1 {
		t.Errorf("closed for %q, by peer %d", got, closed.flag)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) })
	if sgo_adopt(io.number, cInt(fds[0]), 0, &o, &e) < 0 || o.datagram != 1 || int(o.fd) == fds[0] {
		t.Errorf("adopted: %+v, %s", o, text(e.text[:]))
	}
}

// TestBatchGrows has batches of many sizes: C's copy of them grows, and keeps
// nothing of the one before.
func TestBatchGrows(t *testing.T) {
	io := newIO(t)
	var handles []cHandle
	for n := 1; n <= 40; n++ {
		handles = append(handles, io.watch())
		var got []cHandle
		for _, ev := range io.step("") {
			if loop.EventKind(ev.kind) != loop.Ready || ev.value != 1 || ev.refused != 0 {
				t.Fatalf("%+v", ev)
			}
			got = append(got, ev.handle)
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(handles)); !slices.Equal(got, want) {
			t.Fatalf("events for %v, want %v", got, want)
		}
	}
	for n := len(handles); n > 0; n-- {
		if got := len(io.step("")); got != n {
			t.Fatalf("%d events, want %d", got, n)
		}
		sgo_release(io.number, handles[n-1])
	}
	if got := io.step(""); len(got) != 0 {
		t.Errorf("%d events of nobody", len(got))
	}
}

// TestRefusalIsForOneBatch is for a mark that C made on the last event of a
// large batch, and that stayed there: when batches were small again, each
// step failed on it.
func TestRefusalIsForOneBatch(t *testing.T) {
	io := newIO(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) })
	var o cObject
	var e cError
	if sgo_adopt(io.number, cInt(fds[0]), 0, &o, &e) < 0 {
		t.Fatal(text(e.text[:]))
	}
	io.start(o.handle)
	io.await(loop.Connected, 1)
	io.step("") // epoll has nothing more to say of it, so it goes behind the watches
	var watches []cHandle
	for range 5 {
		watches = append(watches, io.watch())
	}
	if _, err := unix.Write(fds[1], []byte("data")); err != nil {
		t.Fatal(err)
	}
	isData := func(ev cEvent) bool { return loop.EventKind(ev.kind) == loop.Data }
	batch := io.step("")
	at := slices.IndexFunc(batch, isData)
	if at < len(watches)/2 {
		t.Fatalf("the data is event %d of %d: too early for this test", at, len(batch))
	}
	batch[at].refused = 1
	for _, h := range watches {
		sgo_release(io.number, h)
	}
	data := io.await(loop.Data, 1)[0]
	if got := string(goBytes(data.bytes, data.length)); got != "data" {
		t.Errorf("received %q", got)
	}
	for range 3 {
		if batch := io.step(""); len(batch) != 0 {
			t.Errorf("%d events", len(batch))
		}
	}
}

func TestConfigure(t *testing.T) {
	io := newIO(t)
	L := newLua(t)
	run(t, L, "return {read_timeout = 7, send_timeout = {}, max_send_buffer_size = 9}")
	var out cSettings
	var e cError
	status := sgo_configure(io.number, (*cState)(pointer(L)), cInt(L.GetTop()), &out, &e)
	if status != -1 || !strings.Contains(text(e.text[:]), "send_timeout") {
		t.Errorf("status %d, %q", status, text(e.text[:]))
	}
	if out.max_send_buffer != 9 || out.protect_listeners != 1 || out.shutdown_deadline != 5 {
		t.Errorf("%+v", out)
	}
	run(t, L, "return {}")
	if sgo_configure(io.number, (*cState)(pointer(L)), cInt(L.GetTop()), &out, &e) != 0 {
		t.Errorf("an empty table: %q", text(e.text[:]))
	}
}
