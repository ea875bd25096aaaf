package loop

import (
	"bytes"
	"encoding/binary"
	"flag"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests run with each of these, see test/run.
var ioThreadFlag = flag.String("io-thread", "never", "when there is an I/O thread: never, always, switching")

var ioThreads = map[string]IOThread{"never": IOThreadNever, "always": IOThreadAlways, "switching": IOThreadAuto}

// patience bounds every wait for something that must happen: it costs time
// only when a test fails, and a slow machine needs much of it.
const patience = time.Minute

// testLoop is a Loop with the part of the Lua side: it writes the log of
// commands and takes the events.
type testLoop struct {
	*Loop
	t      testing.TB
	log    []byte
	events []Event // not yet asked for; their bytes are copies
	steps  int
	// refuse says which Data events go back; nil refuses none.
	refuse func(Event) bool
	// starting are the connections whose data belongs to TLS already.
	starting map[Handle]bool
	// released handles: their last events may be on the way.
	released map[Handle]bool
}

func (l *testLoop) Release(h Handle) {
	l.Loop.Release(h)
	l.released[h] = true
}

// newTestLoop returns a Loop that at the end of the test must have left
// nothing: no handle, no alarm, no descriptor.
func newTestLoop(t testing.TB) *testLoop {
	t.Helper()
	before := descriptors(t)
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	tl := &testLoop{Loop: l, t: t, starting: map[Handle]bool{}, released: map[Handle]bool{}}
	tl.Configure(DefaultSettings())
	t.Cleanup(func() {
		tl.holdThread()
		for i := range l.objects.slots {
			if s := &l.objects.slots[i]; s.used {
				l.Release(newHandle(i+1, s.generation))
			}
		}
		if n := l.Len(); n != 0 {
			t.Errorf("%d handles left after Release of all", n)
		}
		if n := len(l.alarms.items); n != 0 {
			t.Errorf("%d alarms left", n)
		}
		l.Close()
		if after := descriptors(t); !slices.Equal(before, after) {
			t.Errorf("descriptors %v at the start, %v at the end", before, after)
		}
	})
	return tl
}

// descriptors lists the open descriptors of the process.
func descriptors(t testing.TB) []int {
	t.Helper()
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	names, err := dir.Readdirnames(-1)
	own := int(dir.Fd())
	if err = cmpError(err, dir.Close()); err != nil {
		t.Fatal(err)
	}
	var fds []int
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd != own {
			fds = append(fds, fd)
		}
	}
	slices.Sort(fds)
	return fds
}

func cmpError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestMain opens what the net package keeps open, before anything is counted.
func TestMain(m *testing.M) {
	if s, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = s.Close() // only to have used it
	}
	os.Exit(m.Run())
}

func record(h Handle, kind uint32, payload []byte) []byte {
	r := binary.NativeEndian.AppendUint64(nil, uint64(h))
	r = binary.NativeEndian.AppendUint32(r, kind)
	r = binary.NativeEndian.AppendUint32(r, uint32(len(payload)))
	r = append(r, payload...)
	return append(r, make([]byte, -len(payload)&7)...)
}

func payloadOf(value float64) []byte {
	return binary.NativeEndian.AppendUint64(nil, math.Float64bits(value))
}

// cmd puts a command in the log of the next step.
func (l *testLoop) cmd(h Handle, kind uint32) { l.log = append(l.log, record(h, kind, nil)...) }

func (l *testLoop) num(h Handle, kind uint32, value float64) {
	l.log = append(l.log, record(h, kind, payloadOf(value))...)
}

func (l *testLoop) put(h Handle, data string) {
	l.log = append(l.log, record(h, cmdWrite, []byte(data))...)
}

// holdThread ends the I/O thread until the next step, so that a test may
// look at what is its own.
func (l *testLoop) holdThread() {
	if l.hasThread() {
		l.retireThread()
	}
}

// inner is the connection h, which nobody steps before the next step.
func (l *testLoop) inner(h Handle) *conn {
	l.holdThread()
	return l.conn(h)
}

// idle waits until the I/O thread has done what it can. One that epoll has
// something for sleeps until the system gives it a processor.
func (l *testLoop) idle() {
	rests := func() bool {
		return l.mail.isEmpty() && (l.mail.driver.Asleep() || l.asleep.Load() && !l.poller.hasReady())
	}
	for start := time.Now(); l.hasThread() && !rests(); time.Sleep(20 * time.Microsecond) {
		if time.Since(start) > patience {
			l.t.Fatal("the I/O thread does not come to rest")
		}
	}
}

