"""The few figures that runs are compared by."""

from __future__ import annotations

from typing import Any

LIVE = "live"
TOP_100 = "filtered_top_100_categorical_accuracy"
_FIGURES = {
    "top_100": ("retrieval", TOP_100),
    "ndcg_at_10": ("retrieval", "filtered_ndcg_at_10"),
    "ndcg_at_10_after": ("two_stage", "ndcg_at_10_after"),
    "rmse": ("ranking", "rmse"),
    "auc": ("ranking", "auc"),
}


def headline(metrics: dict[str, Any]) -> dict[str, float | str | None]:
    """The model's figures, those of the best baseline by top-100, and the live model's, where the data has them.

    Args:
      metrics: the section of report.json.
    """
    figures = {name: metrics[section].get(figure) for name, (section, figure) in _FIGURES.items()}
    baselines = {name: one for name, one in metrics["baselines"].items() if name != LIVE}
    best = max(baselines, key=lambda name: baselines[name].get(TOP_100) or 0.0)
    figures |= {
        "baseline": best,
        "baseline_top_100": baselines[best].get(TOP_100),
        "baseline_ndcg_at_10": baselines[best].get("filtered_ndcg_at_10"),
    }
    live = metrics["baselines"].get(LIVE, {})
    figures |= {f"live_{name}": live[figure] for name, (_, figure) in _FIGURES.items() if figure in live}
    return figures | ({"live_version": live["version"]} if live else {})
