package main

import (
	"errors"
	"fmt"

	"github.com/aarzilli/golua/lua"

	"net.server_go/loop"
	"net.server_go/tls"
)

// passwordNeeded is the error of a context whose key number pair (1 for the
// first) is encrypted, while its password is a function: C calls it, puts
// the result into the table, and tries again.
type passwordNeeded struct{ pair int }

func (p passwordNeeded) Error() string { return fmt.Sprintf("password %d needed", p.pair) }

// newContext makes a context of the LuaSec configuration table at index.
func newContext(l *loop.Loop, L *lua.State, index int) (loop.Handle, []tls.Notice, error) {
	r := &tlsConfigReader{L: L}
	config := r.read(index)
	if err := r.checkTypes(index, config.Mode); err != nil {
		return 0, nil, err
	}
	context, notices, err := tls.NewContext(config)
	if err != nil && r.asked != 0 {
		return 0, nil, passwordNeeded{r.asked}
	}
	if err != nil {
		return 0, notices, err
	}
	return l.AddContext(context), notices, nil
}

// tlsConfigReader reads a LuaSec configuration table, by raw access.
type tlsConfigReader struct {
	L     *lua.State
	asked int // the pair whose password function has to be called
}

func (r *tlsConfigReader) read(index int) tls.Config {
	config := tls.Config{
		Mode:         r.text(index, "mode"),
		Protocol:     r.text(index, "protocol"),
		Options:      r.list(index, "options"),
		CAFile:       r.text(index, "cafile"),
		CAPath:       r.text(index, "capath"),
		Depth:        r.number(index, "depth"),
		Verify:       r.list(index, "verify"),
		VerifyExt:    r.list(index, "verifyext"),
		Ciphers:      r.text(index, "ciphers"),
		CipherSuites: r.text(index, "ciphersuites"),
		Curve:        r.text(index, "curve"),
		CurvesList:   r.text(index, "curveslist"),
		ALPN:         r.list(index, "alpn"),
		DHParam:      r.isSet(index, "dhparam"),
		DANE:         r.isSet(index, "dane"),
	}
	for _, flag := range r.list(index, "dane") {
		config.DANENoEENamechecks = config.DANENoEENamechecks || flag == "no_ee_namechecks"
	}
	if r.isSet(index, "certificate") {
		config.Certificates = append(config.Certificates, r.pair(index, 1))
	}
	r.eachPair(index, func(at, number int) {
		config.Certificates = append(config.Certificates, r.pair(at, number))
	})
	return config
}

// checkTypes refuses what tls.Config cannot hold, in LuaSec's words.
func (r *tlsConfigReader) checkTypes(index int, mode string) error {
	defer r.L.SetTop(r.L.GetTop())
	switch r.get(index, "alpn") {
	case lua.LUA_TNIL, lua.LUA_TTABLE:
	case lua.LUA_TSTRING:
		if mode == "server" {
			return errors.New("invalid ALPN parameter")
		}
	case lua.LUA_TFUNCTION:
		if mode == "client" {
			return errors.New("invalid ALPN parameter")
		}
	default:
		return errors.New("invalid ALPN parameter")
	}
	switch r.get(index, "password") {
	case lua.LUA_TNIL, lua.LUA_TSTRING, lua.LUA_TFUNCTION:
		return nil
	}
	return errors.New("invalid password type")
}

// eachPair calls f with the stack index of each table in certificates.
func (r *tlsConfigReader) eachPair(index int, f func(at, number int)) {
	defer r.L.SetTop(r.L.GetTop())
	r.get(index, "certificates")
	list := r.L.GetTop()
	if !r.L.IsTable(list) {
		return
	}
	for i := 1; ; i++ {
		r.L.RawGeti(list, i)
		if !r.L.IsTable(-1) {
			return
		}
		f(r.L.GetTop(), i+1)
		r.L.Pop(1)
	}
}

func (r *tlsConfigReader) pair(index, number int) tls.KeyPair {
	p := tls.KeyPair{Certificate: r.text(index, "certificate"), Key: r.text(index, "key")}
	defer r.L.SetTop(r.L.GetTop())
	switch r.get(index, "password") {
	case lua.LUA_TSTRING:
		password := r.L.ToBytes(-1)
		p.Password = func() ([]byte, bool) { return password, true }
	case lua.LUA_TFUNCTION:
		p.Password = func() ([]byte, bool) {
			r.asked = number
			return nil, false
		}
	}
	return p
}

// get pushes the value of key.
func (r *tlsConfigReader) get(index int, key string) lua.LuaValType {
	r.L.PushString(key)
	r.L.RawGet(index)
	return r.L.Type(-1)
}

func (r *tlsConfigReader) isSet(index int, key string) bool {
	defer r.L.Pop(1)
	r.get(index, key)
	return r.L.ToBoolean(-1)
}

func (r *tlsConfigReader) text(index int, key string) string {
	defer r.L.Pop(1)
	if r.get(index, key) != lua.LUA_TSTRING {
		return ""
	}
	return r.L.ToString(-1)
}

func (r *tlsConfigReader) number(index int, key string) int {
	defer r.L.Pop(1)
	if r.get(index, key) != lua.LUA_TNUMBER {
		return 0
	}
	return r.L.ToInteger(-1)
}

// list reads a string or a list of strings.
func (r *tlsConfigReader) list(index int, key string) (list []string) {
	defer r.L.SetTop(r.L.GetTop())
	switch r.get(index, key) {
	case lua.LUA_TSTRING:
		return []string{r.L.ToString(-1)}
	case lua.LUA_TTABLE:
		at := r.L.GetTop()
		for i := 1; ; i++ {
			r.L.RawGeti(at, i)
			if r.L.Type(-1) != lua.LUA_TSTRING {
				return list
			}
			list = append(list, r.L.ToString(-1))
			r.L.Pop(1)
		}
	}
	return nil
}
