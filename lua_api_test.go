package main

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"

	"github.com/aarzilli/golua/lua"

	"net.server_go/loop"
)

// newLua returns a Lua state that golua made, for a test of our own side.
func newLua(t *testing.T) *lua.State {
	t.Helper()
	L := lua.NewState()
	t.Cleanup(L.Close)
	L.OpenLibs()
	return L
}

func run(t *testing.T, L *lua.State, code string) {
	t.Helper()
	if err := L.DoString(code); err != nil {
		t.Fatalf("%s\n%v", code, err)
	}
}

func pointer(L *lua.State) unsafe.Pointer { return unsafe.Pointer(L.GetState()) }

func TestForeignState(t *testing.T) {
	L := newLua(t)
	coroutine := L.NewThread()
	for name, own := range map[string]*lua.State{"main": L, "coroutine": coroutine} {
		foreign, err := foreignState(pointer(own))
		if err != nil {
			t.Fatal(err)
		}
		before, mainBefore := own.GetTop(), L.GetTop()
		foreign.PushString("pushed")
		foreign.PushNumber(1.5)
		if own.GetTop() != before+2 || own.ToString(-2) != "pushed" || own.ToNumber(-1) != 1.5 {
			t.Errorf("%s: the stack has %d values, want %d", name, own.GetTop(), before+2)
		}
		if own != L && L.GetTop() != mainBefore {
			t.Errorf("%s: the stack of the main state has changed", name)
		}
		foreign.CreateTable(0, 1)
		foreign.PushString("key")
		foreign.PushBoolean(true)
		foreign.RawSet(-3)
		own.PushString("key")
		if own.RawGet(-2); !own.ToBoolean(-1) {
			t.Errorf("%s: the table has no key", name)
		}
		own.SetTop(before)
	}
}

func TestGoluasStateIsWhatForeignStateTakesItFor(t *testing.T) {
	if errState != nil {
		t.Fatal(errState)
	}
	errState = errors.New("changed")
	defer func() { errState = nil }()
	if s, err := foreignState(pointer(newLua(t))); err != errState || s != nil {
		t.Errorf("foreignState = %v, %v; want the error", s, err)
	}
}

// settingsOf reads a table that is written in Lua. Its stack must end as it
// was, and no metamethod may be called.
func settingsOf(t *testing.T, table string) (loop.Settings, luaSettings, error) {
	t.Helper()
	L := newLua(t)
	L.PushString("below")
	run(t, L, "return setmetatable("+table+", {__index = function() error('called') end})")
	foreign, err := foreignState(pointer(L))
	if err != nil {
		t.Fatal(err)
	}
	top := L.GetTop()
	s, l, err := readSettings(foreign, top, 0)
	if L.GetTop() != top || !L.IsTable(top) {
		t.Errorf("%s: %d values on the stack, want %d", table, L.GetTop(), top)
	}
	return s, l, err
}

// TestReadingAllocatesNothingInLua: an allocation may run finalizers, and then
// Lua code with a Go frame below it.
func TestReadingAllocatesNothingInLua(t *testing.T) {
	L := newLua(t)
	run(t, L, `return { read_timeout = "60", alpn = { "a", "b" }, depth = 9,
		certificates = { { certificate = "x", password = print }, false }, [1.5] = {}, [{}] = 1 }`)
	foreign, err := foreignState(pointer(L))
	if err != nil {
		t.Fatal(err)
	}
	top := L.GetTop()
	L.CheckStack(20)
	L.GC(lua.LUA_GCSTOP, 0)
	used := func() int { return L.GC(lua.LUA_GCCOUNT, 0)<<10 + L.GC(lua.LUA_GCCOUNTB, 0) }
	before := used()
	_, _, err = readSettings(foreign, top, 0)
	r := &tlsConfigReader{luaTable: readTable(foreign, top, 3)}
	config := r.read()
	if after := used(); after != before {
		t.Errorf("%d bytes allocated", after-before)
	}
	if L.GetTop() != top || err != nil {
		t.Errorf("%d values on the stack, want %d; %v", L.GetTop(), top, err)
	}
	if len(config.ALPN) != 2 || *config.Depth != 9 || len(config.Certificates) != 1 || config.Certificates[0].Certificate != "x" {
		t.Errorf("%+v", config)
	}
}