// hasReady reports whether epoll_wait would return at once.
func (p *poller) hasReady() bool {
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, 0)
	return n != 0 // EINTR: look again
}

// Configure leaves it to the flag when there is an I/O thread.
func (l *testLoop) Configure(s Settings) {
	s.IOThread = ioThreads[*ioThreadFlag]
	l.Loop.Configure(s)
}

func (l *testLoop) Dial(host string, port int, socketType string, mode int) (Opened, error) {
	opened, err := l.Loop.Dial(host, port, socketType, mode)
	l.cmd(opened.Handle, cmdStart)
	return opened, err
}

func (l *testLoop) Adopt(fd, mode int) (Opened, error) {
	opened, err := l.Loop.Adopt(fd, mode)
	l.cmd(opened.Handle, cmdStart)
	return opened, err
}

// step steps once, waiting for at most wait, and keeps what happened.
func (l *testLoop) step(wait time.Duration) []Event {
	l.t.Helper()
	if *ioThreadFlag == "never" {
		return l.stepOnce(wait)
	}
	taken := l.stepOnce(0)
	if l.idle(); len(taken) == 0 {
		taken = l.stepOnce(wait)
		l.idle()
	}
	return taken
}

func (l *testLoop) stepOnce(wait time.Duration) []Event {
	l.t.Helper()
	log := l.log
	l.log = nil
	if *ioThreadFlag == "switching" {
		l.driver.mode = [...]IOThread{IOThreadNever, IOThreadAlways}[l.steps%5/3]
	}
	batch, spent, err := l.stepFor(log, int64(wait))
	if err != nil {
		l.t.Fatalf("Step: %v", err)
	}
	clear(spent[:cap(spent)]) // must not be needed any more
	l.steps++
	var taken []Event
	for i, ev := range batch {
		if l.released[ev.Handle] {
			continue
		}
		if ev.Kind == Accepted {
			l.cmd(ev.Handle, cmdStart)
		}
		if ev.Kind == Secured {
			delete(l.starting, ev.Handle)
		}
		if ev.Kind == Data && (l.starting[ev.Handle] || l.refuse != nil && l.refuse(ev)) {
			l.Refuse(i)
			continue
		}
		ev.Bytes = bytes.Clone(ev.Bytes)
		taken = append(taken, ev)
	}
	l.events = append(l.events, taken...)
	return taken
}

// stepFor does what C does: it steps, and if there is nothing to tell it waits for
// at most ns, and steps again.
func (l *Loop) stepFor(log []byte, ns int64) (batch []Event, spent []byte, err error) {
	batch, spent, w, err := l.Step(Done{Log: log, MaxWait: ns})
	if len(batch) > 0 || err != nil {
		return batch, spent, err
	}
	var next Done
	if w.FD >= 0 {
		if w.Time < 0 || ns >= 0 && ns < w.Time {
			w.Time = ns
		}
		var ready [BatchEvents]unix.EpollEvent
		n, err := epollWait(w.FD, ready[:], milliseconds(w.Time))
		next = Done{Waited: true, Ready: ready[:max(n, 0)], Err: err}
	}
	batch, _, _, err = l.Step(next)
	return batch, spent, err
}

// await steps until there is an event of this kind, for h unless that is
// zero, and takes it.
func (l *testLoop) await(kind EventKind, h Handle) Event {
	l.t.Helper()
	for start := time.Now(); ; l.step(50 * time.Millisecond) {
		for i, ev := range l.events {
			if ev.Kind == kind && (h == 0 || ev.Handle == h) {
				l.events = slices.Delete(l.events, i, i+1)
				return ev
			}
		}
		if time.Since(start) > patience {
			l.t.Fatalf("no event of kind %d for handle %#x; there are %d: %v ...", kind, uint64(h), len(l.events), l.events[:min(len(l.events), 3)])
		}
	}
}

// awaitStats steps until reached says so.
func (l *testLoop) awaitStats(reached func(Stats) bool) {
	l.t.Helper()
	for start := time.Now(); !reached(l.Stats()); l.step(50 * time.Millisecond) {
		if time.Since(start) > patience {
			l.t.Fatalf("the statistics stay at %+v", l.Stats())
		}
	}
}

// awaitClosed takes the Closed event of h and checks it.
func (l *testLoop) awaitClosed(h Handle, reason string, byPeer bool) {
	l.t.Helper()
	ev := l.await(Closed, h)
	if string(ev.Bytes) != reason || ev.Flag != byPeer {
		l.t.Errorf("closed with reason %q, by peer %v; want %q, %v", ev.Bytes, ev.Flag, reason, byPeer)
	}
	if fd := l.FD(h); fd != -1 {
		l.t.Errorf("descriptor %d after Closed, want -1", fd)
	}
}

