"""The report's charts, as SVG whose colours are those of the page, light or dark."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Sequence

import matplotlib

matplotlib.use("svg")
from matplotlib import dates
from matplotlib import pyplot as plt

# Placeholders that become the page's CSS variables.
_COLOURS = {"#010101": "ink", "#020202": "line", "#030303": "model", "#040404": "popularity", "#050505": "live"}
_BY_NAME = {name: placeholder for placeholder, name in _COLOURS.items()}
_STYLE = {
    "axes.edgecolor": _BY_NAME["line"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": _BY_NAME["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.color": _BY_NAME["line"],
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": _BY_NAME["ink"],
    "xtick.color": _BY_NAME["ink"],
    "ytick.color": _BY_NAME["ink"],
}
_WIDTH = 5.2  # Inches: drawn for a narrow page, so that text stays readable there.

Series = dict[str, Sequence[float | None]]


def curve(losses: Sequence[float], label: str) -> str:
    """Loss by epoch."""
    return _chart(label, 2.6, lambda axes: _plot_curve(axes, losses))


def _plot_curve(axes, losses) -> None:
    axes.plot(range(1, len(losses) + 1), losses, marker="o", color=_BY_NAME["model"])
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss")
    axes.xaxis.get_major_locator().set_params(integer=True)


def bars(names: Sequence[str], series: Series, label: str) -> str:
    """Horizontal bars: for each name one of each series, in the series' colour where it has one."""
    return _chart(label, 0.7 + 0.24 * len(names) * max(len(series), 1.4), lambda axes: _plot_bars(axes, names, series))


def _plot_bars(axes, names, series) -> None:
    height = 0.8 / len(series)
    for number, (title, values) in enumerate(series.items()):
        places = [place + number * height for place in range(len(names))]
        colour = _BY_NAME.get(title, _BY_NAME["model"])
        axes.barh(places, [value or 0 for value in values], height * 0.9, label=title, color=colour)
    axes.set_yticks([place + height * (len(series) - 1) / 2 for place in range(len(names))], names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    if len(series) > 1:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(series))


def histogram(buckets: Sequence[Sequence[float]], label: str, *, of_time: bool = False) -> str:
    """Counts by bucket: low end, high end, count. Time is in Unix seconds."""
    return _chart(label, 2.2, lambda axes: _plot_histogram(axes, buckets, of_time))


def _plot_histogram(axes, buckets, of_time) -> None:
    low, high, counts = zip(*buckets, strict=True)
    if of_time:
        low, high = (
            [datetime.datetime.fromtimestamp(at, datetime.timezone.utc) for at in ends] for ends in (low, high)
        )
        locator = dates.AutoDateLocator(maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    widths = [(b - a) * 0.95 for a, b in zip(low, high, strict=True)]
    axes.bar(low, counts, widths, align="edge", color=_BY_NAME["model"])
    axes.set_ylabel("train rows")


def trade_off(points: dict[str, tuple[float, float]], label: str) -> str:
    """Recall of each way to search against the milliseconds of one query."""
    return _chart(label, 2.6, lambda axes: _plot_trade_off(axes, points))


def _plot_trade_off(axes, points) -> None:
    for (name, (milliseconds, recall)), colour in zip(points.items(), ("model", "popularity"), strict=False):
        axes.plot([milliseconds], [recall], "o", color=_BY_NAME[colour], label=name)
    axes.set_xlim(left=0)
    axes.set_ylim(min(0.9, *(recall for _, recall in points.values())) - 0.02, 1.02)
    axes.set_xlabel("milliseconds for one query")
    axes.set_ylabel("recall@100")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(points))


def _chart(label: str, height: float, plot) -> str:
    with plt.rc_context(_STYLE | {"svg.hashsalt": label}):
        figure, axes = plt.subplots(figsize=(_WIDTH, height), layout="constrained")
        plot(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    svg = text.getvalue()[text.getvalue().index("<svg") :]
    for placeholder, name in _COLOURS.items():
        svg = svg.replace(placeholder, f"var(--{name})")
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{label}"', svg, count=1)
