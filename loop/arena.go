package loop

// arena is the memory of the bytes that Data events show: a ring, in which
// they are freed in the order in which they were taken. It is no Go memory,
// so that C may hold pointers to it.
type arena struct {
	memory []byte
	// head is where the next bytes go, tail where those begin that are not
	// freed. Both only grow; their place in memory is modulo its length.
	head, tail uint64
}

// arenaSize bounds what was received and is not settled, all connections
// together.
const arenaSize = 1 << 20

// room returns n bytes in one piece, or nil if there are not so many. They
// are the caller's until the next call; take keeps them.
func (a *arena) room(n int) []byte {
	if a.head == a.tail {
		a.head, a.tail = 0, 0 // memory that was used last is in the processor's cache
	}
	size := uint64(len(a.memory))
	at := a.head % size
	if at+uint64(n) > size {
		if a.head+(size-at)-a.tail > size {
			return nil
		}
		a.head += size - at // what is left there is too small
		at = 0
	}
	if a.head+uint64(n)-a.tail > size {
		return nil
	}
	return a.memory[at : at+uint64(n)]
}

// take keeps the first n bytes of the room that was returned last.
func (a *arena) take(n int) []byte {
	at := a.head % uint64(len(a.memory))
	a.head += uint64(n)
	return a.memory[at : at+uint64(n) : at+uint64(n)]
}

// free frees everything that was taken before head was at end.
func (a *arena) free(end uint64) { a.tail = end }
