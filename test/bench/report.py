"""What was measured, in Markdown."""

import statistics


def ratio_text(ratio):
    return f"{ratio:.2f}" if ratio > 0.5 else f"1/{1 / ratio:.1f}"


def median_of(key, rounds):
    return statistics.median(each[key] for each in rounds)


class Row:
    """One metric of one case: the medians of each backend, and of its ratio to epoll in the same round."""

    def __init__(self, case, metric, values):
        self.case, self.metric = case, metric
        self.medians = {backend: median_of(metric.key, rounds) for backend, rounds in values.items() if rounds}
        self.ratios = {backend: self._ratio(rounds, values["epoll"]) for backend, rounds in values.items()
                       if rounds and values.get("epoll")}

    def _ratio(self, rounds, epoll):
        against = self.metric.against or self.metric.key
        return statistics.median(one[self.metric.key] / other[against] for one, other in zip(rounds, epoll))

    def met(self):
        """None if there is no target, or nothing to hold against it."""
        target = self.metric.target
        value = target and (self.ratios if target.of == "ratio" else self.medians).get("go")
        return None if value is None else target.met(value)

    def cells(self, backends):
        ratio, target = self.ratios.get("go"), self.metric.target
        verdict = {None: "", True: "yes", False: "**no**"}[self.met()]
        return [self.metric.label] + [
            f"{self.medians[backend]:,.{self.metric.digits}f}" if backend in self.medians else "-" for backend in backends
        ] + ["-" if ratio is None else ratio_text(ratio), target.text if target else "", verdict]


def line(cells):
    return "| " + " | ".join(cells) + " |"


def header(backends):
    names = ["case", "metric", *backends, "go/epoll", "target", "met"]
    return [line(names), line(["---"] * len(names))]


def rows_of(case, values):
    return [Row(case, metric, values) for metric in case.metrics]


def lines_of(rows, backends):
    return [line([f"{row.case.title} (`{row.case.name}`)" if i == 0 else "", *row.cells(backends)]) for i, row in enumerate(rows)]
