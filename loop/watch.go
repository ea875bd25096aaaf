package loop

import (
	"errors"

	"golang.org/x/sys/unix"
)

// watch reports when a descriptor that is not ours can be read or written.
type watch struct {
	registration
	loop *Loop
	// inFlight: the Lua side has not come to the last Ready yet.
	inFlight bool
	flags    uint32
}

// Watch starts watching fd for what flags say: bit 0 readable, bit 1
// writable. The descriptor is never read, written or closed. The handle is
// valid even with an error, which means that fd cannot be polled.
func (l *Loop) Watch(fd int, flags uint32) (Opened, error) {
	l.enter()
	defer l.leave()
	w := &watch{loop: l}
	w.fd = fd
	if w.handle = l.objects.insert(w); w.handle == 0 {
		return Opened{}, &Error{unix.EMFILE}
	}
	l.stats.Opened[KindWatch]++
	return Opened{Handle: w.handle, FD: fd}, w.setFlags(flags)
}

func (w *watch) setFlags(flags uint32) error {
	w.flags = flags
	var interest uint32
	if flags&1 != 0 {
		interest |= readable
	}
	if flags&2 != 0 {
		interest |= writable
	}
	if interest == 0 {
		w.leave(w.loop.poller) // HUP and ERR would be reported otherwise
		w.interest = 0
		return nil
	}
	if w.fd < 0 || w.isOurs() {
		return errBadFD
	}
	err := w.want(w.loop.poller, interest)
	if errors.Is(err, unix.ENOENT) {
		w.added = false // its owner closed it and opened another
		err = w.want(w.loop.poller, interest)
	}
	if err != nil {
		return &Error{err}
	}
	return nil
}

// isOurs reports whether the number has come to a descriptor of the loop.
func (w *watch) isOurs() bool {
	o, ok := w.loop.objects.get(w.loop.poller.holder(w.fd))
	_, isWatch := o.(*watch)
	return ok && !isWatch
}

func (w *watch) ready(events uint32) {
	if w.inFlight {
		w.leave(w.loop.poller) // it would be told again and again
		return
	}
	var value int32
	if w.interest&readable != 0 && events&(readable|broken) != 0 {
		value |= 1
	}
	if w.interest&writable != 0 && events&(writable|broken) != 0 {
		value |= 2
	}
	if value == 0 {
		return // the Lua side has changed its mind since epoll told
	}
	w.inFlight = true
	w.loop.emit(Event{Kind: Ready, Handle: w.handle, Value: value})
}

// settle is called when the Lua side has come to a Ready.
func (w *watch) settle() {
	w.inFlight = false
	if !w.added {
		_ = w.setFlags(w.flags) // a closed descriptor is its owner's affair
	}
}

func (w *watch) close() {
	w.loop.stats.Closed[KindWatch]++
	w.leave(w.loop.poller)
}
