package loop

import "testing"

func TestArena(t *testing.T) {
	a := arena{memory: make([]byte, 10)}
	copy(a.room(4), "abc")
	first := a.take(3) // one less than asked for
	copy(a.room(5), "defgh")
	second := a.take(5)
	end := a.head
	if string(first) != "abc" || string(second) != "defgh" {
		t.Errorf("%q, %q", first, second)
	}
	if _ = append(first, 'X'); string(second) != "defgh" {
		t.Error("appending to one part reaches into the next")
	}
	if a.room(3) != nil {
		t.Error("room in what is not free")
	}
	a.free(3)
	copy(a.room(3), "ijk") // at the start: 2 bytes at the end are too few
	third := a.take(3)
	if string(second) != "defgh" || string(third) != "ijk" {
		t.Errorf("%q, %q", second, third)
	}
	if a.room(1) != nil {
		t.Error("room in a full arena")
	}
	a.free(end)
	if room := a.room(5); len(room) != 5 {
		t.Errorf("%d bytes of room, want 5", len(room))
	}
	a.free(a.head)
	if room := a.room(10); len(room) != 10 {
		t.Errorf("%d bytes of room in an empty arena, want 10", len(room))
	}
	if a.room(11) != nil {
		t.Error("more room than memory")
	}
}
