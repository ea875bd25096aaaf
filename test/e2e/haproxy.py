"""A haproxy in front of a Prosody: it passes connections on as they are, and tells the client's address before."""

import asyncio
import csv
import shutil

import server

CONFIG = """
global
    stats socket {folder}/haproxy.sock
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
"""
PASSAGE = """
listen {name}
    bind 127.0.0.1:{front}
    server prosody 127.0.0.1:{behind} {option} check inter 200ms
"""


class Haproxy:
    """`passages`: name -> (port of Prosody, options of haproxy's server line); self.ports has haproxy's own by the same names."""

    def __init__(self, folder, passages):
        self.folder = folder
        self.ports = dict(zip(passages, server.free_ports(len(passages))))
        self.process = None
        self.console = folder / "console.log"
        (folder / "haproxy.cfg").write_text(CONFIG.format(folder=folder) + "".join(
            PASSAGE.format(name=name, front=self.ports[name], behind=behind, option=option)
            for name, (behind, option) in passages.items()))

    async def start(self):
        program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        assert program, "haproxy is not installed"
        with open(self.console, "wb") as console:
            self.process = await asyncio.create_subprocess_exec(
                program, "-db", "-f", self.folder / "haproxy.cfg", stdin=asyncio.subprocess.DEVNULL,
                stdout=console, stderr=console, start_new_session=True, preexec_fn=server.die_with_parent)

    async def kill(self):
        if self.process:
            server.kill_group(self.process)
            await self.process.wait()

    async def servers(self):
        """What haproxy knows of the Prosody behind each passage: name -> column of its statistics -> value."""
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "haproxy.sock"))
        try:
            writer.write(b"show stat\n")
            text = (await reader.read()).decode()
        finally:
            writer.close()
        rows = csv.DictReader(text.removeprefix("# ").splitlines())
        return {row["pxname"]: row for row in rows if row["svname"] == "prosody"}

    async def answers(self):
        """Wait until it does."""
        while True:
            try:
                return await self.servers()
            except (FileNotFoundError, ConnectionRefusedError):
                assert self.process.returncode is None, self.console.read_text()
                await asyncio.sleep(0.05)