// awaitData takes Data events of h until they make n bytes.
func (l *testLoop) awaitData(h Handle, n int) string {
	l.t.Helper()
	var data []byte
	for len(data) < n {
		data = append(data, l.await(Data, h).Bytes...)
	}
	return string(data)
}

func (l *testLoop) wantData(h Handle, want string) {
	l.t.Helper()
	if got := l.awaitData(h, len(want)); got != want {
		l.t.Errorf("received %.80q, want %.80q", got, want)
	}
}

// quiet steps for a while, in which nothing may happen, and fails if epoll
// reports something over and over all the same.
func (l *testLoop) quiet() {
	l.t.Helper()
	const most = 20 // a preemption signal ends a wait early
	start, steps := time.Now(), 0
	for left := 60 * time.Millisecond; left > 0; left = 60*time.Millisecond - time.Since(start) {
		if batch := l.step(left); len(batch) > 0 {
			ev := batch[0]
			l.t.Errorf("event of kind %d for handle %#x (%.80q): nothing was to happen", ev.Kind, uint64(ev.Handle), ev.Bytes)
			break
		}
		if steps++; steps > most {
			l.t.Errorf("more than %d wake-ups in %v without an event", most, time.Since(start))
			break
		}
	}
	l.events = nil
}

// advance sets the clock of the loop forward.
func (l *testLoop) advance(seconds float64) {
	l.holdThread()
	l.started = l.started.Add(-time.Duration(seconds * 1e9))
}

// none fails if there is an event of this kind for h.
func (l *testLoop) none(kind EventKind, h Handle) {
	l.t.Helper()
	for _, ev := range l.events {
		if ev.Kind == kind && ev.Handle == h {
			l.t.Errorf("unwanted event of kind %d: %q", kind, ev.Bytes)
		}
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// listen returns a listener on loopback and its address.
func (l *testLoop) listen(mode int) (Handle, string) {
	l.t.Helper()
	s := must(l.Listen("127.0.0.1", 0, mode))(l.t)
	_, local := l.Names(s.Handle)
	return s.Handle, net.JoinHostPort(local.Host, strconv.Itoa(local.Port))
}

// accept returns a connection that the loop accepted, and its peer.
func (l *testLoop) accept(mode int) (Handle, *net.TCPConn) {
	l.t.Helper()
	server, address := l.listen(mode)
	peer := must(net.DialTimeout("tcp", address, patience))(l.t).(*net.TCPConn)
	l.t.Cleanup(func() { _ = peer.Close() }) // the test may have closed it
	if err := peer.SetDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	ev := l.await(Accepted, 0)
	if ev.Listener != server {
		l.t.Errorf("accepted by %#x, want %#x", uint64(ev.Listener), uint64(server))
	}
	l.Release(server)
	return ev.Handle, peer
}

// pair returns an adopted unix socket, connected to the descriptor peer.
// LuaSocket's own descriptor, that of the owner, is left open.
func (l *testLoop) pair(kind, mode int) (h Handle, owners, peer int) {
	l.t.Helper()
	fds := must(unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0))(l.t)
	l.t.Cleanup(func() { closeFD(fds[0]); closeFD(fds[1]) })
	h = must(l.Adopt(fds[0], mode))(l.t).Handle
	l.await(Connected, h)
	return h, fds[0], fds[1]
}

// pattern returns n bytes in which a missing or doubled part shows.
func pattern(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>16 ^ i>>8 ^ i*7)
	}
	return string(b)
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("the peer read %d bytes, then: %v", len(b), err)
	}
	return string(b)
}

func readFull(t testing.TB, r io.Reader, n int) string {
	t.Helper()
	b := make([]byte, n)
	if n, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("the peer read %d bytes, then: %v", n, err)
	}
	return string(b)
}

func say(t testing.TB, peer io.Writer, data string) {
	t.Helper()
	if _, err := io.WriteString(peer, data); err != nil {
		t.Fatal(err)
	}
}

