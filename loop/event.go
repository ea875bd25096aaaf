package loop

// An EventKind says what happened; each says which fields of Event it sets
// beside Handle. The numbers are those of enum sgo_event_kind.
type EventKind int32

const (
	// Accepted: a new connection, on the listener Listener.
	Accepted EventKind = iota + 1
	// AcceptFailed: Bytes say why; the listener pauses for a while.
	AcceptFailed
	// Connected: an outgoing or adopted connection is usable. Flag is set
	// when that was learnt from data, not from the socket being writable.
	Connected
	// Data: bytes for the Lua side, or back with Loop.Refuse.
	Data
	// Drained: everything written so far has gone to the kernel.
	Drained
	// ReadTimeout: nothing was received for read_timeout. The deadline is
	// off until the Lua side sets it again.
	ReadTimeout
	// Closed: the last event of a connection, its descriptor is closed. Bytes
	// are the reason, empty when the Lua side itself had asked for it. Flag is
	// set when the peer closed or reset it.
	Closed
	// Ready: a watched descriptor; Value has bit 0 for readable, 1 for writable.
	Ready
	// Signal: Value is the number of the signal.
	Signal
	// TLSStarted: the handshake begins.
	TLSStarted
	// Hello: a client's hello is there and waits for the command
	// cmdAnswerHello. Bytes are the name of SNI and the protocols of ALPN, each
	// followed by a zero.
	Hello
	// Secured: the handshake is complete.
	Secured
)

// Event is one thing that the Lua side is told. Its bytes are valid until
// the next Step.
type Event struct {
	Kind     EventKind
	Flag     bool
	refused  bool
	Value    int32
	FD       int32
	Handle   Handle
	Listener Handle
	Bytes    []byte // Data: what was received; otherwise a text
	text     string // becomes Bytes when the batch is complete
	consumed int    // Data: how much of conn.pending it stands for
}

// batchEvents is how many descriptors one Step serves.
const batchEvents = 256

// arena is the memory of one batch's bytes. It is no Go memory, so that C
// may hold pointers to it.
type arena struct {
	memory []byte
	used   int
}

// arenaSize bounds what one Step reads, all connections together.
const arenaSize = 512 << 10

// room returns what is left.
func (a *arena) room() []byte { return a.memory[a.used:] }

// take returns the first n bytes of room and makes them used.
func (a *arena) take(n int) []byte {
	b := a.memory[a.used : a.used+n : a.used+n]
	a.used += n
	return b
}

// copy returns a copy of as much of b as there is room for.
func (a *arena) copy(b []byte) []byte { return a.take(copy(a.room(), b)) }
