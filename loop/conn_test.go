package loop

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEcho(t *testing.T) {
	l := newTestLoop(t)
	server, address := l.listen(0)
	host, _, _ := net.SplitHostPort(address)
	_, local := l.Names(server)
	client := must(l.Dial(host, local.Port, "", 0))(t)
	if client.FD < 0 || client.Datagram {
		t.Errorf("opened %+v", client)
	}
	l.none(Connected, client.Handle) // never before Dial has returned
	if ev := l.await(Connected, client.Handle); ev.Flag {
		t.Error("connected by data")
	}
	accepted := l.await(Accepted, 0)
	if accepted.Listener != server || int(accepted.FD) != l.FD(accepted.Handle) {
		t.Errorf("accepted %+v", accepted)
	}
	for _, text := range []string{"hello", pattern(100_000), "x"} {
		l.put(client.Handle, text)
		got := l.awaitData(accepted.Handle, len(text))
		l.put(accepted.Handle, got)
		l.wantData(client.Handle, text)
	}
	l.cmd(client.Handle, cmdFinish)
	l.awaitClosed(client.Handle, "", false)
	l.awaitClosed(accepted.Handle, "closed", true)
}

// TestConnectedIsNotDrained: the Lua side asks for that with an empty write.
func TestConnectedIsNotDrained(t *testing.T) {
	l := newTestLoop(t)
	l.pair(unix.SOCK_STREAM, 0)
	l.quiet()
}

func TestEmptyWriteDrains(t *testing.T) {
	l := newTestLoop(t)
	h, _ := l.accept(0)
	l.put(h, "")
	l.await(Drained, h)
	l.quiet()
}

func TestWritesOfOneLogLeaveInOrder(t *testing.T) {
	l := newTestLoop(t)
	a, peerA := l.accept(0)
	b, peerB := l.accept(0)
	for i := range 10 {
		l.put(a, fmt.Sprintf("a%d", i))
		l.put(b, fmt.Sprintf("b%d", i))
	}
	l.await(Drained, a)
	l.await(Drained, b)
	l.none(Drained, a) // once for all
	for peer, want := range map[io.Reader]string{peerA: "a0a1a2a3a4a5a6a7a8a9", peerB: "b0b1b2b3b4b5b6b7b8b9"} {
		if got := readFull(t, peer, len(want)); got != want {
			t.Errorf("the peer received %q, want %q", got, want)
		}
	}
}

// TestSlowReader writes more than the kernel takes, in pieces, to a peer
// that reads now and then.
func TestSlowReader(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	want := pattern(8 << 20)
	for rest := want; rest != ""; {
		n := min(len(rest), 700_001)
		l.put(h, rest[:n])
		rest = rest[n:]
	}
	l.step(0)
	sent := l.Sent(h)
	if sent == 0 || sent >= uint64(len(want)) {
		t.Fatalf("Sent = %d at once; the test needs a part of %d", sent, len(want))
	}
	l.none(Drained, h)
	var got bytes.Buffer
	for got.Len() < len(want) {
		if _, err := io.CopyN(&got, peer, int64(min(300_000, len(want)-got.Len()))); err != nil {
			t.Fatal(err)
		}
		l.step(0)
		if n := l.Sent(h); n < sent || n > uint64(len(want)) || n < uint64(got.Len()) {
			t.Fatalf("Sent = %d after %d, the peer has %d", n, sent, got.Len())
		} else {
			sent = n
		}
	}
	if got.String() != want {
		t.Error("the bytes arrived in disorder")
	}
	l.await(Drained, h)
	l.none(Drained, h)
	l.quiet()
}

func TestOutputThatIsAddedToWaitsItsTurn(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	first := pattern(6 << 20)
	l.put(h, first)
	l.step(0)
	var want strings.Builder
	want.WriteString(first)
	for i := range 50 {
		more := fmt.Sprintf("<more %d>", i)
		want.WriteString(more)
		l.put(h, more)
		l.step(0)
	}
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(peer) // too little fails below
		got <- string(b)
	}()
	l.cmd(h, cmdFinish)
	l.awaitClosed(h, "", false)
	if s := <-got; s != want.String() {
		t.Errorf("%d bytes arrived, want %d in order", len(s), want.Len())
	}
}

// TestOutputIsMovedUp adds to output most of which has been sent.
func TestOutputIsMovedUp(t *testing.T) {
	l := newTestLoop(t)
	want := pattern(24 << 20) // before the peer's deadline is set: it takes a while
	h, peer := l.accept(0)
	l.put(h, want)
	l.step(0)
	got := make([]byte, 0, len(want))
	for c := l.inner(h); c.sentOut <= len(c.out)/2; l.holdThread() {
		got = append(got, readFull(t, peer, 500_000)...)
		if l.step(10 * time.Millisecond); l.Sent(h) == uint64(len(want)) {
			t.Fatal("nothing is left to send: the test needs a part")
		}
	}
	l.put(h, "more")
	l.step(0)
	rest := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(peer) // too little fails below
		rest <- b
	}()
	l.cmd(h, cmdFinish)
	l.awaitClosed(h, "", false)
	if got = append(got, <-rest...); string(got) != want+"more" {
		t.Errorf("%d bytes arrived, want %d in order", len(got), len(want)+4)
	}
}

func TestPausedConnectionDeliversNothing(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(int(ReadAny))
	l.cmd(h, cmdPause)
	l.step(0)
	say(t, peer, "held back")
	l.quiet()
	l.cmd(h, cmdResume)
	l.wantData(h, "held back")
	say(t, peer, "next")
	l.wantData(h, "next")
}

