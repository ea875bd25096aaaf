package main

import (
	"errors"
	"fmt"
	"math"

	"github.com/aarzilli/golua/lua"

	"net.server_go/loop"
	"net.server_go/tls"
)

// passwordNeeded is the error of a context whose key number pair (1 for the
// first) is encrypted, while its password is a function: C calls it, puts
// the result into the table, and tries again.
type passwordNeeded struct{ pair int }

func (p passwordNeeded) Error() string { return fmt.Sprintf("password %d needed", p.pair) }

// newContext makes a context of the LuaSec configuration table at index. It
// has tables in a list in it, and so three levels.
func newContext(l *loop.Loop, L *lua.State, index int) (loop.Handle, []tls.Notice, error) {
	r := &tlsConfigReader{luaTable: readTable(L, index, 3)}
	config := r.read()
	if err := r.checkTypes(config.Mode); err != nil {
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

// tlsConfigReader makes a tls.Config of a LuaSec configuration table.
type tlsConfigReader struct {
	*luaTable
	asked int // the pair whose password function has to be called
}

func (r *tlsConfigReader) read() tls.Config {
	config := tls.Config{
		Mode:         r.text("mode"),
		Protocol:     r.text("protocol"),
		Options:      r.texts("options"),
		CAFile:       r.text("cafile"),
		CAPath:       r.text("capath"),
		Depth:        r.depth(),
		Verify:       r.texts("verify"),
		VerifyExt:    r.texts("verifyext"),
		Ciphers:      r.text("ciphers"),
		CipherSuites: r.text("ciphersuites"),
		Curve:        r.text("curve"),
		CurvesList:   r.text("curveslist"),
		ALPN:         r.texts("alpn"),
		DHParam:      r.fields["dhparam"].truth,
		DANE:         r.fields["dane"].truth,
	}
	for _, flag := range r.texts("dane") {
		config.DANENoEENamechecks = config.DANENoEENamechecks || flag == "no_ee_namechecks"
	}
	if r.fields["certificate"].truth && !r.fields["certificates"].truth {
		config.Certificates = append(config.Certificates, r.pair(r.luaTable, 1))
	}
	for i, pair := range r.pairs() {
		config.Certificates = append(config.Certificates, r.pair(pair, i+2))
	}
	return config
}

// checkTypes refuses what tls.Config cannot hold, in LuaSec's words.
func (r *tlsConfigReader) checkTypes(mode string) error {
	switch r.fields["alpn"].kind {
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
	for _, list := range []struct{ key, what string }{{"options", "option"}, {"verify", "verify option"}, {"verifyext", "verify option"}} {
		if odd := r.fields[list.key].oddText(); odd != "" {
			return fmt.Errorf("invalid %s (%s)", list.what, odd)
		}
	}
	if depth := r.fields["depth"]; depth.truth && !depth.isWhole() {
		return errors.New("invalid depth")
	}
	switch r.fields["password"].kind {
	case lua.LUA_TNIL, lua.LUA_TSTRING, lua.LUA_TFUNCTION:
		return nil
	}
	return errors.New("invalid password type")
}

// depth is nil if there is none. A numeral in a string is a number, as in LuaSec.
func (r *tlsConfigReader) depth() *int {
	v := r.fields["depth"]
	if !v.truth {
		return nil
	}
	depth := int(max(math.MinInt32, min(v.number, math.MaxInt32)))
	return &depth
}

// pairs are the tables in the list certificates, up to what is none.
func (r *tlsConfigReader) pairs() (pairs []*luaTable) {
	list := r.fields["certificates"].table
	if list == nil {
		return nil
	}
	for _, v := range list.list {
		if v.table == nil {
			break
		}
		pairs = append(pairs, v.table)
	}
	return pairs
}

func (r *tlsConfigReader) pair(t *luaTable, number int) tls.KeyPair {
	p := tls.KeyPair{Certificate: t.text("certificate"), Key: t.text("key")}
	switch password := t.fields["password"]; password.kind {
	case lua.LUA_TSTRING:
		p.Password = func() ([]byte, bool) { return []byte(password.text), true }
	case lua.LUA_TFUNCTION:
		p.Password = func() ([]byte, bool) {
			r.asked = number
			return nil, false
		}
	}
	return p
}

// isWhole tells whether a value is a number without a fraction, or one in a string.
func (v luaValue) isWhole() bool { return v.isNumber && v.number == math.Trunc(v.number) }

// oddText is what is not a string in a value that has to be one, or a list of them: a
// number, or the name of a type. It is "" if all are strings, or the value is absent.
func (v luaValue) oddText() string {
	values := []luaValue{v}
	if v.table != nil {
		values = v.table.list
	} else if !v.truth {
		return ""
	}
	for _, v := range values {
		switch v.kind {
		case lua.LUA_TSTRING:
		case lua.LUA_TNUMBER:
			return fmt.Sprint(v.number)
		case lua.LUA_TBOOLEAN:
			return "boolean"
		case lua.LUA_TTABLE:
			return "table"
		default:
			return "function"
		}
	}
	return ""
}

// text is the string of that name, "" if it is none.
func (t *luaTable) text(key string) string { return t.fields[key].text }

// texts is the string, or the list of strings up to what is none, of that name.
func (t *luaTable) texts(key string) (texts []string) {
	v := t.fields[key]
	if v.kind == lua.LUA_TSTRING {
		return []string{v.text}
	}
	if v.table == nil {
		return nil
	}
	for _, v := range v.table.list {
		if v.kind != lua.LUA_TSTRING {
			break
		}
		texts = append(texts, v.text)
	}
	return texts
}
