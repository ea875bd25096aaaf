"""How many times better than server_epoll, as bars."""

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402 (the backend comes first)

# Where it is better, where it is worse.
SERIES = {
    "better": ("#2a6f97", "#c1121f", "than server_epoll tuned (no Nagle's algorithm, a long queue)"),
    "better_than_default": ("#b8c4cc", "#e5a9a9", "than server_epoll with its defaults"),
}


def draw(summaries, path):
    """`summaries` as report.Row.summary gives them; those with a target are drawn, the rest is detail."""
    rows = [row for row in summaries if row["chart"] and row["better"]]
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmark", "font.size": 9})
    figure, axes = plt.subplots(figsize=(10, 0.8 + 0.42 * len(rows)), layout="constrained")
    height = 0.8 / len(SERIES)
    for place, (series, (good, bad, _)) in enumerate(SERIES.items()):
        for number, row in enumerate(rows):
            if row[series]:
                bar(axes, number + place * height, row[series], height, good if row[series] >= 1 else bad)
    middle = (len(SERIES) - 1) * height / 2
    finish(axes, [f"{row['case']}\n{row['metric']}" for row in rows], middle)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def bar(axes, y, value, height, color):
    axes.barh(y, value - 1, height, left=1, color=color)
    axes.annotate(f"{value:.2g}", (value, y), (3 if value >= 1 else -3, 0), textcoords="offset points", va="center",
                  ha="left" if value >= 1 else "right", fontsize=7)


def finish(axes, labels, middle):
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks([number + middle for number in range(len(labels))], labels)
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.set_xlabel("how many times better server_go is; left of 1 (red) it is worse")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(handles=[matplotlib.patches.Patch(color=color, label=label) for color, _, label in SERIES.values()],
                loc="lower right", bbox_to_anchor=(1, 1), ncol=len(SERIES), frameon=False)
