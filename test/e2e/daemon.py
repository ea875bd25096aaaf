"""A Prosody that runs as a daemon, started and looked after as an administrator does it.

Run by root it is the user prosody's, as Debian has it, and prosodyctl changes to that user by itself.
"""

import asyncio
import fcntl
import os
import pathlib
import pty
import pwd
import shutil
import signal
import termios

import release
import server

ROOT = os.geteuid() == 0
PR_SET_CHILD_SUBREAPER = 36
USER = pwd.getpwnam("prosody") if ROOT else pwd.getpwuid(os.getuid())


def programs_for(folder):
    """Where prosody and prosodyctl are: in a copy below folder if the user prosody cannot go where they are."""
    found = pathlib.Path(release.PROGRAMS)
    if not ROOT or found == pathlib.Path("/usr/bin"):
        return found
    tree, copy = found.parent, folder / "usr"
    shutil.copytree(tree, copy)
    for name in ("prosody", "prosodyctl"):
        program = copy / "bin" / name
        program.write_text(program.read_text().replace(str(tree), str(copy)))
    return copy / "bin"


class Daemon(server.Prosody):
    """`ended` and `running` are what main.py asks; a daemon that has ended fails the next check by itself."""

    def __init__(self, backend, folder, settings, template="daemon.cfg.lua.in", ports=("c2s",)):
        super().__init__(backend, folder, template, ports, settings)
        self.pidfile = folder / "prosody.pid"
        self.programs = programs_for(folder)
        self.modules = folder / "lib"
        if backend == "go":
            (self.modules / "net").mkdir(parents=True)
            shutil.copy(server.MODULE_FOLDER / "net/server_go.so", self.modules / "net")
        (folder / "certs").mkdir()
        self._give_to_user()

    def _give_to_user(self):
        self.folder.chmod(0o755)
        if ROOT:
            for path in (self.folder, self.folder / "data", *self.folder.glob("data/**/*")):
                os.chown(path, USER.pw_uid, USER.pw_gid)

    def add_users(self, host, names):
        super().add_users(host, names)
        self._give_to_user()

    def running(self):
        return True

    async def ended(self):
        await asyncio.get_running_loop().create_future()

    def other_config(self, name, *changes):
        """A second configuration, with parts of the text replaced."""
        text = self.config.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        config = self.folder / name
        config.write_text(text)
        return config

    def spawn(self, *command, as_root=False, config=None, variables=(), **options):
        """Run a command as the user whose Prosody it is, or as root; return a future process."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LUA_")}
        environment |= {"LUA_CPATH": f"{self.modules}/?.so;;", "HOME": str(self.folder), **dict(variables)}
        if ROOT and not as_root:
            options |= {"user": USER.pw_uid, "group": USER.pw_gid, "extra_groups": []}
        return asyncio.create_subprocess_exec(*map(str, command), **({
            "env": environment, "cwd": "/", "start_new_session": True, "stdin": asyncio.subprocess.DEVNULL,
            "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT} | options))

    async def output_of(self, *command, **options):
        """Run a command to its end; return its exit status and what it wrote, both streams together."""
        process = await self.spawn(*command, **options)
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                server.kill_group(process)
                await process.wait()
        return process.returncode, output.decode(errors="replace")

    def daemonize(self, config=None, **options):
        return self.output_of(self.programs / "prosody", "--config", config or self.config, "-D", **options)

    def ctl(self, *args, config=None, **options):
        return self.output_of(self.programs / "prosodyctl", "--config", config or self.config, *args, **options)

    async def pid(self):
        """What is in the pidfile, once it is there."""
        while True:
            try:
                return int(self.pidfile.read_text())
            except (FileNotFoundError, ValueError):
                await asyncio.sleep(0.02)

    def processes(self):
        """All that run with this one's environment."""
        found = []
        for file in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"LUA_CPATH={self.modules}/".encode() in file.read_bytes():
                    found.append(int(file.parent.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                pass
        return found

    @staticmethod
    def adopt_daemons():
        """From now on a daemon is a child of this process, which then gets to know how it ended."""
        server.libc.prctl(PR_SET_CHILD_SUBREAPER, 1)

    async def end_of(self, pid):
        """Wait for the end of an adopted daemon; return its exit status (negative: the signal that ended it)."""
        while True:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            await asyncio.sleep(0.01)

    async def gone(self, pid):
        while os.path.exists(f"/proc/{pid}"):
            await asyncio.sleep(0.02)

    async def kill(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Terminal:
    """A command on a terminal of its own."""

    @classmethod
    async def open(cls, daemon, *command, **options):
        self = cls()
        self.master, slave = pty.openpty()
        os.set_blocking(self.master, False)
        self.text = ""
        self.process = await daemon.spawn(
            *command, stdin=slave, stdout=slave, stderr=slave,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **options)
        os.close(slave)
        return self

    def _read(self):
        try:
            self.text += os.read(self.master, 1 << 16).decode(errors="replace")
        except BlockingIOError:
            pass
        except OSError:  # the other end is closed
            return False
        return True

    async def expect(self, text):
        """Wait for the text; forget all up to its end."""
        while text not in self.text:
            if not self._read() and text not in self.text:
                raise AssertionError(f"closed without {text!r}: {self.text[-600:]!r}")
            await asyncio.sleep(0.02)
        self.text = self.text.split(text, 1)[1]

    def type(self, text):
        os.write(self.master, text.encode())

    async def end(self):
        """Wait for the command's end; return its exit status."""
        while self._read() and self.process.returncode is None:
            await asyncio.sleep(0.02)
        return await self.process.wait()

    def close(self):
        if self.process.returncode is None:
            server.kill_group(self.process)
        os.close(self.master)
