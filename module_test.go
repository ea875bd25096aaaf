package main

import (
	"runtime"
	"testing"

	"github.com/aarzilli/golua/lua"
)

// openModule loads the module into a Lua of this process, as require does,
// but from the program itself: its C side is linked into this test. That
// takes -ldflags=-extldflags=-rdynamic, without which Lua does not find it.
func openModule(t *testing.T, name string) *lua.State {
	t.Helper()
	runtime.LockOSThread() // the one thread that has Lua
	t.Cleanup(runtime.UnlockOSThread)
	L := newLua(t)
	run(t, L, `return package.loadlib("", "luaopen_net_server_go") ~= nil`)
	if !L.ToBoolean(-1) {
		t.Skip("linked without -ldflags=-extldflags=-rdynamic")
	}
	run(t, L, `
		pcall = unsafe_pcall -- golua hides it
		server = package.loadlib("", "luaopen_net_server_go")("`+name+`")
		function eventually(server, done)
			local latest = os.time() + 60
			local ticks = server.add_task(0.01, function () return 0.01 end)
			repeat
				server.loop(true)
				assert(os.time() <= latest, "it does not happen")
			until done()
			server.timer.stop(ticks)
		end
	`)
	return L
}

func TestModule(t *testing.T) {
	before := countSides()
	t.Cleanup(func() { // after newLua's, which closes the state
		if n := countSides(); n != before {
			t.Errorf("%d sides after lua_close, %d at the start", n, before)
		}
	})
	L := openModule(t, "net.server_go")
	run(t, L, `
		assert(server.get_backend() == "go")
		local log = {}
		local s = assert(server.listen("127.0.0.1", 0, {
			onconnect = function (conn) log[#log+1] = "connect" end;
			onincoming = function (conn, data) log[#log+1] = data; conn:write(data:upper()); end;
			ondisconnect = function (conn, err) log[#log+1] = "gone" end;
		}, {}))
		local _, port = s:socket():getsockname()
		local answer
		local c = assert(server.addclient("127.0.0.1", port, {
			onconnect = function (conn) conn:write("hello") end;
			onincoming = function (conn, data) answer = data; conn:close(); end;
		}, "*a"))
		eventually(server, function () return log[3] end)
		assert(answer == "HELLO", answer)
		assert(table.concat(log, ",") == "connect,hello,gone", table.concat(log, ","))
		s:close()
	`)
}

// TestModuleInACoroutine: Prosody requires its modules in one, and calls
// loop() on the main state.
func TestModuleInACoroutine(t *testing.T) {
	L := openModule(t, "net.server_go")
	run(t, L, `
		local open = package.loadlib("", "luaopen_net_server_go")
		local other, called
		local co = coroutine.wrap(function ()
			other = open("prosody.net.server_go")
			other.set_config({ read_timeout = 5 })
			other.add_task(0, function () called = coroutine.running() end)
		end)
		co()
		co = nil
		collectgarbage() collectgarbage()
		eventually(other, function () return called end)
		local main, is_main = coroutine.running()
		assert(is_main and called == main, tostring(called))
	`)
}

// TestTwoStates has a client in one Lua talk to a server in another.
func TestTwoStates(t *testing.T) {
	before := countSides()
	a, b := openModule(t, "net.server_go"), openModule(t, "prosody.net.server_go")
	if n := countSides(); n != before+2 {
		t.Errorf("%d sides more, want 2", n-before)
	}
	run(t, a, `
		s = assert(server.listen("127.0.0.1", 0, { onincoming = function (conn, data) received = data; conn:write("pong") end }, {}))
		local _, port = s:socket():getsockname()
		return port
	`)
	b.PushInteger(int64(a.ToInteger(-1)))
	b.SetGlobal("port")
	run(t, b, `
		assert(server.addclient("127.0.0.1", port, {
			onconnect = function (conn) conn:write("ping") end;
			onincoming = function (conn, data) received = data end;
		}, "*a"))
		server.add_task(0.001, function () return 0.001 end)
	`)
	run(t, a, `server.add_task(0.001, function () return 0.001 end)`)
	for range 2000 {
		run(t, a, "server.loop(true)")
		run(t, b, "server.loop(true)")
		if b.GetGlobal("received"); b.ToString(-1) == "pong" {
			break
		}
		b.Pop(1)
	}
	run(t, a, `assert(received == "ping", tostring(received))`)
	run(t, b, `assert(received == "pong", tostring(received))`)
}

// TestErrorsInLuaPassNoGoFrame raises in every place where Lua may.
func TestErrorsInLuaPassNoGoFrame(t *testing.T) {
	L := openModule(t, "net.server_go")
	run(t, L, `
		for name, f in pairs(server) do
			if type(f) == "function" and name ~= "loop" and name ~= "closeall" and name ~= "setquitting" then
				for _, wrong in ipairs { {}, { {} }, { print }, { "x", "y", "z" }, { -1, -1, -1, -1 } } do
					pcall(f, table.unpack(wrong))
				end
			end
		end
		local raised
		server.add_task(0, function () raised = true; error("on purpose") end)
		eventually(server, function () return raised end)
	`)
	io := newIO(t) // the boundary still works
	if n := io.side.loop.Len(); n != 0 {
		t.Errorf("%d handles of a new side", n)
	}
}