func TestCloseClosesEverything(t *testing.T) {
	before := descriptors(t)
	l := must(New())(t)
	s := must(l.Listen("127.0.0.1", 0, 0))(t)
	_, local := l.Names(s.Handle)
	must(l.Dial("127.0.0.1", local.Port, "", 0))(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	must(l.Watch(int(r.Fd()), 1))(t)
	if _, _, err := l.stepFor(nil, int64(time.Second)); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l.Post(func() { t.Error("a function posted after Close was called") })
	if err := cmpError(r.Close(), w.Close()); err != nil {
		t.Errorf("Close closed a watched descriptor: %v", err)
	}
	if after := descriptors(t); !slices.Equal(before, after) {
		t.Errorf("descriptors %v at the start, %v at the end", before, after)
	}
}

func TestStepWaitsNoLongerThanAsked(t *testing.T) {
	l := newTestLoop(t)
	start := time.Now()
	for range 100 {
		l.step(0)
	}
	for range 3 {
		l.step(time.Millisecond)
	}
	if took := time.Since(start); took > patience/2 {
		t.Errorf("steps that were not to wait took %v", took)
	}
}

func TestStepWaitsAsLongAsAsked(t *testing.T) {
	l := newTestLoop(t)
	start := time.Now()
	for range 20 { // a signal may end a wait early, but not each
		if l.step(30 * time.Millisecond); time.Since(start) >= 30*time.Millisecond {
			return
		}
	}
	t.Errorf("20 steps of up to 30 ms each took %v", time.Since(start))
}

func TestStepOfSeveralMegabytes(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	parts := []string{pattern(3 << 20), "between", pattern(2<<20 + 5)}
	want := strings.Join(parts, "")
	for _, part := range parts {
		l.put(h, part)
	}
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(peer, int64(len(want)))) // too little fails below
		got <- string(b)
	}()
	l.await(Drained, h)
	if s := <-got; s != want {
		t.Errorf("the peer received %d bytes, want the %d that were written", len(s), len(want))
	}
	if n := l.Sent(h); n != uint64(len(want)) {
		t.Errorf("Sent = %d, want %d", n, len(want))
	}
}

// TestBatchLargerThanItsMemory has more connections with more data each than
// one batch holds.
func TestBatchLargerThanItsMemory(t *testing.T) {
	l := newTestLoop(t)
	const connections, each = 30, 3 * readAnySize
	want := pattern(each)
	got := map[Handle][]byte{}
	var peers []int
	for range connections {
		h, _, peer := l.pair(unix.SOCK_STREAM, int(ReadAny))
		got[h] = nil
		peers = append(peers, peer)
	}
	for _, peer := range peers {
		file := os.NewFile(uintptr(must(unix.FcntlInt(uintptr(peer), unix.F_DUPFD_CLOEXEC, 0))(t)), "peer")
		wrote := make(chan error, 1)
		go func() {
			_, err := io.WriteString(file, want)
			wrote <- cmpError(err, file.Close())
		}()
		t.Cleanup(func() {
			if err := <-wrote; err != nil {
				t.Error(err)
			}
		})
	}
	done := func() bool {
		for _, data := range got {
			if len(data) < each {
				return false
			}
		}
		return true
	}
	for start := time.Now(); !done() && time.Since(start) < patience; {
		l.step(50 * time.Millisecond)
		total := 0
		for _, ev := range l.events {
			if ev.Kind == Data {
				got[ev.Handle] = append(got[ev.Handle], ev.Bytes...)
				total += len(ev.Bytes)
			}
		}
		l.events = nil
		if total > arenaSize {
			t.Fatalf("one batch has %d bytes, more than its memory of %d", total, arenaSize)
		}
	}
	for _, data := range got {
		if string(data) != want {
			t.Fatalf("a connection received %d bytes, want %d in order", len(data), each)
		}
	}
}

// TestReasonIsToldInAFullBatch is for the reason of a disconnect that was
// lost, and so taken for an orderly close, when data filled the batch.
func TestReasonIsToldInAFullBatch(t *testing.T) {
	l := newTestLoop(t)
	closedPort := freePort(t)
	chunk := []byte(pattern(readAnySize))
	var full []int
	for range arenaSize / readAnySize {
		_, _, peer := l.pair(unix.SOCK_STREAM, int(ReadAny))
		full = append(full, peer)
	}
	for _, peer := range full {
		for sent := 0; sent < len(chunk); {
			n, err := unix.Write(peer, chunk[sent:])
			if err != nil {
				t.Fatalf("the socket takes %d bytes only: %v", sent, err)
			}
			sent += n
		}
	}
	refused := must(l.Dial("127.0.0.1", closedPort, "", 0))(t)
	time.Sleep(10 * time.Millisecond) // for the refusal
	l.step(0)
	l.holdThread()
	if n := l.arena.head - l.arena.tail; n < arenaSize-readAnySize {
		t.Fatalf("the batch has only %d bytes", n)
	}
	l.awaitClosed(refused.Handle, "connection refused", false)
}

