package main

/*
#include "server_go.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unsafe"

	"github.com/aarzilli/golua/lua"

	"net.server_go/loop"
)

// foreignState makes golua speak to a lua_State that it did not create, for
// which it has no constructor. Only its functions that cannot raise a Lua
// error may be used: raw access, pushes, type tests.
func foreignState(L unsafe.Pointer) (*lua.State, error) {
	if errState != nil {
		return nil, errState
	}
	s := new(lua.State)
	*(*unsafe.Pointer)(unsafe.Pointer(s)) = L
	return s, nil
}

// errState is set if golua's State is not what foreignState takes it for.
var errState = func() error {
	t := reflect.TypeFor[lua.State]()
	if f := t.Field(0); f.Name != "s" || f.Offset != 0 || f.Type.Kind() != reflect.Pointer {
		return errors.New("this version of golua is not supported: lua.State has changed")
	}
	return nil
}()

// luaSettings are the settings that the C side acts on.
type luaSettings struct {
	shutdownDeadline, maxSendBuffer, acceptRetryInterval float64
	verbose, protectListeners, fatalErrors               bool
}

// c adds those of the I/O side's settings that C needs for connections that the
// I/O side does not read or write.
func (s luaSettings) c(l loop.Settings) C.struct_sgo_settings {
	return C.struct_sgo_settings{
		read_timeout:          C.double(l.ReadTimeout),
		send_timeout:          C.double(l.SendTimeout),
		connect_timeout:       C.double(l.ConnectTimeout),
		read_size:             C.double(l.ReadSize),
		shutdown_deadline:     C.double(s.shutdownDeadline),
		max_send_buffer:       C.double(s.maxSendBuffer),
		accept_retry_interval: C.double(s.acceptRetryInterval),
		verbose:               C.int(cBool(s.verbose)),
		protect_listeners:     C.int(cBool(s.protectListeners)),
		fatal_errors:          C.int(cBool(s.fatalErrors)),
	}
}

// readSettings reads network_settings from the table at index. A key that is
// absent has its default (maxSendBuffer depends on the Prosody); so has one of the wrong type, which is reported in
// the error (all such keys in one).
func readSettings(L *lua.State, index int, maxSendBuffer float64) (loop.Settings, luaSettings, error) {
	t := &settingsTable{L: L, index: index}
	d := loop.DefaultSettings()
	s := loop.Settings{
		ReadTimeout:         t.number("read_timeout", d.ReadTimeout),
		SendTimeout:         t.number("send_timeout", d.SendTimeout),
		ConnectTimeout:      t.number("connect_timeout", d.ConnectTimeout),
		HandshakeTimeout:    t.number("ssl_handshake_timeout", d.HandshakeTimeout),
		HandshakeDeadline:   t.number("ssl_handshake_deadline", d.HandshakeDeadline),
		AcceptRetryInterval: t.number("accept_retry_interval", d.AcceptRetryInterval),
		ReadSize:            t.count("read_size", d.ReadSize, 1),
		Backlog:             t.count("tcp_backlog", d.Backlog, 0),
		NoDelay:             !t.boolean("nagle", !d.NoDelay),
		FastOpen:            t.optionalCount("tcp_fastopen"),
		DeferAccept:         t.optionalCount("tcp_defer_accept"),
		IOThread:            t.ioThread("io_thread"),
	}
	s.KeepaliveIdle = t.optionalCount("tcp_keepalive")
	s.Keepalive = s.KeepaliveIdle > 0
	if s.KeepaliveIdle == 1 && t.isBoolean("tcp_keepalive") {
		s.KeepaliveIdle = 0
	}
	l := luaSettings{
		acceptRetryInterval: s.AcceptRetryInterval,
		maxSendBuffer:       t.number("max_send_buffer_size", maxSendBuffer),
		shutdownDeadline:    5,
		verbose:             t.boolean("verbose", false),
		protectListeners:    t.boolean("protect_listeners", true),
		fatalErrors:         t.boolean("fatal_errors", false),
	}
	if t.isBoolean("shutdown_deadline") {
		if !t.boolean("shutdown_deadline", true) {
			l.shutdownDeadline = -1
		}
	} else {
		l.shutdownDeadline = t.number("shutdown_deadline", l.shutdownDeadline)
	}
	return s, l, t.err()
}

// settingsTable reads typed values from a Lua table and collects complaints.
type settingsTable struct {
	L        *lua.State
	index    int
	problems []string
}

// get pushes the value of key; the caller pops it.
func (t *settingsTable) get(key string) lua.LuaValType {
	t.L.PushString(key)
	t.L.RawGet(t.index)
	return t.L.Type(-1)
}

func (t *settingsTable) complain(key, expected string) {
	t.problems = append(t.problems, fmt.Sprintf("%s: %s expected", key, expected))
}

func (t *settingsTable) err() error {
	if t.problems == nil {
		return nil
	}
	return errors.New("network_settings: " + strings.Join(t.problems, "; "))
}

func (t *settingsTable) isBoolean(key string) bool {
	defer t.L.Pop(1)
	return t.get(key) == lua.LUA_TBOOLEAN
}

// number accepts numerals in strings as well, as Lua's arithmetic does.
func (t *settingsTable) number(key string, absent float64) float64 {
	defer t.L.Pop(1)
	value := math.NaN()
	if t.get(key) == lua.LUA_TNIL {
		return absent
	}
	if t.L.IsNumber(-1) {
		value = t.L.ToNumber(-1)
	}
	if math.IsNaN(value) || value < 0 {
		t.complain(key, "number of at least 0")
		return absent
	}
	return value
}

func (t *settingsTable) count(key string, absent, least int) int {
	n := t.number(key, float64(absent))
	if n < float64(least) || n > math.MaxInt32 {
		t.complain(key, fmt.Sprintf("number from %d to %d", least, math.MaxInt32))
		return absent
	}
	return int(n)
}

// optionalCount reads a number, or a boolean for 1 and 0.
func (t *settingsTable) optionalCount(key string) int {
	if t.isBoolean(key) {
		if t.boolean(key, false) {
			return 1
		}
		return 0
	}
	return t.count(key, 0, 0)
}

// ioThread reads true, false, or nil for what the load asks for.
func (t *settingsTable) ioThread(key string) loop.IOThread {
	defer t.L.Pop(1)
	switch t.get(key) {
	case lua.LUA_TNIL:
	case lua.LUA_TBOOLEAN:
		if t.L.ToBoolean(-1) {
			return loop.IOThreadAlways
		}
		return loop.IOThreadNever
	default:
		t.complain(key, "true or false")
	}
	return loop.IOThreadAuto
}

// boolean has Lua's idea of truth.
func (t *settingsTable) boolean(key string, absent bool) bool {
	defer t.L.Pop(1)
	if t.get(key) == lua.LUA_TNIL {
		return absent
	}
	return t.L.ToBoolean(-1)
}
