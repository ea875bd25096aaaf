package loop

// heap is a binary min-heap of items that know their own position in it, so
// that any one can be moved or removed in logarithmic time. container/heap
// does the same through an interface, at twice the cost for an item.
type heap[T heapItem[T]] struct{ items []T }

type heapItem[T any] interface {
	// before reports whether the item is due before other.
	before(other T) bool
	// position points to the item's place: its index + 1, 0 when in no heap.
	position() *int
}

func (h *heap[T]) top() (item T, ok bool) {
	if len(h.items) == 0 {
		return item, false
	}
	return h.items[0], true
}

// fix puts item in its right place after its key changed, adding it if it
// is in no heap.
func (h *heap[T]) fix(item T) {
	p := item.position()
	if *p == 0 {
		h.items = append(h.items, item)
		*p = len(h.items)
	}
	if i := *p - 1; !h.up(i) {
		h.down(i)
	}
}

// remove takes item out; it is ignored if it is in no heap.
func (h *heap[T]) remove(item T) {
	p := item.position()
	if *p == 0 {
		return
	}
	i, last := *p-1, len(h.items)-1
	h.swap(i, last)
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	*p = 0
	if i < last && !h.up(i) {
		h.down(i)
	}
}

func (h *heap[T]) up(i int) (moved bool) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.items[i].before(h.items[parent]) {
			break
		}
		h.swap(i, parent)
		i, moved = parent, true
	}
	return moved
}

func (h *heap[T]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			return
		}
		if right := child + 1; right < len(h.items) && h.items[right].before(h.items[child]) {
			child = right
		}
		if !h.items[child].before(h.items[i]) {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (h *heap[T]) swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	*h.items[i].position() = i + 1
	*h.items[j].position() = j + 1
}