func TestWatchReadPausesWithoutTouchingTheTimeout(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(int(ReadAny))
	l.num(h, cmdWatchRead, 0)
	l.step(0)
	say(t, peer, "held back")
	l.quiet()
	l.advance(DefaultSettings().ReadTimeout + 1)
	l.await(ReadTimeout, h)
	l.num(h, cmdWatchRead, 1)
	l.wantData(h, "held back")
}

// TestRefusedDataComesAgain pauses in the batch that has data.
func TestRefusedDataComesAgain(t *testing.T) {
	for _, mode := range []int{0, int(ReadAny), 3} {
		l := newTestLoop(t)
		h, peer := l.accept(mode)
		refusals := 0
		l.refuse = func(ev Event) bool {
			refusals++
			l.cmd(h, cmdPause)
			return true
		}
		say(t, peer, "12345678")
		for start := time.Now(); refusals == 0 && time.Since(start) < patience; {
			l.step(50 * time.Millisecond)
		}
		l.quiet()
		if refusals != 1 {
			t.Fatalf("mode %d: a paused connection delivered %d times", mode, refusals)
		}
		say(t, peer, "9abcdef")
		l.quiet()
		l.refuse = nil
		l.cmd(h, cmdResume)
		l.wantData(h, "123456789abcdef")
	}
}

// TestKeptDataIsACopy: the memory of a batch is used again by the next, for
// what others receive.
func TestKeptDataIsACopy(t *testing.T) {
	l := newTestLoop(t)
	refused, peer := l.accept(0)
	cut, cutPeer := l.accept(int(ReadLines))
	other, otherPeer := l.accept(0)
	l.refuse = func(ev Event) bool {
		if ev.Handle == refused {
			l.cmd(refused, cmdPause)
		}
		if ev.Handle == cut {
			l.cmd(cut, cmdPause)
		}
		return ev.Handle == refused
	}
	say(t, peer, "refused")
	say(t, cutPeer, "one\ntwo")
	l.wantData(cut, "one")
	for start := time.Now(); l.inner(refused).pending == nil && time.Since(start) < patience; {
		l.step(50 * time.Millisecond)
	}
	for range 3 {
		noise := strings.Repeat("#", 5000)
		say(t, otherPeer, noise)
		l.wantData(other, noise)
	}
	l.refuse = nil
	l.cmd(refused, cmdResume)
	l.cmd(cut, cmdResume)
	l.wantData(refused, "refused")
	l.wantData(cut, "two")
}

// TestRefusalWithoutPause: what is given back comes with the next step.
func TestRefusalWithoutPause(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(2)
	refusals := 0
	l.refuse = func(Event) bool { refusals++; return refusals <= 3 }
	say(t, peer, "ab")
	l.wantData(h, "ab")
	if refusals != 4 {
		t.Errorf("delivered %d times, want 4", refusals)
	}
}

// TestRefusalAtRandom cuts a stream in pieces and refuses now and then.
func TestRefusalAtRandom(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(int(ReadAny))
	want := pattern(400_000)
	go func() { _, _ = io.WriteString(peer, want) }() // what is missing fails below
	n := 0
	l.refuse = func(Event) bool {
		n++
		switch n % 4 {
		case 0:
			l.cmd(h, cmdPause)
			return true
		case 1:
			l.num(h, cmdReadMode, float64(n%7*1000+1))
		case 2:
			l.num(h, cmdReadMode, float64(ReadAny))
		}
		return false
	}
	var got []byte
	for start := time.Now(); len(got) < len(want) && time.Since(start) < patience; {
		for _, ev := range l.step(time.Millisecond) {
			if ev.Kind == Data {
				got = append(got, ev.Bytes...)
			}
		}
		if n%4 == 0 {
			l.cmd(h, cmdResume)
		}
	}
	if string(got) != want {
		t.Errorf("%d bytes arrived, want %d in order", len(got), len(want))
	}
}

// TestFlushWithinABatchKeepsOrder: a command in the midst of a batch must
// not deliver for a second time what is being delivered.
func TestFlushWithinABatchKeepsOrder(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(int(ReadAny))
	say(t, peer, "abcdef")
	l.refuse = func(ev Event) bool { return true }
	for start := time.Now(); l.inner(h).pending == nil && time.Since(start) < patience; {
		l.step(50 * time.Millisecond)
	}
	l.num(h, cmdReadMode, 2)
	l.refuse = func(ev Event) bool {
		l.Flush(record(h, cmdPause, nil))
		l.Flush(record(h, cmdResume, nil))
		return false
	}
	l.wantData(h, "abcdef")
	l.quiet()
}

func TestLineMode(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(int(ReadLines))
	say(t, peer, "one\r\ntwo\n\n\r\nfo\rur\nparti")
	for _, want := range []string{"one", "two", "", "", "four", "parti"} {
		if got := string(l.await(Data, h).Bytes); got != want {
			t.Errorf("line %q, want %q", got, want)
		}
	}
	say(t, peer, "al\nnext\n")
	for _, want := range []string{"al", "next"} { // the reference does not wait for an end either
		if got := string(l.await(Data, h).Bytes); got != want {
			t.Errorf("line %q, want %q", got, want)
		}
	}
	l.quiet()
}

