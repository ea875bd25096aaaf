package main

import (
	"reflect"
	"testing"
	"unsafe"

	"net.server_go/loop"
)

type (
	cStats = _Ctype_struct_sgo_stats
	cText  = _Ctype_struct_sgo_text
)

func TestStats(t *testing.T) {
	io := newIO(t)
	io.watch()
	io.await(loop.Ready, 1)
	var stats cStats
	var failures cText
	sgo_stats(io.number, &stats, &failures)
	if stats.opened[loop.KindWatch] != 1 || stats.closed[loop.KindWatch] != 0 || stats.events == 0 {
		t.Errorf("%+v: want a watch and its events", stats)
	}
	if failures.length != 0 {
		t.Errorf("failures of %d bytes, want none", failures.length)
	}
	_Cfunc_free(unsafe.Pointer(failures.data))
}

// TestEveryStatisticGetsToC fills each field of loop.Stats with a number of
// its own, and looks for them all on the other side.
func TestEveryStatisticGetsToC(t *testing.T) {
	var s loop.Stats
	want := map[uint64]string{}
	n := uint64(100)
	var fill func(name string, v reflect.Value)
	fill = func(name string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Array:
			for i := range v.Len() {
				fill(name, v.Index(i))
			}
			return
		case reflect.Int:
			v.SetInt(int64(n))
		case reflect.Uint64:
			v.SetUint(n)
		default:
			return // Threaded, Reason and Failures, see below
		}
		want[n] = name
		n++
	}
	for i := range reflect.TypeOf(s).NumField() {
		fill(reflect.TypeOf(s).Field(i).Name, reflect.ValueOf(&s).Elem().Field(i))
	}
	s.Threaded, s.Reason = true, loop.ReasonCalm
	var out cStats
	setStats(&out, &s)
	if out.threaded != 1 || loop.Reason(out.reason) != loop.ReasonCalm {
		t.Error("threaded or its reason is not set")
	}
	for _, got := range unsafe.Slice((*uint64)(unsafe.Pointer(&out)), unsafe.Sizeof(out)/8) {
		delete(want, got)
	}
	for _, name := range want {
		t.Errorf("%s does not get to C", name)
	}
}

func TestFailureText(t *testing.T) {
	if got := failureText(nil); len(got) != 0 {
		t.Errorf("%q for none", got)
	}
	got := string(failureText(map[string]uint64{"b": 2, "a\nb": 1}))
	if want := "1\ta b\n2\tb\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