// TestTablesInThemselves: a table that holds itself is read to the depth only.
func TestTablesInThemselves(t *testing.T) {
	L := newLua(t)
	run(t, L, "local t = {}; t.t, t[1] = t, t; return t")
	read := readTable(L, L.GetTop(), 3)
	if inner := read.fields["t"].table.list[0].table; inner == nil || inner.fields["t"].table != nil {
		t.Errorf("%+v", inner)
	}
}

var defaultLuaSettings = luaSettings{
	shutdownDeadline: 5, acceptRetryInterval: 10, protectListeners: true,
}

func TestSettings(t *testing.T) {
	type (
		S = *loop.Settings
		L = *luaSettings
	)
	for table, want := range map[string]func(S, L){
		"{}":                               func(S, L) {},
		"{some_other_key = {}, [1] = 'x'}": func(S, L) {},

		"{read_timeout = 60}":          func(s S, l L) { s.ReadTimeout = 60 },
		"{read_timeout = 0.5}":         func(s S, l L) { s.ReadTimeout = 0.5 },
		"{read_timeout = 0}":           func(s S, l L) { s.ReadTimeout = 0 },
		"{read_timeout = math.huge}":   func(s S, l L) { s.ReadTimeout = math.Inf(1) },
		"{read_timeout = '60'}":        func(s S, l L) { s.ReadTimeout = 60 },
		"{send_timeout = 61}":          func(s S, _ L) { s.SendTimeout = 61 },
		"{connect_timeout = 62}":       func(s S, _ L) { s.ConnectTimeout = 62 },
		"{ssl_handshake_timeout = 63}": func(s S, _ L) { s.HandshakeTimeout = 63 },
		"{accept_retry_interval = 64}": func(s S, l L) { s.AcceptRetryInterval, l.acceptRetryInterval = 64, 64 },

		// What Lua's arithmetic takes for a number.
		"{send_timeout = ' 65 '}": func(s S, _ L) { s.SendTimeout = 65 },
		"{send_timeout = '0x42'}": func(s S, _ L) { s.SendTimeout = 66 },
		"{send_timeout = '1e2'}":  func(s S, _ L) { s.SendTimeout = 100 },

		"{read_size = 4096}":            func(s S, _ L) { s.ReadSize = 4096 },
		"{read_size = 4096.9}":          func(s S, _ L) { s.ReadSize = 4096 },
		"{read_size = '4096'}":          func(s S, _ L) { s.ReadSize = 4096 },
		"{read_size = 1}":               func(s S, _ L) { s.ReadSize = 1 },
		"{max_total_buffer_size = 1e9}": func(s S, _ L) { s.BufferCeiling = 1e9 },
		"{tcp_backlog = 0}":             func(s S, _ L) { s.Backlog = 0 },
		"{tcp_backlog = 5000}":          func(s S, _ L) { s.Backlog = 5000 },
		"{nagle = true}":                func(s S, _ L) { s.NoDelay = false },
		"{nagle = 'yes'}":               func(s S, _ L) { s.NoDelay = false },
		"{nagle = false}":               func(S, L) {},
		"{tcp_fastopen = 5}":            func(s S, _ L) { s.FastOpen = 5 },
		"{tcp_fastopen = true}":         func(s S, _ L) { s.FastOpen = 1 },
		"{tcp_fastopen = false}":        func(S, L) {},
		"{tcp_defer_accept = 6}":        func(s S, _ L) { s.DeferAccept = 6 },
		"{tcp_defer_accept = true}":     func(s S, _ L) { s.DeferAccept = 1 },

		// true leaves the time to the system; a number is that time.
		"{tcp_keepalive = true}":  func(s S, _ L) { s.Keepalive = true },
		"{tcp_keepalive = false}": func(S, L) {},
		"{tcp_keepalive = 0}":     func(S, L) {},
		"{tcp_keepalive = 1}":     func(s S, _ L) { s.Keepalive, s.KeepaliveIdle = true, 1 },
		"{tcp_keepalive = 75}":    func(s S, _ L) { s.Keepalive, s.KeepaliveIdle = true, 75 },
		"{tcp_keepalive = '75'}":  func(s S, _ L) { s.Keepalive, s.KeepaliveIdle = true, 75 },

		"{tcp_keepalive_interval = 32767}": func(s S, _ L) { s.KeepaliveInterval = 32767 },
		"{tcp_keepalive_count = 127}":      func(s S, _ L) { s.KeepaliveCount = 127 },
		"{tcp_user_timeout = 30}":          func(s S, _ L) { s.UserTimeout = 30 },

		"{limit_connections_per_address = 50}":     func(s S, _ L) { s.ConnectionsPerAddress = 50 },
		"{limit_new_connections_per_address = 5}":  func(s S, _ L) { s.NewConnectionsPerAddress = 5 },
		"{limit_handshakes_per_address = 0}":       func(s S, _ L) { s.HandshakesPerAddress = 0 },
		"{limit_handshakes = 0}":                   func(s S, _ L) { s.Handshakes = 0 },
		"{limit_exempt = {}}":                      func(s S, _ L) { s.Exempt = "" },
		"{limit_exempt = {'::1', '10.1.2.3/8'}}":   func(s S, _ L) { s.Exempt = "::1,10.1.2.3/8" },
		"{proxy_protocol_ports = {5222, 5223}}":    func(s S, _ L) { s.ProxyPorts = "5222,5223" },
		"{proxy_protocol_trusted = {'192.0.2.1'}}": func(s S, _ L) { s.ProxyTrusted = "192.0.2.1" },
		"{tls_post_quantum = false}":               func(s S, _ L) { s.PostQuantum = false },

		"{max_send_buffer_size = 1048576}": func(_ S, l L) { l.maxSendBuffer = 1048576 },
		"{shutdown_deadline = 30}":         func(_ S, l L) { l.shutdownDeadline = 30 },
		"{shutdown_deadline = 0}":          func(_ S, l L) { l.shutdownDeadline = 0 },
		"{shutdown_deadline = true}":       func(S, L) {},
		"{shutdown_deadline = false}":      func(_ S, l L) { l.shutdownDeadline = -1 },
		"{verbose = true}":                 func(_ S, l L) { l.verbose = true },
		"{protect_listeners = false}":      func(_ S, l L) { l.protectListeners = false },
		"{fatal_errors = true}":            func(_ S, l L) { l.fatalErrors = true },
		"{fatal_errors = 0}":               func(_ S, l L) { l.fatalErrors = true }, // Lua's truth
	} {
		wantS, wantL := loop.DefaultSettings(), defaultLuaSettings
		want(&wantS, &wantL)
		s, l, err := settingsOf(t, table)
		if err != nil || s != wantS || l != wantL {
			t.Errorf("%s:\n got %+v %+v %v\nwant %+v %+v", table, s, l, err, wantS, wantL)
		}
	}
}

