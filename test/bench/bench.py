"""Runs one case: each backend has its turn in every round, so that they share the weather."""

import sys

from process import NAME, EchoServer, Failed
from prosody import Prosodys

import authority  # beside process's server

MAY_FAIL = {"event"}  # it gets "-" instead


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class Bench:
    """What the cases are run with: the load generator, servers, certificates."""

    def __init__(self, folder, backends, rounds, load):
        self.folder, self.backends, self.rounds, self.load = folder, backends, rounds, load
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

    def echo_server(self, backend, key):
        if backend not in self.servers:
            self.servers[backend] = EchoServer(backend, self.folder, self.pem(key))
            self.servers[backend].wait()
        return self.servers[backend]

    def stop_servers(self):
        while self.servers:
            self.servers.popitem()[1].kill()

    def prosodys(self, backend, key, gc):
        return Prosodys(backend, self.folder, self.pem(key), gc)

    def measure(self, case):
        """backend -> what each round gave; nothing for one that cannot."""
        values = {backend: [] for backend in self.backends}
        failed = set()
        rounds = min(self.rounds, case.rounds)
        try:
            for number in range(rounds):
                for backend in [name for name in self.backends if name not in failed]:
                    progress(f"{case.name}: round {number + 1} of {rounds}, {backend}")
                    try:
                        values[backend].append(case.turn(self, backend))
                    except Failed as error:
                        failed.add(backend)
                        self.broken |= backend not in MAY_FAIL
                        values[backend].clear()
                        self.failures.append(f"{case.name}, {backend}: {'; '.join(str(error).splitlines())}")
        finally:
            self.stop_servers()
            progress("")
        return values
