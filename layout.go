package main

/*
#include <sys/epoll.h>
#include "server_go.h"

enum {
	COMMAND_KIND = offsetof(struct sgo_command, kind),
	COMMAND_LENGTH = offsetof(struct sgo_command, length),
	SECURE_FLAGS = offsetof(struct sgo_secure, flags),
	SECURE_LENGTH = offsetof(struct sgo_secure, length),
	EPOLL_DATA = offsetof(struct epoll_event, data),
};
*/
import "C"

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"net.server_go/loop"
)

// What C and Go share has the same size and offsets on both sides, else this does
// not compile: the types of both arrays differ, or one's length is negative.
// server_go.h has C's compiler check its own side.
//
// These structs Go has from cgo, which pads its own types to C's: on 32 bits Go
// aligns an int64 to 4 bytes, and C on arm to 8.
var (
	_ [C.sizeof_struct_sgo_error]struct{}    = [unsafe.Sizeof(C.struct_sgo_error{})]struct{}{}
	_ [C.sizeof_struct_sgo_text]struct{}     = [unsafe.Sizeof(C.struct_sgo_text{})]struct{}{}
	_ [C.sizeof_struct_sgo_buffer]struct{}   = [unsafe.Sizeof(C.struct_sgo_buffer{})]struct{}{}
	_ [C.sizeof_struct_sgo_event]struct{}    = [unsafe.Sizeof(C.struct_sgo_event{})]struct{}{}
	_ [C.sizeof_struct_sgo_object]struct{}   = [unsafe.Sizeof(C.struct_sgo_object{})]struct{}{}
	_ [C.sizeof_struct_sgo_names]struct{}    = [unsafe.Sizeof(C.struct_sgo_names{})]struct{}{}
	_ [C.sizeof_struct_sgo_stats]struct{}    = [unsafe.Sizeof(C.struct_sgo_stats{})]struct{}{}
	_ [C.sizeof_struct_sgo_wait]struct{}     = [unsafe.Sizeof(C.struct_sgo_wait{})]struct{}{}
	_ [C.sizeof_struct_sgo_turn]struct{}     = [unsafe.Sizeof(C.struct_sgo_turn{})]struct{}{}
	_ [C.sizeof_struct_sgo_settings]struct{} = [unsafe.Sizeof(C.struct_sgo_settings{})]struct{}{}

	_ [37 + 2*pointerSize]struct{}                                              = [unsafe.Offsetof(C.struct_sgo_event{}.refused)]struct{}{}
	_ [12]struct{}                                                              = [unsafe.Offsetof(C.struct_sgo_object{}.datagram)]struct{}{}
	_ [120]struct{}                                                             = [unsafe.Offsetof(C.struct_sgo_names{}.local)]struct{}{}
	_ [8*(2*int(loop.Kinds)+int(loop.Limits)+int(loop.Reasons)+15) + 1]struct{} = [unsafe.Offsetof(C.struct_sgo_stats{}.reason)]struct{}{}
	_ [2*pointerSize + 24]struct{}                                              = [unsafe.Offsetof(C.struct_sgo_turn{}.wait)]struct{}{}
	_ [7*8 + 2*4]struct{}                                                       = [unsafe.Offsetof(C.struct_sgo_settings{}.fatal_errors)]struct{}{}
)

const pointerSize = unsafe.Sizeof(uintptr(0))

// These package loop reads by offsets of its own.
var (
	_ [C.sizeof_struct_sgo_command]struct{} = [loop.RecordHeader]struct{}{}
	_ [C.COMMAND_KIND]struct{}              = [8]struct{}{}
	_ [C.COMMAND_LENGTH]struct{}            = [12]struct{}{}
	_ [C.sizeof_struct_sgo_secure]struct{}  = [loop.SecureHeader]struct{}{}
	_ [C.SECURE_FLAGS]struct{}              = [8]struct{}{}
	_ [C.SECURE_LENGTH]struct{}             = [12]struct{}{}
)

// This is the system's, which C waits with.
var (
	_ [C.sizeof_struct_epoll_event]struct{} = [unsafe.Sizeof(unix.EpollEvent{})]struct{}{}
	_ [C.EPOLL_DATA]struct{}                = [unsafe.Offsetof(unix.EpollEvent{}.Fd)]struct{}{}
)

// The numbers that both sides count by.
var (
	_ [C.SGO_START]struct{}        = [loop.CommandKinds]struct{}{}
	_ [C.SGO_NOTE]struct{}         = [loop.Note]struct{}{}
	_ [C.SGO_KINDS]struct{}        = [loop.Kinds]struct{}{}
	_ [C.SGO_LIMITS]struct{}       = [loop.Limits]struct{}{}
	_ [C.SGO_REASONS]struct{}      = [loop.Reasons]struct{}{}
	_ [C.SGO_READY_EVENTS]struct{} = [loop.BatchEvents]struct{}{}
	_ [-C.SGO_READ_ANY]struct{}    = [-loop.ReadAny]struct{}{}
	_ [-C.SGO_READ_LINES]struct{}  = [-loop.ReadLines]struct{}{}
)