func TestUnusablePorts(t *testing.T) {
	for _, value := range []string{"5222", "{'5222'}", "{0}", "{65536}", "{5222, false}", "{5222.5}", "true", "{{5222}}"} {
		s, _, err := settingsOf(t, "{proxy_protocol_ports = "+value+"}")
		if err == nil || !strings.Contains(err.Error(), "proxy_protocol_ports") || s != loop.DefaultSettings() {
			t.Errorf("%s: %+v, %v; want the defaults and an error", value, s, err)
		}
	}
}

func TestUnusableExemptions(t *testing.T) {
	for _, value := range []string{"'10.0.0.0/8'", "{10}", "{'10.0.0.0/33'}", "{'example.org'}", "{'::1', false, '::2'}", "7", "true", "{{'::1'}}", "{'10.0.0.1,x'}"} {
		s, _, err := settingsOf(t, "{limit_exempt = "+value+"}")
		if err == nil || !strings.Contains(err.Error(), "limit_exempt") || s != loop.DefaultSettings() {
			t.Errorf("%s: %+v, %v; want the defaults and an error", value, s, err)
		}
	}
}

func TestUnusableSettings(t *testing.T) {
	for _, key := range []string{
		"read_timeout", "send_timeout", "connect_timeout", "ssl_handshake_timeout", "accept_retry_interval",
		"read_size", "tcp_backlog", "tcp_fastopen", "tcp_defer_accept",
		"tcp_keepalive", "tcp_keepalive_interval", "tcp_keepalive_count", "tcp_user_timeout",
		"limit_connections_per_address", "limit_new_connections_per_address", "limit_handshakes_per_address", "limit_handshakes",
		"max_send_buffer_size", "max_total_buffer_size", "shutdown_deadline",
	} {
		for _, value := range []string{"{}", "print", "'abc'", "''", "'inf'", "'nan'", "-1", "-math.huge", "0/0", "'-5'"} {
			table := fmt.Sprintf("{%s = %s}", key, value)
			s, l, err := settingsOf(t, table)
			if err == nil || !strings.Contains(err.Error(), key) || strings.Count(err.Error(), key) != 1 {
				t.Errorf("%s: error %v, want one that names the key once", table, err)
			}
			if s != loop.DefaultSettings() || l != defaultLuaSettings {
				t.Errorf("%s: %+v %+v, want the defaults", table, s, l)
			}
		}
	}
	for _, table := range []string{
		"{read_size = 0}", "{read_size = 0.9}", "{read_size = math.huge}", "{read_size = 2^31}",
		"{tcp_backlog = math.huge}", "{tcp_keepalive = 1e300}", "{read_timeout = true}", "{read_size = false}",
	} {
		s, l, err := settingsOf(t, table)
		if err == nil || s != loop.DefaultSettings() || l != defaultLuaSettings {
			t.Errorf("%s: %v, %+v %+v; want an error and the defaults", table, err, s, l)
		}
	}
}

