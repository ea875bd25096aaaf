package loop

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"net.server_go/bell"
	"net.server_go/tls"
)

// A Loop owns descriptors and serves them. New makes one, Close ends it.
type Loop struct {
	// Of the Lua thread.
	batch  []Event        // what the Lua side works on
	pinned runtime.Pinner // the texts of the batch
	driver driver

	started time.Time
	mail    mailbox
	asleep  atomic.Bool // who runs the loop waits in epoll, or is about to
	wakeMu  sync.Mutex  // guards wake.fd against Close
	closed  chan struct{}

	gate     gate // guards what follows
	settings Settings
	stats    Stats
	systemd  map[Name]int // sockets that it opened for us; nil before they are looked for
	poller   *poller
	objects  table[object]
	contexts table[*tls.Context]
	classic  classicPeers
	door     door
	proxies  proxyPorts
	scratch  [rawReadSize]byte // ciphertext on its way to a session
	spare    [][]byte          // memory for sessions' output, used again
	alarms   heap[*alarm]
	short    []*listener // could accept nothing for want of descriptors or room
	now      int64       // ns since started, as of the latest event
	arena    arena
	ceiling  ceiling
	starved  bool         // something could not be read before the Lua side takes what there is
	turns    []turn       // used again by mail.takeTurns
	coming   []Event      // what the Lua side will get next
	dirty    []*conn      // have output that this turn should send
	resumed  []*conn      // have pending bytes that may be delivered again
	wake     registration // eventfd: look into the mailbox
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
	l := &Loop{settings: DefaultSettings(), started: time.Now(), classic: classicPeers{}}
	l.driver.processors = processors
	l.door.open(l)
	l.ceiling.open(l)
	var err error
	if l.poller, err = newPoller(); err != nil {
		return nil, err
	}
	if l.wake.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		l.poller.close()
		return nil, os.NewSyscallError("eventfd", err)
	}
	if l.mail.lua, err = bell.NewPollBell(); err != nil {
		closeFD(l.wake.fd)
		l.poller.close()
		return nil, err
	}
	l.arena.memory, err = unix.Mmap(-1, 0, arenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err == nil {
		// Edge-triggered: it never has to be read.
		err = l.wake.want(l.poller, readable|unix.EPOLLET)
	}
	if err != nil {
		l.mail.lua.Close()
		closeFD(l.wake.fd)
		l.poller.close()
		return nil, err
	}
	l.startWatchdog()
	return l, nil
}

// Close closes every descriptor. The Loop must not be used afterwards. It
// returns the logs that Step was given and has not returned.
func (l *Loop) Close() (logs [][]byte) {
	close(l.closed)
	if l.hasThread() {
		l.retireThread()
	}
	for i := range l.objects.slots {
		if s := &l.objects.slots[i]; s.used {
			s.value.close()
		}
	}
	l.wakeMu.Lock() // a late Post finds the eventfd closed
	closeFD(l.wake.fd)
	l.wake.fd = -1
	l.wakeMu.Unlock()
	l.mail.lua.Close()
	l.poller.close()
	l.pinned.Unpin()
	_ = unix.Munmap(l.arena.memory) // only fails for a range that is not ours
	return l.mail.logs()
}

// Configure replaces the settings. What is already scheduled stays.
func (l *Loop) Configure(s Settings) {
	l.gate.enter()
	defer l.gate.leave()
	l.settings = s
	l.door.exempt, _ = ParseNetworks(s.Exempt) // whoever made the settings has checked them
	l.proxies.configure(s)
	l.ceiling.configure(s.BufferCeiling)
	l.driver.mode = s.IOThread
}

// Len is the number of handles in use.
func (l *Loop) Len() int {
	l.gate.enter()
	defer l.gate.leave()
	return l.objects.len()
}

// clock is monotonic time in ns.
func (l *Loop) clock() int64 { return int64(time.Since(l.started)) }

// Post has f called by who runs the loop, in the present or the next turn. It may
// be called from any goroutine.
func (l *Loop) Post(f func()) {
	l.mail.post(f)
	l.wakeDriver()
}

// Refuse gives event i of the present batch, a Data, back to the loop: the
// connection was paused meanwhile. It will be delivered again.
func (l *Loop) Refuse(i int) { l.batch[i].refused = true }