func TestRefusedLinesComeAgain(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(int(ReadLines))
	n := 0
	l.refuse = func(Event) bool { n++; return n%2 == 1 }
	say(t, peer, "one\r\n\r\nthree\nfour\n")
	for _, want := range []string{"one", "", "three", "four"} {
		if got := string(l.await(Data, h).Bytes); got != want {
			t.Errorf("line %q, want %q", got, want)
		}
	}
	l.refuse = nil
	l.quiet()
}

func TestReadModeChangesBetweenDeliveries(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(int(ReadLines))
	say(t, peer, "line\nrest of the\nbytes")
	if got := string(l.await(Data, h).Bytes); got != "line" {
		t.Fatalf("line %q", got)
	}
	l.step(0) // the second line
	l.num(h, cmdReadMode, 4)
	for _, want := range []string{"rest of the", "byte", "s"} {
		if got := string(l.await(Data, h).Bytes); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}

func TestReadSizes(t *testing.T) {
	settings := DefaultSettings()
	settings.ReadSize = 1000
	for _, c := range []struct{ mode, most int }{{0, 1000}, {1, 1}, {4096, 4096}, {int(ReadAny), readAnySize}} {
		l := newTestLoop(t)
		l.Configure(settings)
		h, peer := l.accept(c.mode)
		want := pattern(min(c.most*3+c.most/2, 150_000))
		go func() { _, _ = io.WriteString(peer, want) }() // what is missing fails below
		var got []byte
		for len(got) < len(want) {
			ev := l.await(Data, h)
			if n := len(ev.Bytes); n < 1 || n > c.most {
				t.Fatalf("mode %d: %d bytes at once, want 1 to %d", c.mode, n, c.most)
			}
			got = append(got, ev.Bytes...)
		}
		if string(got) != want {
			t.Errorf("mode %d: the bytes arrived in disorder", c.mode)
		}
	}
}

func TestReadSizeIsHeldWithinBounds(t *testing.T) {
	l := newTestLoop(t)
	h, _ := l.accept(0)
	for _, mode := range []float64{1e18, -1e18, math.Inf(1), math.Inf(-1), math.NaN(), -3, 1 << 31} {
		l.Flush(record(h, cmdReadMode, payloadOf(mode)))
		if n := l.inner(h).readSize(); n < 1 || n > arenaSize/2 {
			t.Errorf("mode %g reads %d bytes at once", mode, n)
		}
	}
}

func TestDatagrams(t *testing.T) {
	l := newTestLoop(t)
	peer := must(net.ListenPacket("udp", "127.0.0.1:0"))(t).(*net.UDPConn)
	t.Cleanup(func() { _ = peer.Close() })
	if err := peer.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	client := must(l.Dial("127.0.0.1", peer.LocalAddr().(*net.UDPAddr).Port, "udp", 4))(t)
	if !client.Datagram {
		t.Error("a UDP socket is not known as one")
	}
	l.put(client.Handle, "one") // each write is a datagram, an empty one none
	l.put(client.Handle, "")
	l.put(client.Handle, "another")
	l.step(0)
	var from net.Addr
	buffer := make([]byte, 100)
	for _, want := range []string{"one", "another"} {
		n, addr, err := peer.ReadFrom(buffer)
		if err != nil || string(buffer[:n]) != want {
			t.Fatalf("received %q, %v; want %q", buffer[:n], err, want)
		}
		from = addr
	}
	if n := l.Sent(client.Handle); n != 10 {
		t.Errorf("Sent = %d, want 10", n)
	}
	n := 0
	l.refuse = func(Event) bool { n++; return n == 1 || n == 3 }
	for _, text := range []string{"a datagram is never cut", "", "nor merged\r\n"} {
		if _, err := peer.WriteTo([]byte(text), from); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"a datagram is never cut", "nor merged\r\n"} {
		if got := string(l.await(Data, client.Handle).Bytes); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}

// TestDatagramSocketOfSomebodyElse is what net.adns does: the owner connects
// the socket after it was adopted.
func TestDatagramSocketOfSomebodyElse(t *testing.T) {
	l := newTestLoop(t)
	peer := must(net.ListenPacket("udp", "127.0.0.1:0"))(t).(*net.UDPConn)
	t.Cleanup(func() { _ = peer.Close() })
	fd := must(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))(t)
	t.Cleanup(func() { closeFD(fd) })
	opened := must(l.Adopt(fd, 0))(t)
	l.num(opened.Handle, cmdWatchWrite, 0)
	l.quiet()
	err := unix.Connect(fd, &unix.SockaddrInet4{Port: peer.LocalAddr().(*net.UDPAddr).Port, Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		_, err = unix.Write(fd, []byte("query"))
	}
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	_, from, err := peer.ReadFrom(buffer)
	if err == nil {
		_, err = peer.WriteTo([]byte("answer"), from)
	}
	if err != nil {
		t.Fatal(err)
	}
	if ev := l.await(Connected, opened.Handle); !ev.Flag {
		t.Error("connected, but not by data")
	}
	l.wantData(opened.Handle, "answer")
	// Nobody else reaps it: the deadline of the connect stays.
	l.advance(DefaultSettings().ConnectTimeout + 1)
	l.awaitClosed(opened.Handle, "write timeout", false)
}

func TestRateLimit(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(int(ReadAny))
	l.num(h, cmdLimit, 1000)
	l.step(0)
	want := pattern(20_000)
	say(t, peer, want)
	first := l.await(Data, h).Bytes
	if n := len(first); n > DefaultSettings().ReadSize {
		t.Errorf("%d bytes at once under a limit", n)
	}
	l.quiet()
	l.advance(float64(len(first))/1000 - 5)
	l.quiet()
	l.none(ReadTimeout, h)
	l.advance(6)
	second := l.await(Data, h).Bytes
	l.num(h, cmdLimit, 0)
	l.advance(float64(len(second))/1000 + 1)
	got := string(first) + string(second)
	got += l.awaitData(h, len(want)-len(got))
	if got != want {
		t.Error("the bytes arrived in disorder")
	}
}

func TestPauseFor(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.num(h, cmdPauseFor, 100)
	l.step(0)
	say(t, peer, "later")
	l.quiet()
	l.advance(90) // leaves a slow machine 10 s
	l.quiet()
	l.advance(11)
	l.wantData(h, "later")

	l.num(h, cmdPauseFor, math.Inf(1))
	l.step(0)
	say(t, peer, "ended")
	l.quiet()
	l.num(h, cmdPauseFor, -1)
	l.wantData(h, "ended")
}

func TestPauseForRestartsTheReadTimeout(t *testing.T) {
	l := newTestLoop(t)
	h, _ := l.accept(0)
	l.num(h, cmdReadDeadline, -1)
	l.num(h, cmdPauseFor, 100)
	l.step(0)
	l.advance(101)
	l.quiet()
	l.advance(DefaultSettings().ReadTimeout + 1)
	l.await(ReadTimeout, h)
}

func TestHeldWritesLeaveWhenReleased(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.cmd(h, cmdHoldWrites)
	l.put(h, "one,")
	l.step(0)
	l.put(h, "two")
	l.quiet()
	if n := l.Sent(h); n != 0 {
		t.Errorf("Sent = %d while held", n)
	}
	l.advance(DefaultSettings().SendTimeout + 1)
	l.quiet() // no write timeout
	l.cmd(h, cmdReleaseWrites)
	l.await(Drained, h)
	if got := readFull(t, peer, 7); got != "one,two" {
		t.Errorf("the peer received %q", got)
	}
}

func TestHeldWritesLeaveWithFinish(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.cmd(h, cmdHoldWrites)
	l.put(h, "last words")
	l.cmd(h, cmdFinish)
	l.awaitClosed(h, "", false)
	if got := readAll(t, peer); got != "last words" {
		t.Errorf("the peer received %q", got)
	}
}

// TestHoldInTheMidstOfOutput holds what the kernel had no room for.
func TestHoldInTheMidstOfOutput(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	want := pattern(8 << 20)
	l.put(h, want)
	l.step(0)
	l.cmd(h, cmdHoldWrites)
	l.step(0)
	sent := l.Sent(h)
	got := readFull(t, peer, int(sent))
	l.quiet()
	l.advance(DefaultSettings().SendTimeout + 1)
	l.quiet()
	if n := l.Sent(h); n != sent {
		t.Fatalf("Sent went from %d to %d while held", sent, n)
	}
	rest := make(chan string)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(peer, int64(len(want)-len(got)))) // too little fails below
		rest <- string(b)
	}()
	l.cmd(h, cmdReleaseWrites)
	l.await(Drained, h)
	if got += <-rest; got != want {
		t.Error("the bytes arrived in disorder")
	}
}

