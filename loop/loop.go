package loop

import (
	"encoding/binary"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"net.server_go/tls"
)

// A Loop owns descriptors and steps them. New makes one, Close ends it.
type Loop struct {
	Timers   *Timers
	settings Settings
	stats    Stats
	systemd  map[Name]int // sockets that it opened for us; nil before they are looked for

	poller   *poller
	objects  table[object]
	contexts table[*tls.Context]
	scratch  [rawReadSize]byte // ciphertext on its way to a session
	alarms   heap[*alarm]
	started  time.Time
	now      int64 // ns since started, as of the latest event
	arena    arena
	pinned   runtime.Pinner // the texts of the batch
	batch    []Event        // what the Lua side works on
	coming   []Event        // what it will get next
	dirty    []*conn        // have output that this step should send
	resumed  []*conn        // have pending bytes that may be delivered again
	signals  signals
	wake     registration // eventfd: something was posted
	inboxMu  sync.Mutex
	inbox    []func()
	wakeSent bool // under inboxMu: the loop knows of the inbox already
}

// object is what a handle names: *conn, *listener or *watch.
type object interface {
	// ready handles the epoll events of the object's descriptor.
	ready(events uint32)
	// close releases the descriptor; the handle is gone.
	close()
}

// New returns a Loop with default settings.
func New() (*Loop, error) {
	l := &Loop{settings: DefaultSettings(), started: time.Now()}
	l.Timers = newTimers(l.clock)
	var err error
	if l.poller, err = newPoller(); err != nil {
		return nil, err
	}
	if l.wake.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		l.poller.close()
		return nil, os.NewSyscallError("eventfd", err)
	}
	l.arena.memory, err = unix.Mmap(-1, 0, arenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err == nil {
		// Edge-triggered: it never has to be read.
		err = l.wake.want(l.poller, readable|unix.EPOLLET)
	}
	if err != nil {
		closeFD(l.wake.fd)
		l.poller.close()
		return nil, err
	}
	return l, nil
}

// Close closes every descriptor. The Loop must not be used afterwards.
func (l *Loop) Close() {
	l.signals.stop()
	for i := range l.objects.slots {
		if s := &l.objects.slots[i]; s.used {
			s.value.close()
		}
	}
	l.inboxMu.Lock() // a late Post finds the eventfd closed
	l.wakeSent = true
	closeFD(l.wake.fd)
	l.inboxMu.Unlock()
	l.poller.close()
	l.pinned.Unpin()
	_ = unix.Munmap(l.arena.memory) // only fails for a range that is not ours
}

// Configure replaces the settings. What is already scheduled stays.
func (l *Loop) Configure(s Settings) { l.settings = s }

// Len is the number of handles in use.
func (l *Loop) Len() int { return l.objects.len() }

// clock is monotonic time in ns.
func (l *Loop) clock() int64 { return int64(time.Since(l.started)) }

// Post has f called by the loop's thread in the coming Step, which it ends
// if it waits. It may be called from any goroutine.
func (l *Loop) Post(f func()) {
	l.inboxMu.Lock()
	defer l.inboxMu.Unlock()
	l.inbox = append(l.inbox, f)
	if !l.wakeSent {
		l.wakeSent = true
		// An eventfd takes 8 bytes until it has counted to 2⁶⁴.
		_, _ = unix.Write(l.wake.fd, binary.NativeEndian.AppendUint64(nil, 1))
	}
}

func (l *Loop) receivePosted() {
	l.inboxMu.Lock()
	posted := l.inbox
	l.inbox, l.wakeSent = nil, false
	l.inboxMu.Unlock()
	for _, f := range posted {
		f()
	}
}

// Refuse gives event i of the present batch, a Data, back to the loop: the
// connection was paused meanwhile. It will be delivered again.
func (l *Loop) Refuse(i int) { l.batch[i].refused = true }

