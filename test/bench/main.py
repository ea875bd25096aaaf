"""Measure the backends side by side: each has its turn in every round, so that they share the weather."""

import os
import pathlib
import resource
import shutil
import sys
import tempfile

import echo_cases
import machine
import prosody_cases
import report
from process import HERE, NAME, EchoServer, Failed, Load
from prosody import Prosodys

import authority  # beside process's server

RESULTS = HERE.parent.parent / "build" / "bench"
MAY_FAIL = {"event"}  # it gets "-" instead
SUITES = {
    "benchmark": ("A bare Lua server", echo_cases.CASES, "epoll event go"),
    "prosody": ("A whole Prosody", prosody_cases.CASES, "epoll go"),
}


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class Bench:
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


def chosen(cases):
    wanted = os.environ.get("BENCH", "").split()
    names = [case.name for case in cases]
    if wanted == ["list"]:
        print("\n".join(f"{case.name:20} {case.title}" for case in cases))
        sys.exit()
    if unknown := set(wanted) - set(names):
        sys.exit(f"no case is called {', '.join(unknown)}; BENCH=list names them")
    return [case for case in cases if not wanted or case.name in wanted]


def run(cases, bench, title):
    """Prints the table line by line as it comes to be; returns it, and its rows."""
    lines, others = [], machine.Others()

    def say(*new):
        lines.extend(new)
        print("\n".join(new), flush=True)

    say(f"{title}, the medians of {bench.rounds} rounds of {bench.load.seconds:g} s. {machine.describe()}.", "")
    say(*report.header(bench.backends))
    rows = []
    for case in cases:
        new = report.rows_of(case, bench.measure(case))
        rows += new
        say(*report.lines_of(new, bench.backends))
    say("", f"Other processes took {others.share():.0%} of the machine meanwhile.", *(f"- {failure}" for failure in bench.failures))
    return lines, rows


def keep(name, lines):
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{name}.md"
    file.write_text("\n".join(lines) + "\n")
    print(f"kept in {file}", file=sys.stderr)


def bench(name, wanted, draw):
    title, _, backends = SUITES[name]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        load = Load(folder, float(os.environ.get("DURATION") or 2))
        backends = (os.environ.get("BACKENDS") or backends).split()
        all_of_it = Bench(folder, backends, int(os.environ.get("ROUNDS") or 5), load)
        lines, rows = run(wanted, all_of_it, title)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    keep(name if draw else f"{name}-part", lines)
    if draw:
        draw(rows, RESULTS / f"{name}.svg")
    return all_of_it.broken


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "benchmark"
    if len(sys.argv) > 2 or name not in SUITES:
        sys.exit("usage: run [prosody]")
    cases = SUITES[name][1]
    wanted = chosen(cases)
    draw = None
    if wanted == cases:
        from chart import draw  # a part has no chart, and needs no matplotlib
    # Every connection is one in the server, and one in the load generator.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    try:
        sys.exit(bench(name, wanted, draw))
    except KeyboardInterrupt:
        sys.exit("interrupted")


if __name__ == "__main__":
    main()