// freePort returns a port on loopback on which nobody listens.
func freePort(t testing.TB) int {
	t.Helper()
	s := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	port := s.Addr().(*net.TCPAddr).Port
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}

func TestPostFromManyGoroutines(t *testing.T) {
	l := newTestLoop(t)
	const goroutines, each = 20, 200
	count, last := 0, make([]int, goroutines)
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := 1; i <= each; i++ {
				l.Post(func() {
					if last[g] != i-1 {
						t.Errorf("call %d of goroutine %d came after call %d", i, g, last[g])
					}
					last[g] = i
					count++ // no lock: it is the thread of the loop that calls
				})
			}
		})
	}
	called := func() int {
		l.holdThread()
		return count
	}
	for start := time.Now(); called() < goroutines*each && time.Since(start) < patience; {
		l.step(50 * time.Millisecond) // a call is no event: it does not end the step
	}
	all.Wait()
	if n := called(); n != goroutines*each {
		t.Errorf("%d functions were called, want %d", n, goroutines*each)
	}
	l.quiet()
}

func TestPostEndsAWait(t *testing.T) {
	l := newTestLoop(t)
	go func() {
		time.Sleep(10 * time.Millisecond)
		l.Post(func() { l.emit(Event{Kind: Ready}) })
	}()
	start := time.Now()
	if l.await(Ready, 0); time.Since(start) >= patience {
		t.Fatal("Step slept through a posted function")
	}
}

func TestPostedFunctionMayPost(t *testing.T) {
	l := newTestLoop(t)
	done := false
	l.Post(func() { l.Post(func() { done = true }) })
	for start := time.Now(); !done && time.Since(start) < patience; {
		l.step(50 * time.Millisecond)
	}
	if !done {
		t.Error("what a posted function posted was not called")
	}
}

// TestFlushKeepsTheBatch flushes while the Lua side works on a batch.
func TestFlushKeepsTheBatch(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.step(0)
	say(t, peer, "question")
	var batch []Event
	for start := time.Now(); len(batch) == 0 && time.Since(start) < patience; {
		var err error
		if batch, _, err = l.stepFor(nil, int64(50*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if len(batch) != 1 || string(batch[0].Bytes) != "question" {
		t.Fatalf("batch is %v", batch)
	}
	l.Flush(record(h, cmdWrite, []byte("answer")))
	if n := l.Sent(h); n != 6 {
		t.Errorf("Sent = %d after Flush, want 6", n)
	}
	if string(batch[0].Bytes) != "question" {
		t.Errorf("Flush changed the batch to %q", batch[0].Bytes)
	}
	if got := readFull(t, peer, 6); got != "answer" {
		t.Errorf("the peer received %q", got)
	}
	l.await(Drained, h)
}

func TestSentOfNobody(t *testing.T) {
	l := newTestLoop(t)
	server, _ := l.listen(0)
	for _, h := range []Handle{0, 77, server} {
		if n := l.Sent(h); n != 0 {
			t.Errorf("Sent(%#x) = %d, want 0", uint64(h), n)
		}
	}
}

func TestAlarmsRingAtTheirTimeOrLater(t *testing.T) {
	l := newTestLoop(t)
	var rings []string
	ring := func(name string) *alarm { return &alarm{owner: ringFunc(func() { rings = append(rings, name) })} }
	a, b := ring("a"), ring("b")
	now := l.clock()
	l.holdThread()
	l.arm(a, now+10*second)
	l.arm(b, now+20*second)
	l.arm(b, now+5*second)  // earlier: moves
	l.arm(a, now+30*second) // later: rings early, for the owner to arm again
	l.step(0)
	l.advance(6)
	l.step(0)
	l.advance(6)
	l.step(0)
	if got := strings.Join(rings, " "); got != "b a" {
		t.Errorf("rang: %s; want b a", got)
	}
}

type ringFunc func()

func (f ringFunc) ring() { f() }

func TestTimeoutIsRoundedUp(t *testing.T) {
	for _, c := range []struct {
		wait int64
		want int
	}{{-1, -1}, {0, 0}, {1, 1}, {999_999, 1}, {1_000_000, 1}, {1_000_001, 2}, {math.MaxInt64, 1 << 30}} {
		if got := milliseconds(c.wait); got != c.want {
			t.Errorf("milliseconds(%d) = %d, want %d", c.wait, got, c.want)
		}
	}
}