// TestReleaseOfNothingDrainsNothing: resume_writes in the reference fires
// ondrain only if there was output.
func TestReleaseOfNothingDrainsNothing(t *testing.T) {
	l := newTestLoop(t)
	h, _ := l.accept(0)
	l.cmd(h, cmdHoldWrites)
	l.step(0)
	l.cmd(h, cmdReleaseWrites)
	l.quiet()
}

func TestFinishFlushesThenCloses(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	want := pattern(8 << 20)
	l.put(h, want)
	l.cmd(h, cmdFinish)
	l.put(h, "too late")
	l.step(0)
	say(t, peer, "nobody reads this") // must not turn the end into a reset
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(peer) // too little fails below
		got <- string(b)
	}()
	l.awaitClosed(h, "", false)
	if s := <-got; s != want {
		t.Errorf("the peer received %d bytes, want %d in order", len(s), len(want))
	}
	l.none(Drained, h)
	l.none(Data, h)
	l.quiet()
	if l.Len() != 1 {
		t.Error("the handle is gone before its release")
	}
}

func TestFinishDropsWhatWasRefused(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.refuse = func(Event) bool {
		l.cmd(h, cmdFinish)
		return true
	}
	say(t, peer, "data")
	l.awaitClosed(h, "", false)
	if got := readAll(t, peer); got != "" {
		t.Errorf("the peer received %q", got)
	}
}

// TestFinishDropsWhatIsLeftOfTheInput while output keeps it from closing.
func TestFinishDropsWhatIsLeftOfTheInput(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(2)
	l.put(h, pattern(8<<20))
	l.refuse = func(Event) bool { return true }
	say(t, peer, "abcdef")
	for start := time.Now(); l.inner(h).pending == nil && time.Since(start) < patience; {
		l.step(50 * time.Millisecond)
	}
	l.refuse = nil
	l.cmd(h, cmdFinish)
	l.quiet()
}

// TestUnreadInputIsNoReset: the peer would lose what was sent last.
func TestUnreadInputIsNoReset(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.cmd(h, cmdPause)
	l.step(0)
	say(t, peer, "nobody reads this")
	l.quiet()
	l.put(h, "last words")
	l.cmd(h, cmdFinish)
	l.awaitClosed(h, "", false)
	time.Sleep(5 * time.Millisecond)
	if got := readAll(t, peer); got != "last words" {
		t.Errorf("the peer received %q", got)
	}
}

