"""Measures the backends side by side, prints a table."""

import fnmatch
import os
import pathlib
import resource
import shutil
import sys
import tempfile

import echo_cases
import machine
import prosody_cases
import results
import room_cases
import size_cases
import report
from bench import Bench
from process import Load
from sides import SIDES

SUITES = {
    "benchmark": ("A bare Lua server", echo_cases.CASES, "epoll tuned event go"),
    "prosody": ("A whole Prosody", prosody_cases.CASES + room_cases.CASES + size_cases.CASES
                + prosody_cases.GENERATIONAL_CASES + room_cases.GENERATIONAL_CASES, "epoll tuned go"),
}


def chosen(cases):
    wanted = os.environ.get("BENCH", "").split()
    names = [case.name for case in cases]
    if wanted == ["list"]:
        print("\n".join(f"{case.name:20} {case.title}" for case in cases))
        sys.exit()
    if unknown := [pattern for pattern in wanted if not fnmatch.filter(names, pattern)]:
        sys.exit(f"no case is called {', '.join(unknown)}; BENCH=list names them")
    return [case for case in cases if not wanted or any(fnmatch.fnmatch(case.name, pattern) for pattern in wanted)]


def run(cases, bench, title):
    """Prints the table line by line as it comes to be; returns it, and its rows."""
    lines, others = [], machine.Others()

    def say(*new):
        lines.extend(new)
        print("\n".join(new), flush=True)

    sides = [side.name for side in bench.sides]
    say(f"{title}, the medians of {bench.rounds} rounds of {bench.load.seconds:g} s. {machine.describe()}.", "")
    say(*report.header(sides))
    rows = []
    for case in cases:
        new = report.rows_of(case, bench.measure(case))
        rows += new
        say(*report.lines_of(new, sides))
    say("", f"Other processes took {others.share():.0%} of the machine meanwhile.", *(f"- {failure}" for failure in bench.failures))
    return lines, rows


def taking_part(names):
    if unknown := set(names) - SIDES.keys():
        sys.exit(f"BACKENDS has {', '.join(unknown)}; there are {', '.join(SIDES)}")
    return [SIDES[name] for name in names]


def measure(name, wanted):
    title, cases, names = SUITES[name]
    sides = taking_part((os.environ.get("BACKENDS") or names).split())
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        load = Load(folder, float(os.environ.get("DURATION") or 2))
        bench = Bench(folder, sides, int(os.environ.get("ROUNDS") or 5), load)
        lines, rows = run(wanted, bench, title)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results.keep(name if wanted == cases else f"{name}-part", lines, rows)
    return bench.broken


def main():
    if sys.argv[1:] == ["publish"]:
        import publish  # needs matplotlib
        return publish.main()
    name = sys.argv[1] if len(sys.argv) > 1 else "benchmark"
    if len(sys.argv) > 2 or name not in SUITES:
        sys.exit("usage: run [prosody | publish]")
    wanted = chosen(SUITES[name][1])
    # Every connection is one in the server, and one in the load generator.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    try:
        sys.exit(measure(name, wanted))
    except KeyboardInterrupt:
        sys.exit("interrupted")


if __name__ == "__main__":
    main()
