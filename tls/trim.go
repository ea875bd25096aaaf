package tls

import (
	"bytes"
	stdtls "crypto/tls"
	"reflect"
	"unsafe"
)

// trimmed are the offsets of the buffers that a crypto/tls connection keeps
// as large as the largest record or handshake message it ever saw
// (golang/go#43563). A version that has them not, or of another type, is left
// as it is.
var trimmed = func() (offsets []uintptr) {
	conn := reflect.TypeFor[stdtls.Conn]()
	for _, name := range []string{"rawInput", "hand"} {
		if f, ok := conn.FieldByName(name); ok && f.Type == reflect.TypeFor[bytes.Buffer]() {
			offsets = append(offsets, f.Offset)
		}
	}
	return offsets
}()

// Holds reports whether Trim would let go of something.
func (s *Session) Holds(keep int) bool {
	for _, offset := range trimmed {
		if (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(s.conn), offset)).Cap() > keep {
			return true
		}
	}
	return false
}

// Trim lets go of input buffers of more than keep bytes that are empty, which
// an empty bytes.Buffer does not do by itself. An idle connection has none.
func (s *Session) Trim(keep int) {
	for _, offset := range trimmed {
		buffer := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(s.conn), offset))
		if buffer.Len() == 0 && buffer.Cap() > keep {
			*buffer = bytes.Buffer{}
		}
	}
}