// Step applies the commands in log, sends what they wrote, waits until
// something happens (for at most maxWait ns; negative: for ever) and returns
// it. Neither log nor the batch before it is needed afterwards.
func (l *Loop) Step(log []byte, maxWait int64) ([]Event, error) {
	l.settleBatch()
	l.Flush(log)
	l.deliverPending()
	n, err := l.poller.wait(l.timeout(maxWait))
	l.now = l.clock()
	for i := range n {
		h, events := l.poller.handle(i), l.poller.events[i].Events
		if h == 0 {
			l.receivePosted()
		} else if o, ok := l.objects.get(h); ok {
			o.ready(events)
		}
	}
	l.ringAlarms()
	l.batch, l.coming = l.coming, l.batch
	l.showTexts()
	l.stats.Events += uint64(len(l.batch))
	if len(l.batch) > 0 {
		err = nil // it will come again, when nothing else is to be told
	}
	return l.batch, err
}

// showTexts puts the texts of the batch where C may read them.
func (l *Loop) showTexts() {
	l.pinned.Unpin()
	size := 0
	for i := range l.batch {
		size += len(l.batch[i].text)
	}
	if size == 0 {
		return
	}
	texts := make([]byte, 0, size)
	for i := range l.batch {
		if ev := &l.batch[i]; ev.text != "" {
			start := len(texts)
			texts = append(texts, ev.text...)
			ev.Bytes = texts[start:]
		}
	}
	l.pinned.Pin(&texts[0])
}

// Flush applies the commands in log and sends what they wrote, without
// waiting. What comes of it is told by the next Step.
func (l *Loop) Flush(log []byte) {
	l.now = l.clock()
	l.apply(log)
	for i, c := range l.dirty {
		c.dirty = false
		c.flush()
		l.dirty[i] = nil
	}
	l.dirty = l.dirty[:0]
}

// settleBatch learns what the Lua side took of the batch before.
func (l *Loop) settleBatch() {
	for i := range l.batch {
		ev := &l.batch[i]
		if ev.Kind == Data {
			if o, ok := l.objects.get(ev.Handle); ok {
				o.(*conn).settle(ev)
			}
		}
	}
	clear(l.batch)
	l.batch = l.batch[:0]
	l.arena.used = 0
}

func (l *Loop) deliverPending() {
	waiting := l.resumed
	l.resumed = nil
	for _, c := range waiting {
		c.resuming = false
		c.deliverPending()
	}
}

// timeout is how long epoll may wait, in ms.
func (l *Loop) timeout(maxWait int64) int {
	if len(l.coming) > 0 || len(l.resumed) > 0 {
		return 0
	}
	until := l.Timers.next()
	if a, ok := l.alarms.top(); ok {
		until = min(until, a.due)
	}
	if until == never && maxWait < 0 {
		return -1
	}
	wait := until - l.clock()
	if maxWait >= 0 {
		wait = min(wait, maxWait)
	}
	// Rounded up: waking before a timer is due means spinning until it is.
	const longest = 1 << 30
	return int(min(max(wait+999_999, 0)/1_000_000, longest))
}

func (l *Loop) emit(ev Event) { l.coming = append(l.coming, ev) }

// Release closes the object h, if there is one, without an event, and frees
// its handle. Nothing else does: a closed connection keeps its handle until
// the Lua side has forgotten it.
func (l *Loop) Release(h Handle) {
	if o, ok := l.objects.get(h); ok {
		o.close()
		l.objects.remove(h)
	}
}

// Sent is how many of the bytes written to the connection h the kernel has
// taken.
func (l *Loop) Sent(h Handle) uint64 {
	if c := l.conn(h); c != nil {
		return c.sent
	}
	return 0
}

func (l *Loop) conn(h Handle) *conn {
	o, _ := l.objects.get(h)
	c, _ := o.(*conn)
	return c
}

// An alarm rings its owner once, at the time due or later.
type alarm struct {
	due   int64
	pos   int
	owner interface{ ring() }
}

func (a *alarm) before(o *alarm) bool { return a.due < o.due }
func (a *alarm) position() *int       { return &a.pos }

// arm makes a ring at due at the latest. One that is set to ring earlier is
// left alone: its owner finds nothing to do and arms it again, which is
// cheaper than moving it at each byte received.
func (l *Loop) arm(a *alarm, due int64) {
	if a.pos == 0 || due < a.due {
		a.due = due
		l.alarms.fix(a)
	}
}

func (l *Loop) ringAlarms() {
	for {
		a, ok := l.alarms.top()
		if !ok || a.due > l.now {
			return
		}
		l.alarms.remove(a)
		a.owner.ring()
	}
}
