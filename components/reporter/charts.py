"""The report's charts, as SVG in colours that are readable on a light page and on a dark one."""

from __future__ import annotations

import datetime
import html
import io
import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib

matplotlib.use("svg")
from matplotlib import dates
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_INK, _LINE = "#7d8694", "#8b93a155"
_COLOURS = {
    "model": "#3b82f6",
    "popularity": "#94a0b3",
    "recent popularity": "#5c6675",
    "own history": "#2f9e8f",
    "live": "#d98a1f",
    "cold": "#3b82f6",
    "warm": "#d98a1f",
}
_STYLE = {
    "axes.edgecolor": _LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.alpha": 0.33,
    "grid.color": _INK,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_NAMES_BELOW = 5  # A chart of lines.
_IN_A_ROW = 3  # Of a legend.
_WIDTH = 5.2  # Inches: drawn for a narrow page, so that text stays readable there.

Series = Mapping[str, Sequence[float | None]]


def curve(losses: Sequence[float], label: str) -> str:
    """Loss by epoch."""
    return _chart(label, 2.6, lambda axes: _plot_curve(axes, losses))


def _plot_curve(axes, losses) -> None:
    axes.plot(range(1, len(losses) + 1), losses, marker="o", color=_COLOURS["model"])
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss")
    axes.xaxis.get_major_locator().set_params(integer=True)


def lines(names: Sequence[str], series: Series, label: str) -> str:
    """What comes one after the other: a line for each series."""
    return _chart(label, 2.6, lambda axes: _plot_lines(axes, names, series))


def _plot_lines(axes, names, series) -> None:
    for title, values in series.items():
        axes.plot(range(len(names)), values, marker="o", markersize=3, label=title, color=_COLOURS[title])
    every = math.ceil(len(names) / _NAMES_BELOW)
    axes.set_xticks(range(0, len(names), every), names[::every])
    highest = max((value or 0 for values in series.values() for value in values), default=0)
    axes.set_ylim(0, 1.08 * highest or 1)
    _legend(axes, len(series))


def bars(names: Sequence[str], series: Series, label: str) -> str:
    """Horizontal bars: for each name one of each series."""
    return _chart(label, 0.7 + 0.24 * len(names) * max(len(series), 1.4), lambda axes: _plot_bars(axes, names, series))


def _plot_bars(axes, names, series) -> None:
    height = 0.8 / len(series)
    for number, (title, values) in enumerate(series.items()):
        places = [place + number * height for place in range(len(names))]
        colour = _COLOURS.get(title, _COLOURS["model"])
        axes.barh(places, [value or 0 for value in values], height * 0.9, label=title, color=colour)
    axes.set_yticks([place + height * (len(series) - 1) / 2 for place in range(len(names))], names)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    if len(series) > 1:
        _legend(axes, len(series))


def histogram(buckets: Sequence[Sequence[float]], label: str, *, of_time: bool = False) -> str:
    """Counts by bucket: low end, high end, count. Time is in Unix seconds."""
    return _chart(label, 2.2, lambda axes: _plot_histogram(axes, buckets, of_time))


def _plot_histogram(axes, buckets, of_time) -> None:
    low, high, counts = (list(column) for column in zip(*buckets, strict=True))
    if of_time:
        low, high = (
            [datetime.datetime.fromtimestamp(at, datetime.timezone.utc) for at in ends] for ends in (low, high)
        )
        locator = dates.AutoDateLocator(maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    widths = [(b - a) * 0.95 for a, b in zip(low, high, strict=True)]
    axes.bar(low, counts, widths, align="edge", color=_COLOURS["model"])
    axes.set_ylabel("train rows")


def trade_off(points: dict[str, tuple[float, float]], label: str) -> str:
    """Recall of each way to search against the milliseconds of one query."""
    return _chart(label, 2.6, lambda axes: _plot_trade_off(axes, points))


def _plot_trade_off(axes, points) -> None:
    for (name, (milliseconds, recall)), colour in zip(points.items(), ("model", "popularity"), strict=False):
        axes.plot([milliseconds], [recall], "o", color=_COLOURS[colour], label=name)
    axes.set_xlim(left=0)
    axes.set_ylim(min(0.9, *(recall for _, recall in points.values())) - 0.02, 1.02)
    axes.set_xlabel("milliseconds for one query")
    axes.set_ylabel("recall@100")
    _legend(axes, len(points))


def _legend(axes: Axes, entries: int) -> None:
    """Above the chart and over all its width, in two rows where they would not fit into one."""
    handles, labels = axes.get_legend_handles_labels()
    columns = entries if entries <= _IN_A_ROW else 2
    axes.figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def _chart(label: str, height: float, plot: Callable[[Axes], None]) -> str:
    """An HTML figure that says what it shows to those who cannot see it."""
    with plt.rc_context(_STYLE | {"svg.hashsalt": label}):
        figure, axes = plt.subplots(figsize=(_WIDTH, height), layout="constrained")
        plot(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    svg = text.getvalue()
    return f'<figure role="img" aria-label="{html.escape(label)}">{svg[svg.index("<svg") :]}</figure>'
