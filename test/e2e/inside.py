"""What a running Prosody holds, seen from outside (/proc) and from inside (its admin shell)."""

import json
import re

import shell

INSIDE = """> (function ()
 local server = require "net.server";
 local debug = require "debug";
 collectgarbage(); collectgarbage();
 local counts = { ["registry references"] = 0; ["connections in the registry"] = 0; sessions = 0 };
 for _ in pairs(prosody.full_sessions) do counts.sessions = counts.sessions + 1; end
 for key, value in pairs(debug.getregistry()) do
  if type(key) == "number" and type(value) ~= "number" then
   counts["registry references"] = counts["registry references"] + 1;
  end
  for _, object in pairs(type(value) == "table" and value or {}) do
   local mt = type(object) == "table" and getmetatable(object);
   if type(mt) == "table" and type(mt.__index) == "table" and mt.__index.pause_writes then
    counts["connections in the registry"] = counts["connections in the registry"] + 1;
   end
  end
 end
 counts["Lua KiB"] = math.floor(collectgarbage("count"));
 local stats = server.stats and server.stats() or {};
 for kind, count in pairs(stats.connections or {}) do counts["handles, " .. kind] = count.open; end
 for _, kind in ipairs { "servers", "watches" } do
  if stats[kind] then counts["handles, " .. kind] = stats[kind].open; end
 end
 counts.timers, counts.goroutines, counts["Go's threads"] = stats.timers, stats.goroutines, stats.threads;
 if stats.handshakes then counts.handshakes = stats.handshakes.running; end
 for name, length in pairs(stats.queues or {}) do counts["queue of " .. name] = length; end
 return require "util.json".encode(counts);
end)()""".replace("\n", " ")


def resident(pid):
    """Resident memory, KiB: libc's heap, where Lua's small blocks are, apart from the rest."""
    heap, rest = 0, 0
    for line in open(f"/proc/{pid}/smaps"):
        if re.match(r"[0-9a-f]+-", line):
            in_heap = line.endswith("[heap]\n")
        elif line.startswith("Rss:"):
            size = int(line.split()[1])
            if in_heap:
                heap += size
            else:
                rest += size
    return {"RSS of the heap, KiB": heap, "RSS of the rest, KiB": rest}


async def counts(prosody):
    """What must not grow: name -> number."""
    error, text = await shell.command(prosody.socket, INSIDE)
    assert not error, text
    found = json.loads(text.partition("Result: ")[2])
    status = open(f"/proc/{prosody.process.pid}/status").read()
    found |= resident(prosody.process.pid)
    found["threads"] = int(re.search(r"Threads:\s+(\d+)", status)[1])
    found["descriptors"] = len(prosody.open_files())
    return found
