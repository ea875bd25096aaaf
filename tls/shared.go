package tls

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync"
	"weak"
)

// shared keeps one value for each digest, as long as somebody else refers to it:
// contexts that name the same file have its parsed content in common. Values
// must not change once they are made.
type shared[V any] struct {
	mu     sync.Mutex
	values map[digest]weak.Pointer[V]
}

// digest identifies what a value was made of, by its content. A file's name and
// time stamp would not do: a file that is written twice within one tick of the
// clock, or restored with its old time, would be taken for what it was.
type digest [sha256.Size]byte

// digestOf identifies several contents in their order.
func digestOf(contents ...[]byte) (d digest) {
	h := sha256.New()
	for _, content := range contents {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(content)))
		h.Write(length[:])
		h.Write(content)
	}
	h.Sum(d[:0])
	return d
}

// get returns the value of d, or nil if nobody has one.
func (s *shared[V]) get(d digest) *V {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[d].Value()
}

// add returns the value of d, which is v unless somebody else was faster.
func (s *shared[V]) add(d digest, v *V) *V {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.values[d].Value(); other != nil {
		return other
	}
	if s.values == nil {
		s.values = map[digest]weak.Pointer[V]{}
	}
	s.values[d] = weak.Make(v)
	runtime.AddCleanup(v, s.forget, d)
	return v
}

// forget removes d, unless it has a new value already.
func (s *shared[V]) forget(d digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values[d].Value() == nil {
		delete(s.values, d)
	}
}
