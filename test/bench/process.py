"""The processes of a measurement: the echo server, other Lua programs, the load generator."""

import contextlib
import functools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import release  # noqa: E402 (it lives next door)
import server  # noqa: E402

NAME = "bench.example.net"
PROSODY_LIB = os.environ.get("PROSODY_LIB") or release.LIB
START_SECONDS = 120  # hundreds of hosts take a while
TICKS = os.sysconf("SC_CLK_TCK")


# Which processors the server gets, and which the load generator; None: all.
TOGETHER = None, None


class Failed(Exception):
    """A process did not do what was asked of it."""


def apart():
    """One processor for the server, the others for the load generator."""
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        raise Failed("server and load generator need a processor each")
    return {first}, set(others)


def before_exec(processors):
    """What a child does before it becomes another program."""
    server.die_with_parent()
    if processors:
        os.sched_setaffinity(0, processors)


def start(command, processors=None, **options):
    return subprocess.Popen(command, start_new_session=True, preexec_fn=functools.partial(before_exec, processors), **options)


def lua():
    return shutil.which("lua5.4") or sys.exit("no lua5.4 in the PATH")


def lua_command(script, *args):
    """How a Lua program beside this file is run, with Prosody's modules."""
    # Those of 13 ask for each other as prosody.*, which its loader takes care of.
    loader = ["-l", "loader"] if os.path.exists(f"{PROSODY_LIB}/loader.lua") else []
    return [lua(), *loader, HERE / script, *map(str, args)]


def lua_environment(preload=""):
    preloaded = {"LD_PRELOAD": preload} if preload else {}
    return os.environ | preloaded | {
        "LUA_PATH": f"{PROSODY_LIB}/?.lua;;",
        "LUA_CPATH": f"{server.MODULE_FOLDER}/?.so;{PROSODY_LIB}/?.so;;",
    }


def run_lua(script, *args):
    """Run a Lua program beside this file; return the number that it prints."""
    try:
        done = subprocess.run(lua_command(script, *args), env=lua_environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, preexec_fn=server.die_with_parent)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{script} did not end within {error.timeout} s") from None
    if done.returncode:
        raise Failed(f"{script}: {done.stderr.strip()}")
    return float(done.stdout)


class Server:
    """A process that listens. Those who inherit say how it is started, and on which ports."""

    process = None
    ports = ()

    @property
    def pid(self):
        return self.process.pid

    def resident(self):
        """Bytes of memory, resident."""
        for line in pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
        raise Failed("no Rss in smaps_rollup")

    def cpu_seconds(self):
        """CPU time of all its threads so far."""
        return sum(map(int, pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / TICKS

    def wait(self):
        """Wait until all its ports answer."""
        end = time.monotonic() + START_SECONDS
        for port in self.ports:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError as error:
                    if self.process.poll() is not None or time.monotonic() > end:
                        raise Failed(f"{type(self).__name__} does not listen: {error}\n{self.said()}") from None
                    time.sleep(0.05)

    def said(self):
        return ""

    def kill(self):
        if self.process:
            server.kill_group(self.process)
            self.process.wait()


class EchoServer(Server):
    def __init__(self, side, folder, pem, tls, processors):
        self.ports = self.port, self.tls_port = server.free_ports(2)
        self.log = folder / f"echo-{side.name}.log"
        with open(self.log, "wb") as log:
            self.process = start(lua_command("echo.lua", side.backend, self.port, self.tls_port, pem, side.settings, tls),
                                 processors, env=lua_environment(side.preload), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def said(self):
        return "\n".join(server.tail(self.log, 5))


class Load:
    """The load generator, load/."""

    def __init__(self, folder, seconds):
        self.program = folder / "load"
        self.seconds = seconds
        self.processors = None
        subprocess.run([os.environ.get("GO", "go"), "build", "-buildvcs=false", "-o", self.program, "."],
                       cwd=HERE / "load", check=True)

    def _start(self, mode, port, options):
        arguments = [f"-{name}={value}" for name, value in options.items()]
        # In a session of its own, which is what Linux shares the processors among: two generators must not wait for each other.
        return start([self.program, mode, f"-addr=127.0.0.1:{port}", f"-name={NAME}", *arguments], self.processors, text=True,
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def start(self, mode, port, seconds=None, **options):
        return self._start(mode, port, {"time": f"{seconds or self.seconds}s"} | options)

    def result(self, process):
        output, errors = process.communicate()
        if process.returncode:
            raise Failed(errors.strip())
        return json.loads(output.splitlines()[-1])

    def run(self, mode, port, **options):
        return self.result(self.start(mode, port, **options))

    @contextlib.contextmanager
    def hold(self, mode, port, **options):
        """Gives what the generator says when all are connected, which they are until the end."""
        process = self._start(mode, port, options)
        try:
            line = process.stdout.readline()
            if not line:
                raise Failed(process.stderr.read().strip())
            yield json.loads(line)
        finally:
            process.communicate()
