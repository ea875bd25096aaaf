"""Measures the backends side by side, prints a table, draws a chart."""

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
from bench import Bench
from process import HERE, Load

RESULTS = HERE.parent.parent / "build" / "bench"
SUITES = {
    "benchmark": ("A bare Lua server", echo_cases.CASES, "epoll event go"),
    "prosody": ("A whole Prosody", prosody_cases.CASES, "epoll go"),
}


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


def measure(name, wanted, draw):
    title, _, backends = SUITES[name]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        load = Load(folder, float(os.environ.get("DURATION") or 2))
        backends = (os.environ.get("BACKENDS") or backends).split()
        bench = Bench(folder, backends, int(os.environ.get("ROUNDS") or 5), load)
        lines, rows = run(wanted, bench, title)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    keep(name if draw else f"{name}-part", lines)
    if draw:
        draw(rows, RESULTS / f"{name}.svg")
    return bench.broken


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
        sys.exit(measure(name, wanted, draw))
    except KeyboardInterrupt:
        sys.exit("interrupted")


if __name__ == "__main__":
    main()
