"""Measure what TLS costs: the Lua thread's CPU time a handshake, the memory of an idle connection.

Both backends run at once and have their turns in alternation, so that they share the weather.
"""

import asyncio
import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import authority  # noqa: E402 (it lives next door)
import server  # noqa: E402

BACKENDS = "epoll", "go"
NAME = "bench.example.net"
ROUNDS = int(os.environ.get("ROUNDS", 4))
ROUND_SECONDS = 2
CLIENTS = 32
IDLE = 2000
SETTLE_SECONDS = 5


class Listener:
    """A Lua process that only listens (listener.lua)."""

    def __init__(self, backend, folder, pem):
        self.backend, self.pem = backend, pem
        self.port, = server.free_ports(1)
        self.connected_file = folder / f"connected-{backend}{'-tls' if pem else ''}"
        self.process = None

    async def start(self):
        lua = shutil.which("lua5.4") or sys.exit("no lua5.4 in the PATH")
        environment = os.environ | {"LUA_CPATH": f"{server.MODULE_FOLDER}/?.so;;"}
        self.process = await asyncio.create_subprocess_exec(
            lua, str(HERE / "listener.lua"), self.backend, str(self.port), str(self.pem or ""), str(self.connected_file),
            env=environment, start_new_session=True, preexec_fn=server.die_with_parent)

    async def kill(self):
        if self.process:
            server.kill_group(self.process)
            await self.process.wait()

    async def connected(self):
        await asyncio.sleep(1.1)  # it writes twice a second
        return int(self.connected_file.read_text())


class Target:
    """A port of a process."""

    def __init__(self, what, owner, port):
        self.what, self.owner, self.port = what, owner, port

    @property
    def pid(self):
        return self.owner.process.pid

    def lua_seconds(self):
        """CPU time of the main thread, which is the one that runs Lua."""
        fields = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text().split()
        return int(fields[0]) / 1e9

    def all_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        """Bytes of memory of its own, resident."""
        for line in pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024

    async def answers(self):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)


class Load:
    def __init__(self, program):
        self.program = program

    async def _start(self, target, *args):
        return await asyncio.create_subprocess_exec(
            self.program, "-addr", f"127.0.0.1:{target.port}", "-name", NAME, "-clients", str(CLIENTS), *args,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, preexec_fn=server.die_with_parent)

    async def hammer(self, target, seconds, *args):
        process = await self._start(target, "-time", f"{seconds}s", *args)
        output, _ = await process.communicate()
        succeeded, failed = map(int, output.split())
        if failed:
            print(f"{target.what}, {target.owner.backend}: {failed} handshakes failed", file=sys.stderr)
        return succeeded

    @contextlib.asynccontextmanager
    async def hold(self, target, count, *args):
        process = await self._start(target, "-hold", str(count), *args)
        try:
            if (await process.stdout.readline()).strip() != b"holding":
                sys.exit(f"{target.what}, {target.owner.backend}: cannot hold {count} connections")
            yield
        finally:
            process.stdin.close()
            await process.wait()


def ratio(values):
    return f"{values['epoll'] / values['go']:.1f}"