func TestFinishTwiceClosesOnce(t *testing.T) {
	l := newTestLoop(t)
	h, _ := l.accept(0)
	l.cmd(h, cmdFinish)
	l.cmd(h, cmdFinish)
	l.awaitClosed(h, "", false)
	l.cmd(h, cmdFinish)
	l.quiet()
}

// TestFinishThatStalls gives up after send_timeout, with the reference's word for it.
func TestFinishThatStalls(t *testing.T) {
	l := newTestLoop(t)
	h, _, _ := l.pair(unix.SOCK_STREAM, 0)
	l.put(h, pattern(8<<20))
	l.cmd(h, cmdFinish)
	l.step(0)
	l.advance(DefaultSettings().SendTimeout - 5)
	l.quiet()
	l.advance(6)
	l.awaitClosed(h, "connection timeout", false)
}

func TestWriteTimeout(t *testing.T) {
	l := newTestLoop(t)
	h, _, peer := l.pair(unix.SOCK_STREAM, 0) // TCP would go on by itself now and then
	l.put(h, pattern(8<<20))
	l.step(0)
	l.advance(DefaultSettings().SendTimeout - 5)
	l.quiet()
	// Progress sets the deadline again.
	buffer := make([]byte, 1<<20)
	for before := l.Sent(h); l.Sent(h) == before; l.step(10 * time.Millisecond) {
		if n, err := unix.Read(peer, buffer); err != nil && err != unix.EAGAIN {
			t.Fatalf("the peer read %d bytes: %v", n, err)
		}
	}
	l.quiet()
	l.advance(DefaultSettings().SendTimeout - 5)
	l.quiet()
	l.advance(6)
	l.awaitClosed(h, "write timeout", false)
}

func TestWriteDeadlineOfTheLuaSide(t *testing.T) {
	l := newTestLoop(t)
	h, _ := l.accept(0)
	l.num(h, cmdReadDeadline, -1)
	l.num(h, cmdWriteDeadline, 1000)
	l.step(0)
	l.advance(990)
	l.quiet()
	l.num(h, cmdWriteDeadline, -1)
	l.step(0)
	l.advance(1000)
	l.step(0)
	l.num(h, cmdWriteDeadline, math.NaN())
	l.step(0)
	l.advance(DefaultSettings().SendTimeout + 1)
	l.awaitClosed(h, "write timeout", false)
}

func TestReadTimeout(t *testing.T) {
	const timeout = 14 * 60
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.step(0)
	l.advance(timeout - 5)
	l.quiet()
	say(t, peer, "x") // sets the deadline again
	l.wantData(h, "x")
	l.advance(timeout - 5)
	l.quiet()
	l.advance(6)
	l.await(ReadTimeout, h)
	l.advance(10 * timeout)
	l.quiet() // off until it is set again
	l.num(h, cmdReadDeadline, math.NaN())
	l.step(0)
	l.advance(timeout + 1)
	l.await(ReadTimeout, h)
	l.num(h, cmdReadDeadline, 5)
	l.step(0)
	l.advance(6)
	l.await(ReadTimeout, h)
	l.num(h, cmdReadDeadline, 5)
	l.num(h, cmdReadDeadline, -1)
	l.step(0)
	l.advance(timeout + 1)
	l.quiet()
}

func TestPauseStopsTheReadTimeout(t *testing.T) {
	const timeout = 14 * 60
	l := newTestLoop(t)
	h, _ := l.accept(0)
	l.cmd(h, cmdPause)
	l.step(0)
	l.advance(10 * timeout)
	l.quiet()
	l.cmd(h, cmdResume)
	l.step(0)
	l.advance(timeout - 5)
	l.quiet()
	l.advance(6)
	l.await(ReadTimeout, h)
}

func TestSmallTimeoutsReallyPass(t *testing.T) {
	settings := DefaultSettings()
	settings.ReadTimeout, settings.SendTimeout = 0.02, 0.02
	l := newTestLoop(t)
	l.Configure(settings)
	h, _ := l.accept(0)
	start := time.Now()
	l.await(ReadTimeout, h)
	l.put(h, pattern(8<<20))
	l.awaitClosed(h, "write timeout", false)
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("the timeouts took %v, want 20 ms or more", took)
	}
}

func TestConnectTimeout(t *testing.T) {
	l := newTestLoop(t)
	// A listener that accepts nothing: the kernel drops what its queue has no room for.
	fd := must(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))(t)
	t.Cleanup(func() { closeFD(fd) })
	err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = unix.Listen(fd, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	port := must(unix.Getsockname(fd))(t).(*unix.SockaddrInet4).Port
	var last Handle
	for range 6 {
		last = must(l.Dial("127.0.0.1", port, "", 0))(t).Handle
	}
	for range 10 {
		l.step(5 * time.Millisecond)
	}
	l.none(Connected, last)
	l.none(Closed, last)
	l.advance(DefaultSettings().ConnectTimeout + 1)
	l.awaitClosed(last, "connection timeout", false)
}

func TestConnectRefused(t *testing.T) {
	l := newTestLoop(t)
	h := must(l.Dial("127.0.0.1", freePort(t), "", 0))(t).Handle
	l.put(h, "nobody gets this")
	l.awaitClosed(h, "connection refused", false)
	l.none(Connected, h)
	l.quiet()
}