// TestUsableSettingsAreAppliedBesideUnusableOnes: a mistake must not take
// the whole configuration with it.
func TestUsableSettingsAreAppliedBesideUnusableOnes(t *testing.T) {
	s, l, err := settingsOf(t, "{read_timeout = {}, send_timeout = 7, read_size = 'x', verbose = true}")
	want := loop.DefaultSettings()
	want.SendTimeout = 7
	if s != want || !l.verbose {
		t.Errorf("%+v %+v, want %+v", s, l, want)
	}
	if err == nil || !strings.Contains(err.Error(), "read_timeout") || !strings.Contains(err.Error(), "read_size") {
		t.Errorf("error %v, want one with both keys", err)
	}
}

func TestSettingsForC(t *testing.T) {
	l := loop.DefaultSettings()
	l.ReadTimeout, l.SendTimeout, l.ConnectTimeout, l.ReadSize = 5, 6, 7, 8
	c := luaSettings{2, 3, 4, true, false, true}.c(l)
	if c.shutdown_deadline != 2 || c.max_send_buffer != 3 || c.accept_retry_interval != 4 ||
		c.read_timeout != 5 || c.send_timeout != 6 || c.connect_timeout != 7 || c.read_size != 8 ||
		c.verbose != 1 || c.protect_listeners != 0 || c.fatal_errors != 1 {
		t.Errorf("%+v", c)
	}
}
