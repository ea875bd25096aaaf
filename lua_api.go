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
	"strconv"
	"strings"
	"unsafe"

	"github.com/aarzilli/golua/lua"

	"net.server_go/loop"
)

// foreignState makes golua speak to a lua_State that it did not create, for
// which it has no constructor. Only those of its functions may be used that
// neither allocate in Lua nor raise an error: lua_next, lua_rawgeti,
// lua_pushnil, tests of types, and the reading of strings and numbers. Any
// allocation may run finalizers, that is Lua code with a Go frame below it; an
// error in one would leave through that frame. C has made room on the stack.
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

// The kernel's limits of the keepalive options: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL
// and MAX_TCP_KEEPCNT in include/net/tcp.h.
const (
	maxKeepaliveTime  = 32767 // seconds
	maxKeepaliveCount = 127
)

// readSettings reads network_settings from the table at index. A key that is
// absent has its default (maxSendBuffer depends on the Prosody); so has one of the wrong type, which is reported in
// the error (all such keys in one).
func readSettings(L *lua.State, index int, maxSendBuffer float64) (loop.Settings, luaSettings, error) {
	t := &settingsTable{luaTable: readTable(L, index, 2)}
	d := loop.DefaultSettings()
	s := loop.Settings{
		ReadTimeout:         t.number("read_timeout", d.ReadTimeout),
		SendTimeout:         t.number("send_timeout", d.SendTimeout),
		ConnectTimeout:      t.number("connect_timeout", d.ConnectTimeout),
		HandshakeTimeout:    t.number("ssl_handshake_timeout", d.HandshakeTimeout),
		HandshakeDeadline:   t.number("ssl_handshake_deadline", d.HandshakeDeadline),
		AcceptRetryInterval: t.number("accept_retry_interval", d.AcceptRetryInterval),
		ReadSize:            t.count("read_size", d.ReadSize, 1, math.MaxInt32),
		Backlog:             t.count("tcp_backlog", d.Backlog, 0, math.MaxInt32),
		NoDelay:             !t.boolean("nagle", !d.NoDelay),
		FastOpen:            t.optionalCount("tcp_fastopen", math.MaxInt32),
		DeferAccept:         t.optionalCount("tcp_defer_accept", math.MaxInt32),
		KeepaliveIdle:       t.optionalCount("tcp_keepalive", maxKeepaliveTime),
		KeepaliveInterval:   t.count("tcp_keepalive_interval", 0, 0, maxKeepaliveTime),
		KeepaliveCount:      t.count("tcp_keepalive_count", 0, 0, maxKeepaliveCount),
		UserTimeout:         t.count("tcp_user_timeout", 0, 0, math.MaxInt32/1000), // the kernel counts milliseconds
		IOThread:            t.ioThread("io_thread"),
		PostQuantum:         t.boolean("tls_post_quantum", d.PostQuantum),

		ConnectionsPerAddress:    t.count("limit_connections_per_address", d.ConnectionsPerAddress, 0, math.MaxInt32),
		NewConnectionsPerAddress: t.count("limit_new_connections_per_address", d.NewConnectionsPerAddress, 0, math.MaxInt32),
		HandshakesPerAddress:     t.count("limit_handshakes_per_address", d.HandshakesPerAddress, 0, math.MaxInt32),
		Handshakes:               t.count("limit_handshakes", d.Handshakes, 0, math.MaxInt32),
		Exempt:                   t.networks("limit_exempt", d.Exempt),

		ProxyPorts:    t.ports("proxy_protocol_ports"),
		ProxyTrusted:  t.networks("proxy_protocol_trusted", d.ProxyTrusted),
		BufferCeiling: t.count("max_total_buffer_size", d.BufferCeiling, 0, math.MaxInt/2), // a float64 has it
	}
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

// luaValue is a Lua value as Go keeps it. A string that is a numeral for Lua
// has its number as well.
type luaValue struct {
	kind     lua.LuaValType // LUA_TNIL for an absent one
	text     string
	number   float64
	integer  int
	isNumber bool
	truth    bool
	table    *luaTable // nil for a table that is nested too deeply
}

// luaTable is a copy of a Lua table: its fields with names, and its list.
type luaTable struct {
	fields map[string]luaValue
	list   []luaValue // up to the first nil
}

// readTable copies the table at index (absolute) and the tables in it, down to
// a depth of so many, by raw access. It needs room for three values on Lua's
// stack for each.
func readTable(L *lua.State, index, depth int) *luaTable {
	t := &luaTable{fields: make(map[string]luaValue)}
	for i := 1; ; i++ {
		L.RawGeti(index, i)
		value := readValue(L, depth)
		L.Pop(1)
		if value.kind == lua.LUA_TNIL {
			break
		}
		t.list = append(t.list, value)
	}
	L.PushNil()
	for L.Next(index) != 0 {
		if L.Type(-2) == lua.LUA_TSTRING {
			t.fields[L.ToString(-2)] = readValue(L, depth)
		}
		L.Pop(1)
	}
	return t
}

// readValue copies the value at the top.
func readValue(L *lua.State, depth int) luaValue {
	v := luaValue{kind: L.Type(-1), truth: L.ToBoolean(-1)}
	switch v.kind {
	case lua.LUA_TSTRING:
		v.text = L.ToString(-1)
		v.isNumber = L.IsNumber(-1)
		v.number = L.ToNumber(-1)
	case lua.LUA_TNUMBER:
		v.isNumber, v.number, v.integer = true, L.ToNumber(-1), L.ToInteger(-1)
	case lua.LUA_TTABLE:
		if depth > 1 {
			v.table = readTable(L, L.GetTop(), depth-1)
		}
	}
	return v
}

// settingsTable gives typed values of a table and collects complaints.
type settingsTable struct {
	*luaTable
	problems []string
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
	return t.fields[key].kind == lua.LUA_TBOOLEAN
}

// number accepts numerals in strings as well, as Lua's arithmetic does.
func (t *settingsTable) number(key string, absent float64) float64 {
	v := t.fields[key]
	if v.kind == lua.LUA_TNIL {
		return absent
	}
	if !v.isNumber || math.IsNaN(v.number) || v.number < 0 {
		t.complain(key, "number of at least 0")
		return absent
	}
	return v.number
}

func (t *settingsTable) count(key string, absent, least, most int) int {
	n := t.number(key, float64(absent))
	if n < float64(least) || n > float64(most) {
		t.complain(key, fmt.Sprintf("number from %d to %d", least, most))
		return absent
	}
	return int(n)
}

// optionalCount reads a number, or a boolean for 1 and 0.
func (t *settingsTable) optionalCount(key string, most int) int {
	if t.isBoolean(key) {
		if t.boolean(key, false) {
			return 1
		}
		return 0
	}
	return t.count(key, 0, 0, most)
}

// networks reads a list of addresses and networks, as loop.ParseNetworks has it.
func (t *settingsTable) networks(key, absent string) string {
	v := t.fields[key]
	if v.kind == lua.LUA_TNIL {
		return absent
	}
	list := strings.Join(t.texts(key), ",")
	_, err := loop.ParseNetworks(list)
	if v.table == nil || len(t.texts(key)) != len(v.table.list) || err != nil {
		t.complain(key, "list of addresses or networks")
		return absent
	}
	return list
}

// ports reads a list of port numbers; the result has them separated by commas.
func (t *settingsTable) ports(key string) string {
	v := t.fields[key]
	if v.kind == lua.LUA_TNIL {
		return ""
	}
	var ports []string
	for _, port := range v.listed() {
		if port.kind != lua.LUA_TNUMBER || port.number != float64(port.integer) || port.integer < 1 || port.integer > math.MaxUint16 {
			ports = nil
			break
		}
		ports = append(ports, strconv.Itoa(port.integer))
	}
	if v.table == nil || len(ports) != len(v.table.list) {
		t.complain(key, "list of port numbers")
		return ""
	}
	return strings.Join(ports, ",")
}

// listed is the list in a table.
func (v luaValue) listed() []luaValue {
	if v.table == nil {
		return nil
	}
	return v.table.list
}

// ioThread reads true, false, or nil for what the load asks for.
func (t *settingsTable) ioThread(key string) loop.IOThread {
	switch v := t.fields[key]; v.kind {
	case lua.LUA_TNIL:
	case lua.LUA_TBOOLEAN:
		if v.truth {
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
	v := t.fields[key]
	if v.kind == lua.LUA_TNIL {
		return absent
	}
	return v.truth
}
