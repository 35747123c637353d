"""What a model has to reach to be blessed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from models.settings import Settings

# All other figures are shares.
UNBOUNDED = {
    "rmse",
    "mae",
    "rmse_over_constant",
    "calibration",
    "average_popularity",
    "coverage_in_lists",
    "gain",
    "gain_upper",
}


class Threshold(Settings):
    """A limit on one figure of the Evaluator: `at_least` or `at_most`, absolute or times what it is compared with."""

    metric: str  # A name under `metrics` in report.json.
    slice: str | None = None  # As under `metrics.slices`; None: all queries.
    # Times this figure of the live model, or of the best of the baselines, of which popularity is one.
    against: Literal["popularity", "live"] | None = None
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Threshold:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give one of at_least and at_most, not both")
        return self

    @property
    def limit(self) -> float:
        """The one limit that is given."""
        return next(limit for limit in (self.at_least, self.at_most) if limit is not None)

    def limits_misses(self, reference: float) -> bool:
        """Whether there have to be so many times fewer misses than the reference has, instead of more hits.

        It is so where a share of more than half is to be exceeded: nothing could reach 1.05 times 0.97.
        """
        is_share = self.metric not in UNBOUNDED
        return is_share and self.against is not None and (self.at_least or 0) > 1 and reference > 0.5

    def bound(self, reference: float = 1.0) -> float:
        """The least, or the largest, value that is admitted."""
        if self.limits_misses(reference):
            return 1 - (1 - reference) / self.limit
        return self.limit * reference

    def admits(self, value: float, reference: float = 1.0) -> bool:
        """Whether a value is within the bound."""
        bound = self.bound(reference)
        return value <= bound if self.at_least is None else value >= bound


# `top_k`: of the longest measured list that is well shorter than the catalogue.
DEFAULT_THRESHOLDS: dict[str, dict[str, Any]] = {
    "rating_error": {"metric": "rmse_over_constant", "at_most": 1.0},
    "better_than_popularity": {
        "metric": "filtered_top_k_categorical_accuracy",
        "against": "popularity",
        "at_least": 1.05,
    },
    "ranking_helps": {"metric": "gain_upper", "at_least": 1.0},  # A list is not worse, as far as chance lets one see.
    "lists_differ": {"metric": "coverage_in_lists", "at_least": 3.0},  # 1: everybody's list is the same.
    "nothing_seen": {"metric": "seen_share", "at_most": 0.0},
    "index_recall": {"metric": "recall_at_100", "at_least": 0.95},
    "train_serve_parity": {"metric": "train_serve_difference", "at_most": 1e-3},
    "retrieval_kept": {"metric": "filtered_top_k_categorical_accuracy", "against": "live", "at_least": 0.95},
    "lists_kept": {"metric": "ndcg_at_10_after", "against": "live", "at_least": 0.85},
    "rating_error_kept": {"metric": "rmse", "against": "live", "at_most": 1.03},
} | {
    f"{name}_kept": {
        "metric": "filtered_top_k_categorical_accuracy",
        "slice": slice_,
        "against": "live",
        "at_least": at_least,
    }
    for name, slice_, at_least in (
        ("head", "item=head", 0.9),
        ("middle", "item=middle", 0.8),
        ("tail", "item=tail", 0.6),
        ("warm_users", "user=warm", 0.9),
        ("cold_users", "user=cold", 0.85),
        ("long_history", "history=long", 0.9),
        ("short_history", "history=short", 0.8),
    )
}


def _merged(thresholds: dict[str, dict[str, Any]], changes: dict[str, Any]) -> dict[str, Any]:
    """A changed key of a threshold leaves its others as they are; null takes a threshold out."""
    merged = {name: dict(values) for name, values in thresholds.items()}
    for name, values in changes.items():
        changed = isinstance(values, dict) and name in merged
        merged[name] = merged[name] | values if changed else values
    return merged


class Evaluation(Settings):
    """What a model has to reach to be blessed.

    Thresholds are given by name. Those of `DEFAULT_THRESHOLDS` are there from the start: a configuration changes a key
    of one, adds others, or takes one out by giving null. Those on ratings apply only where the data has ratings.
    """

    thresholds: dict[str, Threshold | None] = {}
    max_queries: int = Field(100_000, ge=1)  # About so many eval rows are asked about, those of some users.
    min_slice_queries: int = Field(200, ge=1)  # Smaller slices are neither reported nor held to thresholds.
    parity_rows: int = Field(512, ge=1)  # Eval rows whose scores are compared between training and serving.
    # Of the ten items of a list, the share that `refit` has to leave in it on average.
    refit_lists_kept: float = Field(0.6, ge=0, le=1)

    @field_validator("thresholds", mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        return _merged(DEFAULT_THRESHOLDS, given) if isinstance(given, dict) else given

    def changed(self, thresholds: dict[str, Any]) -> Evaluation:
        """With changes on top, by name and key as in a configuration. Raises ValidationError."""
        present = self.model_dump()["thresholds"]
        merged = present | _merged({name: values for name, values in present.items() if values}, thresholds)
        return Evaluation.model_validate(self.model_dump(exclude={"thresholds"}) | {"thresholds": merged})

    def active_thresholds(self) -> dict[str, Threshold]:
        """Those that were not taken out."""
        return {name: threshold for name, threshold in self.thresholds.items() if threshold}
