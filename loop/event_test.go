package loop

import "testing"

func TestArena(t *testing.T) {
	a := arena{memory: make([]byte, 10)}
	copy(a.room(), "abc")
	first := a.take(3)
	second := a.copy([]byte("defgh"))
	cut := a.copy([]byte("ijkl"))
	if string(first) != "abc" || string(second) != "defgh" || string(cut) != "ij" {
		t.Errorf("%q, %q, %q", first, second, cut)
	}
	if len(a.room()) != 0 {
		t.Errorf("room for %d bytes in a full arena", len(a.room()))
	}
	if _ = append(first, 'X'); string(second) != "defgh" {
		t.Error("appending to one part reaches into the next")
	}
}
