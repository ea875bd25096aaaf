"""How many times better than server_epoll, as bars."""

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402 (the backend comes first)

COLORS = {"go": "#2a6f97", "event": "#b8c4cc"}


def better(row, backend):
    """How many times better than epoll; None if unknown."""
    ratio = row.ratios.get(backend)
    return ratio if not ratio or row.metric.more_is_better else 1 / ratio


def wanted(row):
    """What there is a target for, the rest is detail; and not what a backend is compared with itself in."""
    target = row.metric.target
    return target and not (target.of == "value" and target.at_least) and better(row, "go")


def draw(rows, path):
    rows = [row for row in rows if wanted(row)]
    if not rows:
        return
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmark", "font.size": 9})
    figure, axes = plt.subplots(figsize=(10, 0.5 + 0.42 * len(rows)), layout="constrained")
    colors = {backend: color for backend, color in COLORS.items() if any(better(row, backend) for row in rows)}
    height = 0.8 / len(colors)
    for place, (backend, color) in enumerate(colors.items()):
        for number, row in enumerate(rows):
            if better(row, backend):
                bar(axes, number + place * height, better(row, backend), height, color)
    middle = (len(colors) - 1) * height / 2
    finish(axes, [f"{row.case.title}\n{row.metric.label}" for row in rows], middle, colors)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def bar(axes, y, value, height, color):
    axes.barh(y, value - 1, height, left=1, color=color)
    axes.annotate(f"{value:.1f}", (value, y), (3 if value >= 1 else -3, 0), textcoords="offset points", va="center",
                  ha="left" if value >= 1 else "right", fontsize=8)


def finish(axes, labels, middle, colors):
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks([number + middle for number in range(len(labels))], labels)
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.set_xlabel("times better than server_epoll")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(handles=[matplotlib.patches.Patch(color=color, label=f"server_{backend}") for backend, color in colors.items()],
                loc="lower right", frameon=False)
