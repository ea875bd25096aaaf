"""What was measured, in Markdown."""

import statistics

from sides import DEFAULT, MEASURED, REFERENCE


def median_of(key, rounds):
    return statistics.median(each[key] for each in rounds)


class Row:
    """One metric of one case: the median of each side, and how many times better than others the measured one is."""

    def __init__(self, case, metric, values):
        self.case, self.metric = case, metric
        self.medians = {side: median_of(metric.key, rounds) for side, rounds in values.items() if rounds}
        self.better = self._better(values, REFERENCE)
        self.better_than_default = self._better(values, DEFAULT)

    def _better(self, values, other):
        """The median of the rounds' ratios: above 1, it is better, whether more or less is. None if there is none."""
        key = self.metric.key
        pairs = [(one[key], two[key]) for one, two in zip(values.get(MEASURED, ()), values.get(other, ()))]
        if not pairs or not all(one and two for one, two in pairs):
            return None
        return statistics.median(one / two if self.metric.more_is_better else two / one for one, two in pairs)

    def met(self):
        """None if there is no target, or nothing to hold against it."""
        target, value = self.metric.target, self.medians.get(MEASURED)
        if target and target.of == "better":
            value = self.better
        elif target and target.of == "more":
            value = value - self.medians[REFERENCE] if {MEASURED, REFERENCE} <= self.medians.keys() else None
        return None if not target or value is None else target.met(value)

    def summary(self):
        """What the chart shows."""
        return {"case": self.case.title, "metric": self.metric.label, "chart": self.metric.target is not None,
                "better": self.better, "better_than_default": self.better_than_default}

    def cells(self, sides):
        target = self.metric.target
        verdict = {None: "", True: "yes", False: "**no**"}[self.met()]
        return [self.metric.label] + [
            f"{self.medians[side]:,.{self.metric.digits}f}" if side in self.medians else "-" for side in sides
        ] + [times(self.better), times(self.better_than_default), target.text if target else "", verdict]


def times(better):
    if better is None:
        return "-"
    text = f"{better:.3g}" if better >= 10 else f"{better:.2f}"
    return f"**{text}, worse**" if better < 0.995 else text


def line(cells):
    return "| " + " | ".join(cells) + " |"


def header(sides):
    names = ["case", "metric", *sides, f"better than {REFERENCE} by", f"than {DEFAULT} by", "target", "met"]
    return [line(names), line(["---"] * len(names))]


def rows_of(case, values):
    return [Row(case, metric, values) for metric in case.metrics]


def lines_of(rows, sides):
    return [line([f"{row.case.title} (`{row.case.name}`)" if i == 0 else "", *row.cells(sides)]) for i, row in enumerate(rows)]
