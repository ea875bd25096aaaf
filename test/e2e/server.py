"""A stock Prosody with a configuration, data and log of its own in a temporary folder."""

import asyncio
import ctypes
import itertools
import os
import pathlib
import random
import signal
import socket

import release

HERE = pathlib.Path(__file__).resolve().parent
MODULE_FOLDER = pathlib.Path(os.environ.get("BUILD") or HERE.parent.parent / "build").resolve()
PR_SET_PDEATHSIG = 1
PORTS = range(10000, 20000)
libc = ctypes.CDLL(None)
reserved = []  # sockets whose names, while they are open, say that a port is this process's


def free_ports(count):
    """Port numbers free for both TCP and UDP on every IPv4 address, all different. Whoever gets them binds them later: so they
    are none that Linux gives to connections, or test/lua to servers, and until this process ends no other one gets them here."""
    usable = (port for port in random.sample(PORTS, len(PORTS)) if reserve(port) and is_free(port))
    ports = list(itertools.islice(usable, count))
    if len(ports) < count:
        raise RuntimeError(f"fewer than {count} free ports from {PORTS[0]} to {PORTS[-1]}")
    return ports


def reserve(port):
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0net.server_go test port {port}")
    except OSError:
        name.close()
        return False
    reserved.append(name)
    return True


def is_free(port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            tcp.bind(("", port))
            udp.bind(("", port))
        except OSError:
            return False
    return True


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_group(process):
    """End a child that is the leader of its own process group, and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def tail(path, lines):
    try:
        return path.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


class Prosody:
    """One Prosody. `ports` names the ports it is to have: "c2s" becomes self.c2s_port and, in its
    configuration, @C2S_PORT@; `settings` has the other values for its configuration."""

    def __init__(self, backend, folder, template, ports, settings):
        self.backend = backend
        self.folder = folder
        ports = {f"{name}_port": port for name, port in zip(ports, free_ports(len(ports)))}
        vars(self).update(ports)
        self.config = folder / "prosody.cfg.lua"
        self.log = folder / "prosody.log"
        self.console = folder / "console.log"
        self.socket = folder / "prosody.sock"
        self.report = folder / "probe.json"
        self.www = folder / "www"
        self.process = None
        (folder / "data").mkdir()
        self.www.mkdir()
        self._write_config(template, ports | settings)

    def _write_config(self, template, values):
        text = (HERE / template).read_text()
        values = values | {"backend": self.backend, "folder": self.folder, "modules": HERE / "modules"}
        for name, value in values.items():
            text = text.replace(f"@{name.upper()}@", str(value))
        self.config.write_text(text)

    def add_users(self, host, names):
        """Accounts as mod_auth_internal_plain keeps them: hundreds at once, before it starts."""
        folder = self.folder / "data" / host / "accounts"
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.dat").write_text(f"""return {{ ["password"] = "{name}'s password" }};\n""")

    def _environment(self):
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("LUA_PATH", "LUA_CPATH", "LUA_INIT"))}
        return keep | {"LUA_CPATH": f"{MODULE_FOLDER}/?.so;;"}

    async def _spawn(self, program, *args, **streams):
        return await asyncio.create_subprocess_exec(
            f"{release.PROGRAMS}/{program}", "--config", str(self.config), *args,
            stdin=asyncio.subprocess.DEVNULL, env=self._environment(),
            start_new_session=True, preexec_fn=die_with_parent, **streams)

    async def start(self):
        with open(self.console, "wb") as console:
            self.process = await self._spawn("prosody", "-F", stdout=console, stderr=console)

    async def ctl(self, *args, timeout=20):
        """Run prosodyctl; return its exit status and its output, both streams together."""
        process = await self._spawn("prosodyctl", *args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        try:
            output, _ = await asyncio.wait_for(process.communicate(), timeout)
        except asyncio.TimeoutError:
            raise AssertionError(f"prosodyctl {' '.join(args)} did not end within {timeout} s") from None
        finally:
            kill_group(process)
        return process.returncode, output.decode(errors="replace")

    def running(self):
        return self.process is not None and self.process.returncode is None

    async def ended(self):
        """Wait for the end of the process; return its exit status (negative: the signal that ended it)."""
        return await self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    async def kill(self):
        if self.process:
            kill_group(self.process)
            await self.process.wait()

    def log_text(self, since=0):
        try:
            with open(self.log, "rb") as file:
                file.seek(since)
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def log_size(self):
        return self.log.stat().st_size if self.log.exists() else 0

    async def logged(self, text, since=0):
        while text not in self.log_text(since):
            await asyncio.sleep(0.05)

    def open_files(self):
        """What the process has open now: fd number -> what it is."""
        folder = f"/proc/{self.process.pid}/fd"
        files = {}
        for name in os.listdir(folder):
            try:
                files[int(name)] = os.readlink(f"{folder}/{name}")
            except FileNotFoundError:
                pass
        return files

    def last_words(self, lines=50):
        yield from (f"console: {line}" for line in tail(self.console, lines))
        yield from tail(self.log, lines)
