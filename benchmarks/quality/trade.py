"""What `index.diversity` costs, and what it gives: accuracy against how unlike a list's items are, and coverage."""

from __future__ import annotations

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

from benchmarks.quality import beyond, ours
from benchmarks.quality.dataset import FROZEN
from benchmarks.quality.figures import means, per_query
from pipeline.config import Config

VALUES = (0.0, 0.3, 0.6, 0.9)
_SEED = 1
_ACCURACY = "ndcg_at_10"
_GIVEN = {"diversity": "intra-list diversity", "coverage": "coverage of the catalogue"}

Points = list[dict[str, float]]


def run(config: Config, max_queries: int, output: str, console: Console) -> Points:
    """Builds and asks a servable for each value of `index.diversity`; nothing is trained again."""
    points = []
    for value in VALUES:
        console.rule(f"index.diversity {value:g}")
        changed = config.model_copy(deep=True)
        changed.index.diversity = value
        features = ours.run(changed, _SEED, output, console).features
        loaded = ours.read_split(changed, output, max_queries)
        found = ours.answers(output, features, loaded)[FROZEN][ours.RANKED]
        of_lists = beyond.figures(found.lists, loaded.data, loaded.data.asked[FROZEN])
        accuracy = means(per_query(found.ranks, found.length))[_ACCURACY]
        points.append({"index.diversity": value, _ACCURACY: accuracy, **{name: of_lists[name] for name in _GIVEN}})
    return points


def show(points: Points, console: Console) -> None:
    """Prints the table."""
    table = Table(*points[0], title="What index.diversity costs, and what it gives", title_justify="left")
    for point in points:
        table.add_row(*(f"{value:.4g}" for value in point.values()))
    console.print(table)


def plot(points: Points, file: str) -> None:
    """Draws the same: nDCG@10 against each of the two; the file's ending says how."""
    figure, both = plt.subplots(1, len(_GIVEN), figsize=(9, 3.6), sharey=True, layout="constrained")
    for axes, (name, title) in zip(both, _GIVEN.items(), strict=True):
        axes.plot(*([point[key] for point in points] for key in (name, _ACCURACY)), marker="o")
        for point in points:
            label, place = f"{point['index.diversity']:g}", (point[name], point[_ACCURACY])
            axes.annotate(label, place, xytext=(0, 7), textcoords="offset points", ha="center")
        axes.set_xlabel(title)
    both[0].set_ylabel("nDCG@10")
    both[0].set_ylim(0, 1.2 * max(point[_ACCURACY] for point in points) or 1)
    figure.suptitle("Lists by index.diversity, which stands at each point")
    figure.savefig(file)
    plt.close(figure)
