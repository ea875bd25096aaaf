package loop

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestPollerCarriesHandles(t *testing.T) {
	for _, h := range []Handle{1, newHandle(1, 1), newHandle(maxHandles, generationLimit-1), 1 << 31, 1<<32 - 1} {
		p := must(newPoller())(t)
		r, w := pipe(t)
		reg := registration{fd: r, handle: h}
		if err := reg.want(p, readable); err != nil {
			t.Fatal(err)
		}
		poke(t, w)
		events, err := p.wait(int64(patience))
		if n := len(events); err != nil || n != 1 || handleOf(&events[0]) != h || events[0].Events != readable {
			t.Errorf("waited for handle %#x: %d events, %v, %v", uint64(h), len(events), err, events)
		}
		p.close()
	}
}

func TestRegistration(t *testing.T) {
	p := must(newPoller())(t)
	t.Cleanup(p.close)
	r, w := pipe(t)
	reg := registration{fd: r, handle: 1}
	ready := func() int {
		t.Helper()
		return len(must(p.wait(0))(t))
	}
	reg.leave(p) // not there: nothing
	for range 2 {
		if err := reg.want(p, readable); err != nil {
			t.Fatal(err)
		}
		if n := ready(); n != 0 {
			t.Errorf("%d events on an empty pipe", n)
		}
		poke(t, w)
		if n := ready(); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
		if err := reg.want(p, 0); err != nil {
			t.Fatal(err)
		}
		if n := ready(); n != 0 {
			t.Errorf("%d events that nobody wants", n)
		}
		if err := reg.want(p, readable); err != nil {
			t.Fatal(err)
		}
		reg.leave(p)
		reg.leave(p)
		if n := ready(); n != 0 {
			t.Errorf("%d events after leave", n)
		}
		if _, err := unix.Read(r, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
}