// takeMail does what the Lua side and others have asked for.
func (l *Loop) takeMail(now int64) {
	l.now = now
	var posted []func()
	l.turns, posted = l.mail.takeTurns(l.turns)
	for _, t := range l.turns {
		l.settle(t.settled)
		l.apply(t.log)
	}
	for _, f := range posted {
		f()
	}
	l.flush()
	l.mail.giveBack(l.turns)
	l.deliverPending()
}

// receivePosted spares what was posted a turn of its own.
func (l *Loop) receivePosted() {
	for _, f := range l.mail.takePosted() {
		f()
	}
}

// eventLimit is how many events may wait for the Lua side before nothing more
// is read or accepted.
const eventLimit = 4096

// publish leaves what happened for the Lua side.
func (l *Loop) publish(err error) {
	var waiting int
	l.stats.Events += uint64(len(l.coming))
	l.coming, waiting = l.mail.leaveEvents(l.coming, err)
	l.starved = l.starved || waiting > eventLimit
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
// waiting. What comes of it is told by the next Step. The log stays the
// caller's.
func (l *Loop) Flush(log []byte) {
	l.enter()
	defer l.leave()
	defer l.keepOutput()  // the log stays the caller's, even after a panic
	l.takeMail(l.clock()) // what was left before comes first
	l.apply(log)
	l.flush()
}

// keepOutput copies the output that is still in a log.
func (l *Loop) keepOutput() {
	for _, c := range l.dirty {
		if c != nil && len(c.direct) > 0 {
			c.keepDirect()
		}
	}
}

// flush sends what connections have written. One that panics is not met
// again: it would end every turn from then on.
func (l *Loop) flush() {
	done := 0
	defer func() { l.dirty = append(l.dirty[:0], l.dirty[done:]...) }()
	for done < len(l.dirty) {
		c := l.dirty[done]
		l.dirty[done] = nil
		done++
		c.dirty = false
		c.flush()
	}
	l.checkCeiling()
}

// settle learns what the Lua side took of a batch.
func (l *Loop) settle(batch []Event) {
	l.starved = false
	for i := range batch {
		ev := &batch[i]
		if ev.Kind != Data && ev.Kind != Ready && ev.Kind != Drained {
			continue
		}
		o, _ := l.objects.get(ev.Handle)
		switch o := o.(type) {
		case *conn:
			if ev.Kind == Drained {
				o.settleDrained()
			} else {
				o.settle(ev)
			}
		case *watch:
			o.settle()
		}
		if ev.Kind == Data {
			l.arena.free(ev.end)
		}
	}
}

func (l *Loop) deliverPending() {
	waiting := l.resumed
	l.resumed = nil
	for _, c := range waiting {
		c.resuming = false
		c.deliverPending()
	}
}

// timeout is how long who runs the loop may wait, in ns; negative: for ever.
func (l *Loop) timeout(now int64) int64 {
	if len(l.resumed) > 0 && !l.starved {
		return 0
	}
	if a, ok := l.alarms.top(); ok {
		return max(a.due-now, 0)
	}
	return -1
}

// room returns n bytes of the arena in one piece. Nil if there are none: the
// Lua side has to take something first.
func (l *Loop) room(n int) []byte {
	room := l.arena.room(n)
	l.starved = l.starved || room == nil
	return room
}

func (l *Loop) emit(ev Event) { l.coming = append(l.coming, ev) }

// Release closes the object h, if there is one, without an event, and frees
// its handle. Nothing else does: a closed connection keeps its handle until
// the Lua side has forgotten it.
func (l *Loop) Release(h Handle) {
	l.enter()
	defer l.leave()
	l.release(h)
}

func (l *Loop) release(h Handle) {
	if o, ok := l.objects.get(h); ok {
		o.close()
		l.objects.remove(h)
		if c, ok := o.(*conn); ok && c.session != nil {
			c.session.Release()
		}
	}
}

// Sent is how many of the bytes written to the connection h the kernel has
// taken.
func (l *Loop) Sent(h Handle) uint64 {
	l.gate.enter()
	defer l.gate.leave()
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
