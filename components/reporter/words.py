"""Figures in words that need no knowledge of their names, which are given beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from components.reporter.headline import LIVE, TOP_100

TITLES = {
    TOP_100: "filtered top-100 accuracy",
    "filtered_ndcg_at_10": "filtered nDCG@10",
    "top_100_categorical_accuracy": "unfiltered top-100 accuracy",
    "rmse": "rating RMSE",
    "auc": "AUC of positive",
    "ndcg_at_10_before": "nDCG@10 of positive items, retrieval alone",
    "ndcg_at_10_after": "nDCG@10 of positive items, after ranking",
    "recall_at_100": "index recall@100",
}
LISTS_OF_100 = "lists of 100 items that hold what was chosen next"
_LENGTHS = (100, 10)  # Of lists that are spoken of.
_SAME = 0.005  # A gain that is nearer to 1 is none.


class Sentence(NamedTuple):
    """A figure for people.

    Attributes:
      value: as it is shown.
      says: what it counts or measures.
      others: the same of what the model is compared with, in words.
      technical: names and values, for who knows them.
    """

    value: str
    says: str
    others: list[str]
    technical: str


def sentences(metrics: dict[str, Any]) -> list[Sentence]:
    """What the model is worth, the most important first; of what the data has.

    Args:
      metrics: the section of report.json.
    """
    return [*_of_lists(metrics), *_of_ranking(metrics), *_of_variety(metrics), *_of_speed(metrics)]


def of_100(share: float) -> str:
    """A share as so many of a hundred."""
    return f"{_in_100(share)} of 100"


def _in_100(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"


def _of_lists(metrics: dict[str, Any]) -> Iterator[Sentence]:
    for length in _LENGTHS:
        name = f"filtered_top_{length}_categorical_accuracy"
        share = metrics["retrieval"][name]
        if share is not None:
            others = _others(metrics, name, _in_100)
            says = f"lists of {length} items hold what the person chose next"
            yield Sentence(of_100(share), says, others, f"{name} {share:.4f}")
    name = "filtered_ndcg_at_10"
    if (height := metrics["retrieval"][name]) is not None:
        says = "is how high what was chosen stands in a list of ten: 1 is always first, 0 never in it"
        yield Sentence(f"{height:.3f}", says, _others(metrics, name, "{:.3f}".format), f"{name} {height:.4f}")


def _of_ranking(metrics: dict[str, Any]) -> Iterator[Sentence]:
    two_stage, ranking = metrics["two_stage"], metrics["ranking"]
    if (gain := two_stage["gain"]) is not None:
        upper = two_stage["gain_upper"]
        technical = f"gain {gain:.4f}: ndcg_at_10_after {two_stage['ndcg_at_10_after']:.4f} over ndcg_at_10_before "
        technical += f"{two_stage['ndcg_at_10_before']:.4f}; 95 % interval {2 * gain - upper:.4f} to {upper:.4f}"
        if abs(gain - 1) < _SAME and upper - gain < _SAME:
            says = "is what the second stage changes: lists stay as the first one orders them"
            yield Sentence("±0", says, [], technical)
        else:
            interval = f"with 95 % certainty between {2 * gain - upper:.2f} and {upper:.2f}"
            yield Sentence(
                f"{gain:.2f} times", "as high stand wanted items after the second stage", [interval], technical
            )
    if "mae" in ranking and ranking["mae"] is not None:
        others = _others(metrics, "mae", "{:.2f}".format)
        technical = f"mae {ranking['mae']:.4f}, rmse {ranking['rmse']:.4f}"
        yield Sentence(f"{ranking['mae']:.2f}", "is how far a predicted rating is off, on average", others, technical)
    if ranking.get("auc") is not None:
        says = "times a wanted item gets more than an unwanted one"
        others = _others(metrics, "auc", _in_100)
        yield Sentence(of_100(ranking["auc"]), says, others, f"auc {ranking['auc']:.4f}")


def _of_variety(metrics: dict[str, Any]) -> Iterator[Sentence]:
    if (coverage := metrics["recommended"]["catalogue_coverage"]) is not None:
        name = "catalogue_coverage"
        yield Sentence(
            of_100(coverage), "items are in somebody's list", _others(metrics, name, _in_100), f"{name} {coverage:.4f}"
        )


def _of_speed(metrics: dict[str, Any]) -> Iterator[Sentence]:
    if milliseconds := metrics["serving"]["milliseconds"]:
        technical = ", ".join(f"{protocol} {value:.2f} ms" for protocol, value in milliseconds.items())
        says = "is what the server takes for one list"
        yield Sentence(f"{min(milliseconds.values()):.1f} ms", says, [], f"serving.milliseconds: {technical}")


def _others(metrics: dict[str, Any], name: str, shown: Callable[[float], str]) -> list[str]:
    """The figure of each baseline and of the live model, where they have it."""
    found = {of: one[name] for of, one in metrics["baselines"].items() if one.get(name) is not None}
    return [f"{'live model' if of == LIVE else of.replace('_', ' ')}: {shown(value)}" for of, value in found.items()]
