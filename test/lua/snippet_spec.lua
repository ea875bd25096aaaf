-- The file that the Debian package puts into conf.avail, on each Lua that Prosody
-- may run on, read as Prosody's configmanager reads it.

local luas = { "lua5.1", "lua5.2", "lua5.3", "lua5.4", "luajit" };

-- Prints what network_backend is set to. In 0.12 the file sees the globals, in 13 it sees them as Lua.
local read = [[
	local file, cpath, prosody13 = ...;
	package.cpath = cpath;
	local set = {};
	local env = setmetatable({}, {
		__index = function (_, k)
			if prosody13 then return k == "Lua" and _G or nil; end
			return rawget(_G, k);
		end;
		__newindex = function (_, k, v) set[k] = v; end;
	});
	local chunk = assert(loadfile(file, "t", env));
	if setfenv then setfenv(chunk, env); end
	chunk();
	for k, v in pairs(set) do io.write(k, "=", v, "\n"); end
]];

describe("the snippet in conf.avail", function ()
	local folder, program;

	setup(function ()
		local pipe = assert(io.popen("mktemp -d"));
		folder = pipe:read("*l");
		pipe:close();
		assert(os.execute("mkdir -p " .. folder .. "/there/net && : >" .. folder .. "/there/net/server_go.so"));
		program = folder .. "/read.lua";
		local file = assert(io.open(program, "w"));
		file:write(read);
		file:close();
	end);

	teardown(function ()
		os.execute("rm -rf " .. folder);
	end);

	local function run(lua, cpath, prosody13)
		local pipe = assert(io.popen(("%s %s debian/backend-go.cfg.lua '%s' %s 2>&1"):format(
			lua, program, cpath, prosody13 and "13" or "")));
		local said = pipe:read("*a");
		pipe:close();
		return said;
	end

	for _, lua in ipairs(luas) do
		for _, prosody13 in ipairs { false, true } do
			it(("switches over where the module is, on %s, Prosody %s"):format(lua, prosody13 and "13" or "0.12"), function ()
				local cpath = folder .. "/elsewhere/?.so;" .. folder .. "/there/?.so;" .. folder .. "/there/loadall.so";
				assert.equal("network_backend=go\n", run(lua, cpath, prosody13));
			end);

			it(("does nothing where it is not, on %s, Prosody %s"):format(lua, prosody13 and "13" or "0.12"), function ()
				assert.equal("", run(lua, folder .. "/elsewhere/?.so;" .. folder .. "/there/loadall.so", prosody13));
			end);
		end
	end
end);
