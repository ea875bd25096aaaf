package loop

// A Handle names one connection, listener or watch: an index into the
// loop's table and the generation of that slot, so that whatever still
// speaks of a closed object finds nothing instead of its successor. It fits
// the 53 bits that a Lua number holds exactly. Zero names nothing.
type Handle uint64

const (
	indexBits       = 24
	maxHandles      = 1<<indexBits - 1
	generationLimit = 1 << 28
)

// Index is the slot of h, counted from 1.
func (h Handle) Index() int { return int(h & maxHandles) }

func newHandle(index int, generation uint32) Handle {
	return Handle(uint64(generation)<<indexBits | uint64(index))
}

// table maps handles to values in constant time and uses freed slots again.
// It issues no handle twice: a slot that has gone through all generations is
// retired. All slots together last for 2^52 handles.
type table[T any] struct {
	slots   []slot[T]
	free    []uint32
	retired int
}

type slot[T any] struct {
	generation uint32
	used       bool
	value      T
}

// insert returns the handle of v, or zero when all slots are taken.
func (t *table[T]) insert(v T) Handle {
	var i int
	if n := len(t.free); n > 0 {
		i = int(t.free[n-1])
		t.free = t.free[:n-1]
	} else if len(t.slots) < maxHandles {
		i = len(t.slots)
		t.slots = append(t.slots, slot[T]{generation: 1})
	} else {
		return 0
	}
	s := &t.slots[i]
	s.used, s.value = true, v
	return newHandle(i+1, s.generation)
}

// get returns the value of h and whether h is in use.
func (t *table[T]) get(h Handle) (v T, ok bool) {
	if s := t.slot(h); s != nil {
		return s.value, true
	}
	return v, false
}

func (t *table[T]) slot(h Handle) *slot[T] {
	i := h.Index() - 1
	if i < 0 || i >= len(t.slots) {
		return nil
	}
	if s := &t.slots[i]; s.used && newHandle(i+1, s.generation) == h {
		return s
	}
	return nil
}

// remove frees the slot of h; an unknown h is ignored.
func (t *table[T]) remove(h Handle) {
	s := t.slot(h)
	if s == nil {
		return
	}
	var none T
	s.used, s.value = false, none
	if s.generation++; s.generation == generationLimit {
		t.retired++
		return
	}
	t.free = append(t.free, uint32(h.Index()-1))
}

func (t *table[T]) len() int { return len(t.slots) - len(t.free) - t.retired }
