package loop

import (
	"math/rand/v2"
	"slices"
	"testing"
)

type heapEntry struct{ key, pos int }

func (e *heapEntry) before(o *heapEntry) bool { return e.key < o.key }
func (e *heapEntry) position() *int           { return &e.pos }

func TestEmptyHeapHasNoTop(t *testing.T) {
	var h heap[*heapEntry]
	if e, ok := h.top(); ok || e != nil {
		t.Errorf("top of an empty heap = %v, %v", e, ok)
	}
	h.remove(&heapEntry{}) // in no heap: ignored
}

// TestHeapSorts drives a heap at random and compares each top with the
// minimum of a plain list.
func TestHeapSorts(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		var h heap[*heapEntry]
		var in, out []*heapEntry
		for range 300 {
			switch {
			case len(in) == 0 || random.IntN(3) == 0:
				e := &heapEntry{key: random.IntN(100)}
				if len(out) > 0 && random.IntN(2) == 0 { // one that was in before
					e, out = out[0], out[1:]
					e.key = random.IntN(100)
				}
				h.fix(e)
				in = append(in, e)
			case random.IntN(2) == 0:
				e := in[random.IntN(len(in))]
				e.key = random.IntN(100)
				h.fix(e)
			default:
				i := random.IntN(len(in))
				h.remove(in[i])
				if in[i].pos != 0 {
					t.Fatalf("removed entry has position %d", in[i].pos)
				}
				out = append(out, in[i])
				in = slices.Delete(in, i, i+1)
			}
			checkHeap(t, &h, in)
		}
		slices.SortFunc(in, func(a, b *heapEntry) int { return a.key - b.key })
		for _, want := range in {
			e, _ := h.top()
			if e.key != want.key {
				t.Fatalf("top has key %d, want %d", e.key, want.key)
			}
			h.remove(e)
		}
		if _, ok := h.top(); ok {
			t.Fatal("the heap is not empty at the end")
		}
	}
}

func checkHeap(t *testing.T, h *heap[*heapEntry], in []*heapEntry) {
	t.Helper()
	if len(h.items) != len(in) {
		t.Fatalf("%d items, want %d", len(h.items), len(in))
	}
	for _, e := range in {
		if e.pos < 1 || e.pos > len(h.items) || h.items[e.pos-1] != e {
			t.Fatalf("entry is not at its position %d", e.pos)
		}
	}
	for i, e := range h.items {
		if parent := h.items[max(i-1, 0)/2]; e.before(parent) {
			t.Fatalf("item %d comes before its parent", i)
		}
	}
}

func TestHeapForgetsRemovedItems(t *testing.T) {
	var h heap[*heapEntry]
	e := &heapEntry{key: 1}
	h.fix(e)
	h.remove(e)
	if kept := h.items[:1]; kept[0] != nil {
		t.Error("a removed item is still referenced")
	}
}