async def measure_handshakes(load, targets):
    print(f"\n{CLIENTS} clients, full handshakes, RSA-2048, {ROUNDS} rounds of {ROUND_SECONDS} s for each backend in turn; "
          "CPU time a handshake in µs, the median of the rounds (least to most)\n")
    print("| port | protocol | epoll: Lua thread | go: Lua thread | epoll/go "
          "| epoll: process | go: process | epoll: a second | go: a second |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for what, pair in targets.items():
        for version in "13", "12":
            lua, whole, rate = ({backend: [] for backend in BACKENDS} for _ in range(3))
            for backend in BACKENDS:
                await load.hammer(pair[backend], 1, "-tls", version)  # to warm up
            for _ in range(ROUNDS):
                for backend in BACKENDS:
                    target = pair[backend]
                    before = target.lua_seconds(), target.all_seconds()
                    count = await load.hammer(target, ROUND_SECONDS, "-tls", version)
                    await asyncio.sleep(0.2)  # for what it still has to do
                    lua[backend].append((target.lua_seconds() - before[0]) / count * 1e6)
                    whole[backend].append((target.all_seconds() - before[1]) / count * 1e6)
                    rate[backend].append(count / ROUND_SECONDS)
            middle = {name: {backend: statistics.median(values[backend]) for backend in BACKENDS}
                      for name, values in (("lua", lua), ("whole", whole), ("rate", rate))}
            cells = [what, f"TLS 1.{version[1]}"]
            cells += [f"{middle['lua'][b]:.0f} ({min(lua[b]):.0f} to {max(lua[b]):.0f})" for b in BACKENDS]
            cells += [f"**{ratio(middle['lua'])}**"]
            cells += [f"{middle[name][b]:.0f}" for name in ("whole", "rate") for b in BACKENDS]
            print("| " + " | ".join(cells) + " |", flush=True)
    for backend in BACKENDS:
        print(f"\nThe bare listener on {backend} saw {await targets['bare'][backend].owner.connected()} connect.")


async def measure_memory(load, make_targets, closing):
    print(f"\n{IDLE} idle connections; resident memory of the whole process, after minus before, KiB a connection, "
          f"{SETTLE_SECONDS} s after the last has connected\n")
    print("| port | epoll | go | epoll/go |")
    print("| --- | --- | --- | --- |")
    for what, pair in (await make_targets(closing)).items():
        used = {}
        for backend in BACKENDS:
            target, plain = pair[backend], ["-plain"] if "plain" in what else []
            async with load.hold(target, 50, *plain):  # what it loads or sets up once is not to count
                pass
            await asyncio.sleep(1)
            before = target.resident()
            async with load.hold(target, IDLE, *plain):
                await asyncio.sleep(SETTLE_SECONDS)
                used[backend] = (target.resident() - before) / IDLE / 1024
        print(f"| {what} | {used['epoll']:.1f} | {used['go']:.1f} | **{ratio(used)}** |", flush=True)


async def make_targets(folder, closing, plain=False):
    """what -> backend -> the port of a new process."""
    targets = {what: {} for what in (["bare, plain"] if plain else []) + ["bare", "HTTPS", "c2s"]}
    for backend in BACKENDS:
        one = pathlib.Path(tempfile.mkdtemp(prefix=f"{backend}-", dir=folder))
        (one / "certs").mkdir()
        authority.Authority(one / "authority.pem").issue(one / "certs", NAME, key="rsa")
        pem = one / "certs" / f"{NAME}.pem"
        prosodys = []
        for what, port in ("HTTPS", "https"), ("c2s", "c2s"):
            if prosodys and not plain:
                prosodys.append(prosodys[0])  # one will do
            else:
                prosody_folder = one / what
                (prosody_folder / "certs").mkdir(parents=True)
                shutil.copy(pem, prosody_folder / "certs")
                prosody = server.Prosody(
                    backend, prosody_folder, HERE / "prosody.cfg.lua.in", ("c2s", "https"), {"settings": ""})
                closing.push_async_callback(prosody.kill)
                await prosody.start()
                prosodys.append(prosody)
            targets[what][backend] = Target(what, prosodys[-1], getattr(prosodys[-1], f"{port}_port"))
        for what in [name for name in targets if name.startswith("bare")]:
            listener = Listener(backend, one, None if "plain" in what else pem)
            closing.push_async_callback(listener.kill)
            await listener.start()
            targets[what][backend] = Target(what, listener, listener.port)
    for pair in targets.values():
        for target in pair.values():
            await asyncio.wait_for(target.answers(), 10)
    return targets


async def run(wanted, folder):
    program = folder / "handshake"
    subprocess.run([os.environ.get("GO", "go"), "build", "-buildvcs=false", "-o", str(program), "."],
                   cwd=HERE / "handshake", check=True)
    load = Load(program)
    print(f"{os.cpu_count()} CPUs, load average {os.getloadavg()[0]:.1f} at the start")
    if "handshakes" in wanted:
        async with contextlib.AsyncExitStack() as closing:
            await measure_handshakes(load, await make_targets(folder, closing))
    if "memory" in wanted:
        async with contextlib.AsyncExitStack() as closing:
            await measure_memory(load, lambda closing: make_targets(folder, closing, plain=True), closing)


def main():
    wanted = sys.argv[1:] or ["handshakes", "memory"]
    if set(wanted) - {"handshakes", "memory"}:
        sys.exit("usage: run [handshakes] [memory]")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        asyncio.run(run(wanted, folder))
    except KeyboardInterrupt:
        sys.exit("interrupted")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
