"""Measure the backends side by side: each has its turn in every round, so that they share the weather."""

import os
import pathlib
import resource
import shutil
import sys
import tempfile
import time

import machine
import report
from process import HERE, NAME, EchoServer, Failed, Load

import authority  # beside process's server
import echo_cases

RESULTS = HERE.parent.parent / "build" / "bench"


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class Bench:
    def __init__(self, folder, backends, rounds, load):
        self.folder, self.backends, self.rounds, self.load = folder, backends, rounds, load
        self.pems = {}
        self.failures = []

    def pem(self, key):
        if key not in self.pems:
            folder = self.folder / key
            folder.mkdir()
            authority.Authority(folder / "authority.pem").issue(folder, NAME, key=key)
            self.pems[key] = folder / f"{NAME}.pem"
        return self.pems[key]

    def start(self, case, backend):
        server = EchoServer(backend, self.folder, self.pem(case.key))
        try:
            server.wait()
        except BaseException:
            server.kill()
            raise
        return server

    def measure(self, case):
        """backend -> what each round gave; nothing for one that cannot."""
        values = {backend: [] for backend in self.backends}
        servers, failed = {}, set()
        rounds = min(self.rounds, case.rounds)
        try:
            for number in range(rounds):
                for backend in self.backends:
                    if backend in failed:
                        continue
                    progress(f"{case.name}: round {number + 1} of {rounds}, {backend}")
                    try:
                        values[backend].append(self.turn(case, backend, servers))
                    except Failed as error:
                        failed.add(backend)
                        values[backend].clear()
                        self.failures.append(f"{case.name}, {backend}: {error}")
        finally:
            for server in servers.values():
                server.kill()
            progress("")
        return values

    def turn(self, case, backend, servers):
        if not case.serves:
            return case.measure(self.load, backend)
        if backend not in servers:
            servers[backend] = self.start(case, backend)
        try:
            return case.measure(self.load, servers[backend])
        finally:
            if case.fresh:
                servers.pop(backend).kill()


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
    lines = [f"{title}, the medians of {bench.rounds} rounds of {bench.load.seconds:g} s.", "", machine.describe() + ".", ""]
    lines += report.header(bench.backends)
    print("\n".join(lines), flush=True)
    rows = []
    for case in cases:
        new = report.rows_of(case, bench.measure(case))
        rows += new
        new = report.lines_of(new, bench.backends)
        lines += new
        print("\n".join(new), flush=True)
    lines += [""] + [f"- {failure}" for failure in bench.failures]
    print("\n".join(lines[-len(bench.failures) - 1:]))
    print(f"load average {os.getloadavg()[0]:.1f} at the end, of which the measurement itself is about 2", file=sys.stderr)
    return rows, lines


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    cases = chosen(echo_cases.CASES)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
    started = time.monotonic()
    try:
        load = Load(folder, float(os.environ.get("DURATION") or 2))
        backends = (os.environ.get("BACKENDS") or "epoll event go").split()
        bench = Bench(folder, backends, int(os.environ.get("ROUNDS") or 5), load)
        rows, lines = run(cases, bench, "A bare Lua server")
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "bench.md").write_text("\n".join(lines) + "\n")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
