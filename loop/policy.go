package loop

// Who steps the sockets. While little happens the Lua thread does it itself:
// nothing has to be handed over, which is the shortest way for one message.
// Under load a thread of its own does, so that the Lua thread neither waits
// for a system call nor encrypts.

// IOThread says when there is an I/O thread.
type IOThread int

const (
	IOThreadAuto IOThread = iota // under load
	IOThreadAlways
	IOThreadNever
)

// directWindow and threadWindow are over how long load is measured, in ns, while
// the Lua thread or an I/O thread is the stepper. A pause of Lua's collector, and
// what it has kept waiting, is to be a small part of one: threads that wake each
// other for single messages take longer than one thread does.
const (
	directWindow = 50_000_000
	threadWindow = 100_000_000
)

// load is what happened in a window of time. Times are in ns.
type load struct {
	window    int64
	luaWaited int64 // the Lua thread slept or waited in epoll
	ioWaited  int64 // the stepper waited in epoll
	turns     int64 // of the stepper
	ready     int64 // descriptors that these turns served
	batches   int64 // that the Lua thread took
	events    int64 // in these batches
	// handshakes is how many at most computed, or waited for a processor, at the
	// same time: others are busy.
	handshakes int64
}

// manyHandshakes call for an I/O thread: while they keep the processors busy
// the Lua thread is to do Lua only.
const manyHandshakes = 4

// wantsThread decides, from the load while the Lua thread was the stepper,
// whether another thread should be. The Lua thread must be short of time, and a
// turn must be worth the waking of a thread.
func (w load) wantsThread() bool {
	return w.handshakes >= manyHandshakes ||
		w.window-w.ioWaited > w.window*9/10 && w.ready > 0 && w.ready >= 8*w.turns
}

// isCalm reports, from the load with an I/O thread, whether it is of no use.
func (w load) isCalm() bool {
	busy := 2*w.window - w.luaWaited - w.ioWaited
	return w.handshakes < manyHandshakes && (busy < w.window*7/10 || w.events < 2*w.batches)
}