func TestFinishWhileConnecting(t *testing.T) {
	l := newTestLoop(t)
	s := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = s.Close() })
	h := must(l.Dial("127.0.0.1", s.Addr().(*net.TCPAddr).Port, "", 0))(t).Handle
	l.put(h, "hello and ")
	l.put(h, "goodbye")
	l.cmd(h, cmdFinish)
	l.awaitClosed(h, "", false)
	l.none(Connected, h)
	peer := must(s.Accept())(t)
	if got := readAll(t, peer); got != "hello and goodbye" {
		t.Errorf("the peer received %q", got)
	}
	if err := peer.Close(); err != nil {
		t.Error(err)
	}
}

func TestFinishWhileConnectingIsRefused(t *testing.T) {
	l := newTestLoop(t)
	h := must(l.Dial("127.0.0.1", freePort(t), "", 0))(t).Handle
	l.put(h, "x")
	l.cmd(h, cmdFinish)
	l.awaitClosed(h, "connection refused", false)
	l.quiet()
}

func TestWritesBeforeTheConnectLeaveAfterIt(t *testing.T) {
	l := newTestLoop(t)
	s := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = s.Close() })
	h := must(l.Dial("127.0.0.1", s.Addr().(*net.TCPAddr).Port, "", 0))(t).Handle
	l.put(h, "early ")
	l.put(h, "bird")
	l.await(Connected, h)
	l.await(Drained, h)
	peer := must(s.Accept())(t)
	if got := readFull(t, peer, 10); got != "early bird" {
		t.Errorf("the peer received %q", got)
	}
	if err := peer.Close(); err != nil {
		t.Error(err)
	}
}

func TestWatchWriteHoldsTheConnectBack(t *testing.T) {
	l := newTestLoop(t)
	fds := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))(t)
	t.Cleanup(func() { closeFD(fds[0]); closeFD(fds[1]) })
	h := must(l.Adopt(fds[0], 0))(t).Handle
	l.num(h, cmdWatchWrite, 0)
	l.quiet()
	l.num(h, cmdWatchWrite, 1)
	l.await(Connected, h)
}

func TestPeerCloses(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	say(t, peer, "bye")
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	l.wantData(h, "bye")
	l.awaitClosed(h, "closed", true)
	l.put(h, "late")
	l.quiet()
}

func TestPeerClosesWithOutputPending(t *testing.T) {
	for _, command := range []uint32{cmdResume, cmdPause} {
		l := newTestLoop(t)
		h, peer := l.accept(0)
		l.cmd(h, command)
		want := pattern(8 << 20)
		l.put(h, want)
		l.step(0)
		halfClose(t, peer)
		l.quiet() // neither Closed nor a spin on the end of the stream
		got := make(chan string)
		go func() {
			b, _ := io.ReadAll(peer) // too little fails below
			got <- string(b)
		}()
		l.awaitClosed(h, "closed", true)
		if s := <-got; s != want {
			t.Errorf("the peer received %d bytes, want %d in order", len(s), len(want))
		}
	}
}

func TestPeerClosesWithHeldOutput(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.cmd(h, cmdHoldWrites)
	l.put(h, "held")
	l.step(0)
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	l.awaitClosed(h, "closed", true) // with nobody to release it, later
	if got := readAll(t, peer); got != "held" {
		t.Errorf("the peer received %q", got)
	}
}

