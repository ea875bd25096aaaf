-- What LuaSec says of each case: run by main.go, which explains the rest.
-- usage: lua5.4 oracle.lua FOLDER   (FOLDER/cases.lua in, JSON lines out)
local folder = assert(arg[1])
local socket = require "socket"
local ssl = require "ssl"
local context = require "ssl.context"
local cases = dofile(folder .. "/cases.lua")

-- The side under test has nothing set but what is tested. Its peer is at level
-- 0 before its certificate is loaded, so that it can present a weak one.
local function peer_context(mode, case)
	local ctx = assert(context.create("sslv23"))
	context.setmode(ctx, mode)
	assert(context.setcipher(ctx, "DEFAULT:@SECLEVEL=0"))
	assert(context.loadkey(ctx, case.key, nil))
	assert(context.loadcert(ctx, case.chain))
	return ctx
end

local function tested_context(case, mode, flags)
	local verifyext = {}
	for _, flag in ipairs(flags) do table.insert(verifyext, flag) end
	for _, flag in ipairs(case.verifyext) do table.insert(verifyext, flag) end
	local config = {
		mode = mode, protocol = "sslv23",
		cafile = case.cafile, capath = case.capath, depth = case.depth,
		verify = mode == "server" and { "peer", "client_once" } or "none",
		verifyext = verifyext,
		dane = case.dane and case.dane.flags,
	}
	if mode == "server" then
		config.key, config.certificate = folder .. "/server.key", folder .. "/server.pem"
	end
	return assert(ssl.newcontext(config))
end

local function pair()
	local listener = assert(socket.bind("127.0.0.1", 0))
	local ip, port = listener:getsockname()
	local a = assert(socket.connect(ip, port))
	local b = assert(listener:accept())
	listener:close()
	return a, b
end

local function handshake(one, other)
	local done = {}
	for _ = 1, 400 do
		for _, conn in ipairs { one, other } do
			if done[conn] == nil then
				local ok, err = conn:dohandshake()
				if ok then
					done[conn] = true
				elseif err ~= "wantread" and err ~= "wantwrite" then
					done[conn] = tostring(err)
				end
			end
		end
		if done[one] ~= nil and (done[one] ~= true or done[other] ~= nil) then return done[one] end
		socket.sleep(0.0005)
	end
	return "timeout"
end

local function quote(s)
	return '"' .. s:gsub('[%c"\\]', function (c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function json_errors(errors)
	local out = {}
	for depth, list in pairs(errors) do
		local texts = {}
		for i, text in ipairs(list) do texts[i] = quote(text) end
		table.insert(out, ('"%d":[%s]'):format(depth - 1, table.concat(texts, ",")))
	end
	return "{" .. table.concat(out, ",") .. "}"
end

local function answer(case, mode, flags)
	local plain_a, plain_b = pair()
	local tested = assert(ssl.wrap(plain_a, tested_context(case, mode, flags)))
	local peer = assert(ssl.wrap(plain_b, peer_context(mode == "server" and "client" or "server", case)))
	tested:settimeout(0)
	peer:settimeout(0)
	if case.dane then
		assert(tested:setdane(case.dane.name))
		for _, r in ipairs(case.dane.records) do tested:settlsa(r[1], r[2], r[3], r[4]) end
	end
	local result = handshake(tested, peer)
	local out
	if result ~= true then
		out = ('{"handshake":%s}'):format(quote(result))
	else
		local ok, errors = tested:getpeerverification()
		if ok then
			out = '{"ok":true}'
		elseif type(errors) == "table" then
			out = '{"errors":' .. json_errors(errors) .. "}"
		else
			out = '{"text":' .. quote(tostring(errors)) .. "}"
		end
	end
	tested:close()
	peer:close()
	return out
end

local ways = {
	{ "client", "plain", {} },
	{ "client", "continue", { "lsec_continue" } },
	{ "client", "continue,ignore_purpose", { "lsec_continue", "lsec_ignore_purpose" } },
	{ "server", "plain", {} },
	{ "server", "continue", { "lsec_continue" } },
	{ "server", "continue,ignore_purpose", { "lsec_continue", "lsec_ignore_purpose" } },
}
for _, case in ipairs(cases) do
	for _, way in ipairs(ways) do
		if way[1] == "client" or not case.dane then
			print(("%s\t%s/%s\t%s"):format(case.name, way[1], way[2], answer(case, way[1], way[3])))
		end
	end
end
