-- Prints the milliseconds that it takes to load a backend:  lua require.lua BACKEND
local monotonic = require "util.time".monotonic;

local before = monotonic();
require("net.server_" .. arg[1]);
print((monotonic() - before) * 1000);