// reset closes peer so that the other end gets a reset.
func reset(t *testing.T, peer *net.TCPConn) {
	t.Helper()
	if err := cmpError(peer.SetLinger(0), peer.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestPeerResets(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	reset(t, peer)
	l.awaitClosed(h, "closed", true)
	l.quiet()
}

func closePeer(t *testing.T, peer *net.TCPConn) {
	t.Helper()
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
}

func halfClose(t *testing.T, peer *net.TCPConn) {
	t.Helper()
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

var peerEnds = map[string]func(*testing.T, *net.TCPConn){"close": closePeer, "half-close": halfClose, "reset": reset}

// TestPeerIsGoneInAPause is for a BOSH client that went away while its request
// was held: it was missed only when the request's time was up.
func TestPeerIsGoneInAPause(t *testing.T) {
	for how, end := range peerEnds {
		for name, pause := range map[string]func(*testLoop, Handle){
			"pause":       func(l *testLoop, h Handle) { l.cmd(h, cmdPause) },
			"watch":       func(l *testLoop, h Handle) { l.num(h, cmdWatchRead, 0) },
			"pausefor":    func(l *testLoop, h Handle) { l.num(h, cmdPauseFor, math.Inf(1)) },
			"block_reads": func(l *testLoop, h Handle) { l.cmd(h, cmdBlockReads) },
			"setlimit":    func(l *testLoop, h Handle) { l.num(h, cmdLimit, 0.01) },
		} {
			t.Run(name+" and "+how, func(t *testing.T) {
				l := newTestLoop(t)
				h, peer := l.accept(int(ReadAny))
				if name == "setlimit" {
					pause(l, h)
					l.step(0)
				}
				say(t, peer, "request")
				l.wantData(h, "request")
				pause(l, h)
				l.step(0)
				end(t, peer)
				l.awaitClosed(h, "closed", true)
			})
		}
	}
}

// TestPeerIsGoneBeforeThePause: epoll has reported the end while data was in
// flight, when nothing was to be done about it.
func TestPeerIsGoneBeforeThePause(t *testing.T) {
	for how, end := range peerEnds {
		t.Run(how, func(t *testing.T) {
			l := newTestLoop(t)
			h, peer := l.accept(int(ReadAny))
			l.refuse = func(Event) bool {
				end(t, peer)
				time.Sleep(10 * time.Millisecond) // for an I/O thread to see it
				l.Flush(record(h, cmdPause, nil)) // is known when the data is settled
				return false
			}
			say(t, peer, "request")
			l.wantData(h, "request")
			l.awaitClosed(h, "closed", true)
		})
	}
}

// TestDataBeforeTheEndInAPause: both are told after the pause, in order, and
// no more than a chunk is taken out of the kernel before.
func TestDataBeforeTheEndInAPause(t *testing.T) {
	for how, end := range peerEnds {
		for _, mode := range []int{int(ReadAny), 100, int(ReadLines)} {
			t.Run(fmt.Sprint(how, " ", mode), func(t *testing.T) {
				l := newTestLoop(t)
				h, peer := l.accept(mode)
				l.cmd(h, cmdPause)
				l.step(0)
				want := strings.ReplaceAll(pattern(20_000), "\r", "r")
				say(t, peer, want)
				l.quiet()
				if n := l.Stats().Undelivered; n != 0 {
					t.Errorf("%d bytes read although the peer is there", n)
				}
				end(t, peer)
				l.quiet()
				l.cmd(h, cmdPause) // asks epoll again
				l.quiet()
				if n := l.Stats().Undelivered; n == 0 || n > uint64(l.inner(h).readSize()) {
					t.Errorf("%d bytes read ahead", n)
				}
				l.cmd(h, cmdResume)
				if got := l.untilClosed(h); got != strings.ReplaceAll(want, "\n", map[bool]string{true: "", false: "\n"}[mode == int(ReadLines)]) {
					t.Errorf("%d bytes arrived, want %d in order", len(got), len(want))
				}
				if s := l.Stats(); s.Received != uint64(len(want)) || s.Undelivered != 0 {
					t.Errorf("%d bytes received, want %d; %d undelivered", s.Received, len(want), s.Undelivered)
				}
			})
		}
	}
}

// untilClosed returns the Data of h up to its Closed.
func (l *testLoop) untilClosed(h Handle) string {
	l.t.Helper()
	var data []byte
	for start := time.Now(); time.Since(start) < patience; l.step(50 * time.Millisecond) {
		events := l.events
		l.events = nil
		for _, ev := range events {
			switch {
			case ev.Handle != h:
			case ev.Kind == Data:
				data = append(data, ev.Bytes...)
			case ev.Kind == Closed:
				return string(data)
			}
		}
	}
	l.t.Fatal("not closed")
	return ""
}

// TestLimitHoldsTowardsTheEnd: what is read ahead is as slow as the rest.
func TestLimitHoldsTowardsTheEnd(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(int(ReadAny))
	l.num(h, cmdLimit, 1000)
	l.step(0)
	want := pattern(20_000)
	say(t, peer, want)
	closePeer(t, peer)
	got := l.awaitData(h, 1)
	for len(got) < len(want) {
		l.quiet()
		l.advance(float64(DefaultSettings().ReadSize)/1000 + 1)
		got += l.awaitData(h, 1)
	}
	if got != want {
		t.Error("the bytes arrived in disorder")
	}
	l.awaitClosed(h, "closed", true)
}

func TestReadAheadIsDroppedByFinish(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.cmd(h, cmdPause)
	l.step(0)
	say(t, peer, "nobody reads this")
	halfClose(t, peer)
	l.quiet()
	l.put(h, "last words")
	l.cmd(h, cmdFinish)
	l.awaitClosed(h, "", false)
	if got := readAll(t, peer); got != "last words" {
		t.Errorf("the peer received %q", got)
	}
}

func TestErrorOfADatagramSocketInAPause(t *testing.T) {
	l := newTestLoop(t)
	peer := must(net.ListenPacket("udp", "127.0.0.1:0"))(t)
	h := must(l.Dial("127.0.0.1", peer.LocalAddr().(*net.UDPAddr).Port, "udp", 0))(t).Handle
	l.await(Connected, h)
	l.cmd(h, cmdPause)
	l.step(0)
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	l.put(h, "anybody there?")
	l.awaitClosed(h, "connection refused", false)
}

// TestResetWhilePaused: epoll reports a broken socket without being asked,
// and must not be heard without end; and what came before is not lost.
func TestResetWhilePaused(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.cmd(h, cmdPause)
	l.step(0)
	say(t, peer, "before the reset")
	reset(t, peer)
	l.quiet()
	l.cmd(h, cmdPause)
	l.quiet()
	l.cmd(h, cmdResume)
	l.wantData(h, "before the reset")
	l.awaitClosed(h, "closed", true)
}

func TestResetWhileDataIsRefused(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(4)
	refused := false
	l.refuse = func(Event) bool {
		l.cmd(h, cmdPause)
		refused = true
		return true
	}
	say(t, peer, "12345678")
	for start := time.Now(); !refused && time.Since(start) < patience; {
		l.step(50 * time.Millisecond)
	}
	reset(t, peer)
	l.quiet()
	l.refuse = nil
	l.cmd(h, cmdResume)
	l.wantData(h, "12345678")
	l.awaitClosed(h, "closed", true)
}

func TestResetWithHeldOutput(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.cmd(h, cmdPause)
	l.cmd(h, cmdHoldWrites)
	l.put(h, "held")
	l.step(0)
	reset(t, peer)
	l.awaitClosed(h, "closed", true)
}

func TestHangUpOfAUnixSocketWhilePaused(t *testing.T) {
	l := newTestLoop(t)
	h, _, peer := l.pair(unix.SOCK_STREAM, 0)
	l.cmd(h, cmdPause)
	l.step(0)
	if _, err := unix.Write(peer, []byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Shutdown(peer, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	l.quiet()
	l.cmd(h, cmdResume)
	l.wantData(h, "last")
	l.awaitClosed(h, "closed", true)
}

func TestOtherErrorsAreNoCloseByThePeer(t *testing.T) {
	l := newTestLoop(t)
	fd := must(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))(t)
	t.Cleanup(func() { closeFD(fd) })
	h := must(l.Adopt(fd, 0))(t).Handle
	l.put(h, "to nobody")
	l.awaitClosed(h, "Destination address required", false)
}

// TestReleaseOfAnAdoptedSocket is for a closed duplicate that stayed in
// epoll, because its owner's descriptor keeps the socket open.
func TestReleaseOfAnAdoptedSocket(t *testing.T) {
	l := newTestLoop(t)
	h, owners, peer := l.pair(unix.SOCK_STREAM, 0)
	if l.FD(h) == owners {
		t.Error("the loop uses the descriptor of the owner")
	}
	l.Release(h)
	if _, err := unix.Write(peer, []byte("for the owner")); err != nil {
		t.Fatal(err)
	}
	l.quiet()
	buffer := make([]byte, 100)
	if n, err := unix.Read(owners, buffer); err != nil || string(buffer[:n]) != "for the owner" {
		t.Errorf("the owner read %q, %v", buffer[:max(n, 0)], err)
	}
}

func TestEndOfAnAdoptedSocket(t *testing.T) {
	l := newTestLoop(t)
	h, _, peer := l.pair(unix.SOCK_STREAM, 0)
	if err := unix.Shutdown(peer, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	l.awaitClosed(h, "closed", true)
	l.quiet()
}

func TestReleaseSaysNothing(t *testing.T) {
	l := newTestLoop(t)
	before := descriptors(t)
	h, peer := l.accept(0)
	l.put(h, "not flushed")
	l.cmd(h, cmdRelease)
	l.put(h, "for a dead handle")
	l.quiet()
	if l.Len() != 0 || l.FD(h) != -1 {
		t.Errorf("%d handles, descriptor %d after the release", l.Len(), l.FD(h))
	}
	if got := readAll(t, peer); got != "" {
		t.Errorf("the peer received %q", got)
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	if after := descriptors(t); len(after) != len(before) {
		t.Errorf("descriptors %v before, %v after", before, after)
	}
}

func TestReleaseAfterClosedFreesTheHandle(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	l.awaitClosed(h, "closed", true)
	if l.Len() != 1 {
		t.Errorf("%d handles before the release, want 1", l.Len())
	}
	l.cmd(h, cmdRelease)
	l.cmd(h, cmdRelease)
	l.quiet()
	if l.Len() != 0 {
		t.Errorf("%d handles after the release, want 0", l.Len())
	}
}

func TestIdleConnectionsAreQuiet(t *testing.T) {
	l := newTestLoop(t)
	for range 5 {
		l.accept(0)
		l.pair(unix.SOCK_STREAM, 0)
	}
	l.quiet()
}

// TestEmptyLineTakesMemory: the arena frees bytes by where an event ends, so
// one without bytes must not end where the event before it does.
func TestEmptyLineTakesMemory(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(int(ReadLines))
	say(t, peer, "one\n\n\nfour\n")
	for _, want := range []string{"one", "", "", "four"} {
		if ev := l.await(Data, h); string(ev.Bytes) != want || ev.end == 0 {
			t.Errorf("line %q ends at %d of the arena, want %q behind its start", ev.Bytes, ev.end, want)
		}
	}
}

// TestClosedWithOutputHalfSent is for a connection that ended while a part of
// its output was sent and more was to be: from then on each turn panicked.
func TestClosedWithOutputHalfSent(t *testing.T) {
	l := newTestLoop(t)
	h, _ := l.accept(0)
	l.step(0)
	c := l.inner(h)
	c.out, c.sentOut = []byte("sent and not sent"), 10
	c.markDirty()
	c.end("some reason", false)
	l.awaitClosed(h, "some reason", false)
}

// TestPanicOfOneFlush: the output of the others is sent by the next.
func TestPanicOfOneFlush(t *testing.T) {
	l := newTestLoop(t)
	h, peer := l.accept(0)
	l.step(0)
	c := l.inner(h)
	l.dirty = append(l.dirty, nil) // no connection: panics
	c.write([]byte("still sent"))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic: the test needs one")
			}
		}()
		l.flush()
	}()
	l.flush()
	if got := readFull(t, peer, 10); got != "still sent" {
		t.Errorf("the peer received %q", got)
	}
	l.await(Drained, h)
}

// TestAnswerGoesOnInAPause: a peer that ends its side after its request gets
// all of an answer that is written piece by piece, on each Drained, also if a
// piece is flushed before the Drained is settled.
func TestAnswerGoesOnInAPause(t *testing.T) {
	for name, write := range map[string]func(*testLoop, Handle, string){
		"written": (*testLoop).put,
		"flushed": func(l *testLoop, h Handle, piece string) { l.Flush(record(h, cmdWrite, []byte(piece))) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newTestLoop(t)
			h, peer := l.accept(0)
			l.cmd(h, cmdPause)
			l.put(h, "head")
			l.await(Drained, h)
			if err := peer.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond) // an I/O thread may see it
			for _, piece := range []string{"one", "two"} {
				write(l, h, piece)
				l.await(Drained, h)
			}
			l.awaitClosed(h, "closed", true)
			if got, err := io.ReadAll(peer); string(got) != "headonetwo" || err != nil {
				t.Errorf("the peer got %q, %v", got, err)
			}
		})
	}
}
