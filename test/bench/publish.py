"""Puts the tables of the last whole runs into docs/benchmarks.md, and draws docs/benchmark.svg from them."""

import re

import chart
import results
from process import HERE

DOCS = HERE.parent.parent / "docs"
SUITES = {"prosody": "", "benchmark": "bare server: "}  # how the chart marks each


def main():
    page = DOCS / "benchmarks.md"
    text = page.read_text()
    for name in SUITES:
        table = results.table(name)
        text = re.sub(rf"(<!-- {name} -->\n).*(<!-- end of {name} -->)", lambda found: f"{found[1]}{table}{found[2]}", text, flags=re.S)
    page.write_text(text)
    chart.draw([row | {"case": mark + row["case"]} for name, mark in SUITES.items() for row in results.summaries(name)], DOCS / "benchmark.svg")
