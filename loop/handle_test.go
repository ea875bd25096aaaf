package loop

import (
	"math/rand/v2"
	"testing"
)

func TestTableKeepsValues(t *testing.T) {
	var table table[string]
	a, b := table.insert("a"), table.insert("b")
	if a == 0 || b == 0 || a == b {
		t.Fatalf("handles %d and %d: want two different ones, neither zero", a, b)
	}
	for h, want := range map[Handle]string{a: "a", b: "b"} {
		if v, ok := table.get(h); !ok || v != want {
			t.Errorf("get(%d) = %q, %v; want %q", h, v, ok, want)
		}
	}
	if n := table.len(); n != 2 {
		t.Errorf("len = %d, want 2", n)
	}
}

func TestTableUsesSlotsAgainWithAnotherGeneration(t *testing.T) {
	var table table[int]
	first := table.insert(1)
	table.remove(first)
	second := table.insert(2)
	if first.Index() != second.Index() {
		t.Errorf("index %d after %d: the free slot was not used", second.Index(), first.Index())
	}
	if first == second {
		t.Error("the handle of a removed value names its successor")
	}
	if _, ok := table.get(first); ok {
		t.Error("a removed handle is still found")
	}
	table.remove(first)
	if v, ok := table.get(second); !ok || v != 2 {
		t.Error("removing a stale handle removed its successor")
	}
}

func TestTableForgetsRemovedValues(t *testing.T) {
	var table table[*int]
	h := table.insert(new(int))
	table.remove(h)
	if table.slots[0].value != nil {
		t.Error("the value of a free slot is still referenced")
	}
}

func TestTableRejectsForeignHandles(t *testing.T) {
	var table table[int]
	h := table.insert(1)
	for _, wrong := range []Handle{0, 1, h + 1, h - 1, h + 1<<indexBits, h | 1<<60, maxHandles, ^Handle(0)} {
		if _, ok := table.get(wrong); ok {
			t.Errorf("get(%#x) found something", uint64(wrong))
		}
		table.remove(wrong)
	}
	if n := table.len(); n != 1 {
		t.Errorf("len = %d after removing what is not there, want 1", n)
	}
}

func TestSlotIsRetiredAfterItsLastGeneration(t *testing.T) {
	var table table[int]
	table.remove(table.insert(1))
	table.slots[0].generation = generationLimit - 1
	last := table.insert(1)
	if h := uint64(newHandle(maxHandles, generationLimit-1)); h >= 1<<53 {
		t.Errorf("the largest handle %#x is no exact Lua number", h)
	}
	if last != newHandle(1, generationLimit-1) {
		t.Fatalf("handle %#x, want the last generation of the first slot", uint64(last))
	}
	table.remove(last)
	if n := table.len(); n != 0 {
		t.Errorf("len = %d, want 0", n)
	}
	if h := table.insert(2); h != newHandle(2, 1) {
		t.Errorf("handle %#x, want the first generation of the second slot: one that was issued names something else now", uint64(h))
	}
	if _, ok := table.get(last); ok {
		t.Error("the handle of the last generation is still found")
	}
}

// checkTable applies ops to a table and to a map, which must agree.
func checkTable(t *testing.T, ops []byte) {
	t.Helper()
	var table table[int]
	model := map[Handle]int{}
	var issued []Handle
	for i, op := range ops {
		if op < 128 || len(issued) == 0 {
			h := table.insert(i)
			if _, taken := model[h]; taken || h == 0 {
				t.Fatalf("step %d: insert returned %#x, which is in use", i, uint64(h))
			}
			model[h] = i
			issued = append(issued, h)
		} else {
			h := issued[int(op)*7919%len(issued)]
			table.remove(h)
			delete(model, h)
		}
		if table.len() != len(model) {
			t.Fatalf("step %d: len = %d, want %d", i, table.len(), len(model))
		}
	}
	seen := map[Handle]bool{}
	for _, h := range issued {
		if seen[h] {
			t.Fatalf("handle %#x was issued twice", uint64(h))
		}
		seen[h] = true
		want, in := model[h]
		if v, ok := table.get(h); ok != in || v != want {
			t.Fatalf("get(%#x) = %d, %v; want %d, %v", uint64(h), v, ok, want, in)
		}
	}
}

func TestTableIsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		ops := make([]byte, random.IntN(500))
		for i := range ops {
			ops[i] = byte(random.Uint32())
		}
		checkTable(t, ops)
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 200, 0, 201, 0})
	f.Add([]byte{1, 2, 3, 128, 255, 4, 190, 5})
	f.Fuzz(checkTable)
}
