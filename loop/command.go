package loop

import (
	"encoding/binary"
	"math"
)

// A command goes down to the loop as a record: handle (8 bytes), kind (4),
// length of the payload (4), payload, padding to a multiple of 8. The payload
// is the bytes of a write, one float64, or nothing. The numbers are those of
// enum sgo_command_kind.
const (
	cmdWrite         = iota + 1 // bytes; none provokes a Drained
	cmdPause                    // stop delivering, no read timeout
	cmdResume                   // deliver again, read timeout restarts
	cmdWatchRead                // 0 or 1: like pause and resume, timeouts untouched
	cmdWatchWrite               // 0 or 1: wait for the connection to be writable
	cmdHoldWrites               // keep what is written
	cmdReleaseWrites            // send what was kept
	cmdReadMode                 // a size in bytes, ReadAny or ReadLines; new terms
	cmdLimit                    // bytes per second, 0 for none; new terms
	cmdPauseFor                 // seconds; new terms for a connection
	cmdReadDeadline             // seconds; negative for none, NaN for the setting
	cmdWriteDeadline            // the same
	cmdWatchFlags               // of a watch: bit 0 readable, bit 1 writable
	cmdFinish                   // close when all is sent, then Closed
	cmdBlockReads               // deliver nothing until TLS has started
	cmdStartTLS                 // see secureCommand
	cmdAnswerHello              // see secureCommand
	cmdRelease                  // the Lua side forgets the handle: close it now
	cmdStart                    // of a new connection: what it starts with has been told
)

// RecordHeader is the size of a record before its payload, in bytes; CommandKinds
// is the number of the last kind.
const (
	RecordHeader = 16
	CommandKinds = cmdStart
)

// apply executes the records of log, in order.
func (l *Loop) apply(log []byte) {
	for len(log) >= RecordHeader {
		h := Handle(binary.NativeEndian.Uint64(log))
		kind := binary.NativeEndian.Uint32(log[8:])
		size := int(binary.NativeEndian.Uint32(log[12:]))
		l.command(h, kind, log[RecordHeader:RecordHeader+size])
		log = log[RecordHeader+(size+7)&^7:]
	}
}

// command executes one record. A handle that is no longer there is no error:
// its object ended while the record was on the way.
func (l *Loop) command(h Handle, kind uint32, payload []byte) {
	o, ok := l.objects.get(h)
	if !ok {
		return
	}
	if kind == cmdRelease {
		l.release(h)
		return
	}
	switch o := o.(type) {
	case *conn:
		o.command(kind, payload)
	case *listener:
		if kind == cmdPauseFor {
			o.pauseFor(number(payload))
		}
	case *watch:
		if kind == cmdWatchFlags {
			_ = o.setFlags(uint32(number(payload))) // a closed descriptor is its owner's affair
		}
	}
}

func number(payload []byte) float64 {
	return math.Float64frombits(binary.NativeEndian.Uint64(payload))
}

func (c *conn) command(kind uint32, payload []byte) {
	switch kind {
	case cmdWrite:
		c.write(payload)
		return
	case cmdStartTLS:
		c.startTLS(readSecureCommand(payload))
		c.update()
		return
	case cmdAnswerHello:
		c.answerHello(readSecureCommand(payload))
		return
	}
	var value float64
	if len(payload) == 8 {
		value = number(payload)
	}
	switch kind {
	case cmdStart:
		c.starting = false
	case cmdPause:
		c.paused = true
		c.readDeadline = 0
	case cmdResume:
		c.paused = false
		c.pauseFor(-1)
		c.setReadDeadline(math.NaN())
	case cmdWatchRead:
		c.paused = value == 0
	case cmdWatchWrite:
		c.wantWrite = value != 0
	case cmdHoldWrites:
		c.held = true
		c.writeDeadline = 0
	case cmdReleaseWrites:
		c.held = false
		c.markDirty()
	case cmdReadMode:
		c.mode = readMode(value)
		c.terms++
	case cmdLimit:
		c.limit = value
		c.terms++
	case cmdPauseFor:
		c.pauseFor(value)
		c.terms++
	case cmdReadDeadline:
		c.setReadDeadline(value)
	case cmdWriteDeadline:
		c.setWriteDeadline(value)
	case cmdBlockReads:
		c.blocked = true
		c.readDeadline = 0
	case cmdFinish:
		c.finish()
	}
	c.update()
}
