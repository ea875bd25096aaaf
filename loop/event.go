package loop

// An EventKind says what happened; each says which fields of Event it sets
// beside Handle. The numbers are those of enum sgo_event_kind.
type EventKind int32

const (
	// Accepted: a new connection, on the listener Listener. Bytes are both its
	// ends, see nameText.
	Accepted EventKind = iota + 1
	// AcceptFailed: Bytes say why; the listener pauses until a descriptor is
	// free, or the buffers have room. One event for each shortage.
	AcceptFailed
	// Connected: an outgoing or adopted connection is usable. Flag is set
	// when that was learnt from data, not from the socket being writable.
	Connected
	// Data: bytes for the Lua side, or back with Loop.Refuse. Value counts the
	// commands with new terms that were known by then.
	Data
	// Drained: everything written so far has gone to the kernel, Sent bytes.
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
	// TLSStarted: the handshake begins.
	TLSStarted
	// Hello: a client's hello is there and waits for the command
	// cmdAnswerHello. Bytes are the name of SNI and the protocols of ALPN, each
	// followed by a zero.
	Hello
	// Secured: the handshake is complete. Bytes are protocol and suite, each
	// followed by a zero.
	Secured
	// Note: Bytes are a level, a tab and lines for the connection's log, or with
	// Handle 0 for the module's own.
	Note
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
	Sent     uint64
	Bytes    []byte // Data: what was received; otherwise a text
	text     string // becomes Bytes when the batch is complete
	consumed int    // Data: how much of conn.pending it stands for
	end      uint64 // Data: the arena's head behind its bytes
}

// BatchEvents is how many descriptors one turn serves.
const BatchEvents = 256
