// Command server_go is net/server_go.so, a network backend for Prosody: a
// Lua C module whose I/O side is package loop. This file is the boundary,
// include/server_go.h is its manual. It is built with -buildmode=c-shared.
package main

/*
#cgo CFLAGS: -I${SRCDIR}/include -std=gnu11 -Wall -Wextra -Werror
#cgo LDFLAGS: -Wl,--wrap=x_cgo_sys_thread_create -Wl,--wrap=x_cgo_thread_start -Wl,--wrap=x_cgo_init
#cgo LDFLAGS: -Wl,--wrap=crosscall1 -Wl,--wrap=crosscall2
#include <stdlib.h>
#include <sys/epoll.h>
#include <lua.h>
#include "server_go.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"net.server_go/loop"
)

func main() {} // required by c-shared, never called

// side is one I/O side, with its batch as C sees it.
type side struct {
	loop     *loop.Loop
	events   *C.struct_sgo_event // C memory
	capacity int
	shown    int // of the present batch
}

var (
	sides    sync.Map // uint32 → *side
	lastSide atomic.Uint32
)

var errClosed = errors.New("the backend is closed")

// with runs f on the side io. Whatever goes wrong, a panic too, is -1 and a
// text: no panic may reach C, where it would end the process.
func with(io C.uint32_t, e *C.struct_sgo_error, f func(*side) error) (status C.int) {
	var err error
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal error: %v", r)
		}
		if err != nil {
			status = -1
			setError(e, err)
		}
	}()
	if s, ok := sides.Load(uint32(io)); ok {
		err = f(s.(*side))
	} else {
		err = errClosed
	}
	return 0
}

func setError(e *C.struct_sgo_error, err error) {
	if e != nil {
		text := unsafe.Slice((*byte)(unsafe.Pointer(&e.text)), len(e.text))
		text[copy(text[:len(text)-1], err.Error())] = 0
	}
}

func goBytes(p *C.char, n C.size_t) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n))
}

func setObject(out *C.struct_sgo_object, o loop.Opened) {
	out.handle, out.fd, out.datagram = C.uint64_t(o.Handle), C.int32_t(o.FD), cBool(o.Datagram)
}

//export sgo_open
func sgo_open(e *C.struct_sgo_error) C.uint32_t {
	l, err := loop.New()
	if err != nil {
		setError(e, err)
		return 0
	}
	io := lastSide.Add(1)
	sides.Store(io, &side{loop: l})
	return C.uint32_t(io)
}

//export sgo_close
func sgo_close(io C.uint32_t) {
	with(io, nil, func(s *side) error {
		sides.Delete(uint32(io))
		for _, log := range s.loop.Close() {
			C.free(unsafe.Pointer(unsafe.SliceData(log)))
		}
		C.free(unsafe.Pointer(s.events))
		return nil
	})
}

//export sgo_configure
func sgo_configure(io C.uint32_t, L *C.lua_State, index C.int, out *C.struct_sgo_settings, e *C.struct_sgo_error) C.int {
	return with(io, e, func(s *side) error {
		state, err := foreignState(unsafe.Pointer(L))
		if err != nil {
			return err
		}
		settings, luaSide, err := readSettings(state, int(index), float64(out.max_send_buffer))
		s.loop.Configure(settings)
		*out = luaSide.c(settings)
		return err
	})
}

//export sgo_step
func sgo_step(io C.uint32_t, turn *C.struct_sgo_turn, events **C.struct_sgo_event, e *C.struct_sgo_error) (n C.int) {
	turn.wait = C.struct_sgo_wait{fd: -1}
	status := with(io, e, func(s *side) error {
		for i, ev := range unsafe.Slice(s.events, s.shown) {
			if ev.refused != 0 {
				s.loop.Refuse(i)
			}
		}
		s.shown = 0
		commands := turn.commands
		done := loop.Done{
			Log:     goBytes(commands.data, commands.size)[:commands.used],
			Waited:  turn.waited != 0,
			Busy:    int64(turn.busy),
			MaxWait: int64(turn.max_wait),
		}
		if turn.nready >= 0 {
			done.Ready = unsafe.Slice((*unix.EpollEvent)(unsafe.Pointer(turn.ready)), turn.nready)
		} else {
			done.Err = os.NewSyscallError("epoll_pwait", syscall.Errno(-turn.nready))
		}
		*commands = C.struct_sgo_buffer{} // the loop's from now on, even if it panics
		batch, spent, wait, err := s.loop.Step(done)
		commands.data, commands.used, commands.size = (*C.char)(unsafe.Pointer(unsafe.SliceData(spent))), 0, C.size_t(cap(spent))
		turn.wait = C.struct_sgo_wait{fd: C.int(wait.FD), ns: C.int64_t(wait.Time)}
		s.show(batch)
		*events, n = s.events, C.int(len(batch))
		return err
	})
	if status < 0 {
		return status
	}
	return n
}

//export sgo_flush
func sgo_flush(io C.uint32_t, commands *C.char, length C.size_t) {
	with(io, nil, func(s *side) error {
		s.loop.Flush(goBytes(commands, length))
		return nil
	})
}

// show writes batch where C reads it.
func (s *side) show(batch []loop.Event) {
	if len(batch) > s.capacity {
		s.capacity = len(batch) + len(batch)/2
		size := C.size_t(s.capacity) * C.sizeof_struct_sgo_event
		C.free(unsafe.Pointer(s.events))
		s.events = (*C.struct_sgo_event)(C.malloc(size)) // never nil: cgo checks
	}
	shown := unsafe.Slice(s.events, s.capacity)
	for i := range batch {
		ev := &batch[i]
		shown[i] = C.struct_sgo_event{
			handle:   C.uint64_t(ev.Handle),
			listener: C.uint64_t(ev.Listener),
			sent:     C.uint64_t(ev.Sent),
			bytes:    (*C.char)(unsafe.Pointer(unsafe.SliceData(ev.Bytes))),
			length:   C.size_t(len(ev.Bytes)),
			kind:     C.int32_t(ev.Kind),
			value:    C.int32_t(ev.Value),
			fd:       C.int32_t(ev.FD),
			flag:     cBool(ev.Flag),
		}
	}
	s.shown = len(batch)
}

func cBool(b bool) C.uint8_t {
	if b {
		return 1
	}
	return 0
}

//export sgo_listen
func sgo_listen(io C.uint32_t, host *C.char, length C.size_t, port, mode C.int, o *C.struct_sgo_object, e *C.struct_sgo_error) C.int {
	return with(io, e, func(s *side) error {
		opened, err := s.loop.Listen(string(goBytes(host, length)), int(port), int(mode))
		setObject(o, opened)
		return err
	})
}

//export sgo_serve
func sgo_serve(io C.uint32_t, fd, mode C.int, o *C.struct_sgo_object, e *C.struct_sgo_error) C.int {
	return with(io, e, func(s *side) error {
		opened, err := s.loop.Serve(int(fd), int(mode))
		setObject(o, opened)
		return err
	})
}

//export sgo_dial
func sgo_dial(io C.uint32_t, host *C.char, length C.size_t, port C.int, kind *C.char, kindLength C.size_t, mode C.int, o *C.struct_sgo_object, e *C.struct_sgo_error) C.int {
	return with(io, e, func(s *side) error {
		opened, err := s.loop.Dial(string(goBytes(host, length)), int(port), string(goBytes(kind, kindLength)), int(mode))
		setObject(o, opened)
		return err
	})
}

//export sgo_adopt
func sgo_adopt(io C.uint32_t, fd, mode C.int, o *C.struct_sgo_object, e *C.struct_sgo_error) C.int {
	return with(io, e, func(s *side) error {
		opened, err := s.loop.Adopt(int(fd), int(mode))
		setObject(o, opened)
		return err
	})
}

//export sgo_watch
func sgo_watch(io C.uint32_t, fd C.int, flags C.uint32_t, o *C.struct_sgo_object, e *C.struct_sgo_error) C.int {
	return with(io, e, func(s *side) error {
		opened, err := s.loop.Watch(int(fd), uint32(flags))
		setObject(o, opened)
		return err
	})
}

//export sgo_release
func sgo_release(io C.uint32_t, handle C.uint64_t) {
	with(io, nil, func(s *side) error {
		s.loop.Release(loop.Handle(handle))
		return nil
	})
}

//export sgo_names
func sgo_names(io C.uint32_t, handle C.uint64_t, out *C.struct_sgo_names) {
	*out = C.struct_sgo_names{}
	with(io, nil, func(s *side) error {
		peer, local := s.loop.Names(loop.Handle(handle))
		setName(&out.peer, peer)
		setName(&out.local, local)
		return nil
	})
}

func setName(out *C.struct_sgo_name, n loop.Name) {
	if n.Known {
		out.known, out.port = 1, C.int(n.Port)
		host := unsafe.Slice((*byte)(unsafe.Pointer(&out.host)), len(out.host))
		host[copy(host[:len(host)-1], n.Host)] = 0
	}
}

//export sgo_sent
func sgo_sent(io C.uint32_t, handle C.uint64_t) (sent C.uint64_t) {
	with(io, nil, func(s *side) error {
		sent = C.uint64_t(s.loop.Sent(loop.Handle(handle)))
		return nil
	})
	return sent
}

//export sgo_setoption
func sgo_setoption(io C.uint32_t, handle C.uint64_t, name *C.char, length C.size_t, value C.int, e *C.struct_sgo_error) C.int {
	return with(io, e, func(s *side) error {
		return s.loop.SetOption(loop.Handle(handle), string(goBytes(name, length)), int(value))
	})
}
