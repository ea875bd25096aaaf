"""Runs one case: each side has its turn in every round, so that they share the weather."""

import sys

from process import NAME, EchoServer, Failed
from prosody import Prosodys

import authority  # beside process's server


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class Bench:
    """What the cases are run with: the load generator, servers, certificates."""

    def __init__(self, folder, sides, rounds, load):
        self.folder, self.sides, self.rounds, self.load = folder, sides, rounds, load
        self.pems = {}
        self.servers = {}  # the echo servers of this case
        self.failures = []
        self.broken = False  # one that must be able to was not

    def pem(self, key):
        """A file with a key of that kind and its certificate."""
        if key not in self.pems:
            folder = self.folder / key
            folder.mkdir()
            authority.Authority(folder / "authority.pem").issue(folder, NAME, key=key)
            self.pems[key] = folder / f"{NAME}.pem"
        return self.pems[key]

    def place(self, case):
        """Puts the load generator where the case wants it; returns the server's processors."""
        servers, self.load.processors = case.processors()
        return servers

    def echo_server(self, side, case):
        processors = self.place(case)
        if side not in self.servers:
            self.servers[side] = EchoServer(side, self.folder, self.pem(case.key), case.tls, processors)
            self.servers[side].wait()
        return self.servers[side]

    def stop_servers(self):
        while self.servers:
            self.servers.popitem()[1].kill()

    def prosodys(self, side, case):
        return Prosodys(side, self.folder, self.pem(case.key), case.settings, self.place(case))

    def measure(self, case):
        """side's name -> what each round gave; nothing for one that cannot."""
        values = {side.name: [] for side in self.sides}
        failed = set()
        rounds = min(self.rounds, case.rounds)
        try:
            for number in range(rounds):
                for side in [side for side in self.sides if side not in failed]:
                    progress(f"{case.name}: round {number + 1} of {rounds}, {side.name}")
                    try:
                        values[side.name].append(case.turn(self, side))
                    except Failed as error:
                        failed.add(side)
                        self.broken |= side.name not in case.may_fail
                        values[side.name].clear()
                        self.failures.append(f"{case.name}, {side.name}: {'; '.join(str(error).splitlines())}")
        finally:
            self.stop_servers()
            progress("")
        return values
