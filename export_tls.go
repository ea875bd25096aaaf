package main

/*
#include <stdlib.h>
#include <lua.h>
#include "server_go.h"
*/
import "C"

import (
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"net.server_go/loop"
	"net.server_go/openssl"
	"net.server_go/tls"
)

func init() {
	tls.WrapSigner = openssl.Signer
}

// noticed are the notices that were logged already.
var noticed sync.Map

func setText(out *C.struct_sgo_text, text []byte) {
	out.data = (*C.char)(C.CBytes(text))
	out.length = C.size_t(len(text))
}

//export sgo_context_new
func sgo_context_new(io C.uint32_t, L *C.lua_State, index C.int, id *C.uint64_t, notices *C.struct_sgo_text, e *C.struct_sgo_error) (status C.int) {
	needed := 0
	status = with(io, e, func(s *side) error {
		state, err := foreignState(unsafe.Pointer(L))
		if err != nil {
			return err
		}
		handle, news, err := newContext(s.loop, state, int(index))
		*id = C.uint64_t(handle)
		var password passwordNeeded
		if errors.As(err, &password) {
			needed = password.pair
			return nil
		}
		var lines strings.Builder
		for _, n := range news {
			if _, known := noticed.LoadOrStore(n, true); !known {
				fmt.Fprintf(&lines, "%s\t%s\n", n.Level, n.Text)
			}
		}
		setText(notices, []byte(lines.String()))
		return err
	})
	if status == 0 {
		return C.int(needed)
	}
	return status
}

//export sgo_context_free
func sgo_context_free(io C.uint32_t, id C.uint64_t) {
	with(io, nil, func(s *side) error {
		s.loop.RemoveContext(loop.Handle(id))
		return nil
	})
}

//export sgo_enable_dane
func sgo_enable_dane(io C.uint32_t, handle C.uint64_t, name *C.char, length C.size_t) {
	with(io, nil, func(s *side) error {
		s.loop.EnableDANE(loop.Handle(handle), string(goBytes(name, length)))
		return nil
	})
}

//export sgo_add_tlsa
func sgo_add_tlsa(io C.uint32_t, handle C.uint64_t, usage, selector, matching C.uint8_t, data *C.char, dataLength C.size_t) {
	with(io, nil, func(s *side) error {
		s.loop.AddTLSA(loop.Handle(handle), tls.TLSA{
			Usage: uint8(usage), Selector: uint8(selector), MatchingType: uint8(matching),
			Data: slices.Clone(goBytes(data, dataLength)),
		})
		return nil
	})
}

//export sgo_tls_query
func sgo_tls_query(io C.uint32_t, handle C.uint64_t, what, arg C.int, out *C.struct_sgo_text) (found C.int) {
	with(io, nil, func(s *side) error {
		session := s.loop.Session(loop.Handle(handle))
		if session == nil {
			return nil
		}
		if text := query(session, what, int(arg)); text != nil {
			setText(out, text)
			found = 1
		}
		return nil
	})
	return found
}

// query answers what C asks of a session; nil if there is no answer.
func query(s *tls.Session, what C.int, arg int) []byte {
	switch what {
	case C.SGO_TLS_INFO:
		return infoText(tls.InfoOf(s.ConnectionState()))
	case C.SGO_TLS_CERTIFICATE:
		if chain := s.PeerCertificates(); arg < len(chain) {
			return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[arg].Raw})
		}
	case C.SGO_TLS_VERIFICATION:
		return verificationText(s)
	case C.SGO_TLS_FINISHED:
		return s.Finished()
	case C.SGO_TLS_OWN_FINISHED:
		return s.OwnFinished()
	case C.SGO_TLS_SERVER_NAME:
		return textOrNil(s.ServerName())
	case C.SGO_TLS_ALPN:
		return textOrNil(s.ConnectionState().NegotiatedProtocol)
	}
	return nil
}

func textOrNil(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// infoText has a line a field: its type (string, number, boolean), name and
// value. An absent value is no line.
func infoText(i tls.Info) []byte {
	var b strings.Builder
	text := func(name, value string) {
		if value != "" {
			b.WriteString("s" + name + "\t" + value + "\n")
		}
	}
	text("protocol", i.Protocol)
	text("cipher", i.Cipher)
	text("encryption", i.Encryption)
	text("mac", i.MAC)
	text("key", i.Key)
	text("authentication", i.Authentication)
	text("compression", i.Compression)
	text("group", i.Group)
	b.WriteString("nbits\t" + strconv.Itoa(i.Bits) + "\nnalgbits\t" + strconv.Itoa(i.AlgBits) + "\n")
	export := ""
	if i.Export {
		export = "1"
	}
	b.WriteString("bexport\t" + export + "\n")
	return []byte(b.String())
}

// verificationText is empty if the peer is trusted. Otherwise its first line
// is the first error where the context stops at it, else empty; the others
// are depth and error.
func verificationText(s *tls.Session) []byte {
	r := s.Verification()
	if r.OK {
		return []byte{}
	}
	var b strings.Builder
	if !s.Context().VerifyContinue() {
		b.WriteString(r.Text)
	}
	b.WriteByte('\n')
	for depth, texts := range r.Errors {
		for _, text := range texts {
			fmt.Fprintf(&b, "%d\t%s\n", depth, text)
		}
	}
	return []byte(b.String())
}

//export sgo_tls_export
func sgo_tls_export(io C.uint32_t, handle C.uint64_t, label *C.char, labelLength C.size_t, context *C.char, contextLength C.size_t, length C.int, out *C.struct_sgo_text) C.int {
	return with(io, nil, func(s *side) error {
		session := s.loop.Session(loop.Handle(handle))
		if session == nil {
			return errClosed
		}
		var ctx []byte
		if context != nil {
			ctx = append([]byte{}, goBytes(context, contextLength)...)
		}
		key, err := session.ExportKeyingMaterial(string(goBytes(label, labelLength)), ctx, int(length))
		if err == nil {
			setText(out, key)
		}
		return err
	})
}
