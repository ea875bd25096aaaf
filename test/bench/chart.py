"""How many times better than server_epoll, as bars."""

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402 (the backend comes first)

GO, EVENT = "#2a6f97", "#b8c4cc"


def better(row, backend):
    """How many times better than epoll; None if unknown."""
    value, epoll = row.medians.get(backend), row.reference
    if not value or not epoll:
        return None
    return value / epoll if row.metric.more_is_better else epoll / value


def wanted(row):
    """What there is a target for: the rest is detail."""
    return row.metric.target and better(row, "go")


def must_reach(row):
    """Where the target is on the same scale; None for one that is not relative to epoll."""
    target = row.metric.target
    if target.of != "ratio":
        return None
    return target.limit if row.metric.more_is_better else 1 / target.limit


def draw(rows, path):
    rows = [row for row in rows if wanted(row)]
    if not rows:
        return
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmark", "font.size": 9})
    figure, axes = plt.subplots(figsize=(10, 0.5 + 0.42 * len(rows)), layout="constrained")
    has_event = any(better(row, "event") for row in rows)
    height = 0.4 if has_event else 0.7
    for number, row in enumerate(rows):
        bar(axes, number, better(row, "go"), height, GO)
        if has_event and better(row, "event"):
            bar(axes, number + height, better(row, "event"), height, EVENT)
        if must_reach(row):
            axes.plot([must_reach(row)] * 2, [number - height / 2, number + height / 2], color="black", linewidth=2)
    finish(axes, rows, height, has_event)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def bar(axes, y, value, height, color):
    axes.barh(y, value - 1, height, left=1, color=color)
    axes.annotate(f"{value:.1f}", (value, y), (3 if value >= 1 else -3, 0), textcoords="offset points", va="center",
                  ha="left" if value >= 1 else "right", fontsize=8)


def finish(axes, rows, height, has_event):
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks([number + (height / 2 if has_event else 0) for number in range(len(rows))],
                    [f"{row.case.title}\n{row.metric.label.split(';')[0]}" for row in rows])
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.set_xlabel("times better than server_epoll")
    axes.spines[["top", "right", "left"]].set_visible(False)
    handles = [matplotlib.patches.Patch(color=GO, label="server_go")]
    if has_event:
        handles.append(matplotlib.patches.Patch(color=EVENT, label="server_event"))
    handles.append(matplotlib.lines.Line2D([], [], color="black", linewidth=2, label="target"))
    axes.legend(handles=handles, loc="lower right", frameon=False)
