"""What a model has to reach, and what to say of one that does not."""

from __future__ import annotations

from components.evaluator import slices
from components.evaluator.figures import (
    BEST_BASELINE,
    COVERAGE_IN_LISTS,
    GAIN,
    GAIN_UPPER,
    LIVE,
    OVERALL,
    Figures,
    Kind,
    Measured,
)
from components.evaluator.settings import DEFAULT_THRESHOLDS, Evaluation, Threshold
from models.errors import UserError
from models.features.feature_set import FeatureSet

# Figures of the whole model that are measured beside TFMA.
INDEX_RECALL, PARITY = "recall_at_100", "train_serve_difference"

_SEEN = "seen_share"


def check_thresholds(limits: Evaluation, features: FeatureSet) -> None:
    """Raises UserError for a threshold on a figure or a slice that does not exist."""
    sliced, kind = features.sliced(), Kind.of(features)
    for name, threshold in limits.active_thresholds().items():
        if name in DEFAULT_THRESHOLDS and threshold.metric in kind.absent():
            continue
        known = kind.figure_names(threshold.against)
        if not threshold.against and not threshold.slice:
            known += [INDEX_RECALL, PARITY]
        if threshold.metric not in known:
            of = f" of {_of(threshold.against)}" if threshold.against else ""
            raise UserError(
                f"evaluation.thresholds.{name}.metric: no figure {threshold.metric!r}{of}; there are {', '.join(known)}"
            )
        if threshold.slice and threshold.slice not in slices.KNOWN and threshold.slice.partition("=")[0] not in sliced:
            raise UserError(
                f"evaluation.thresholds.{name}.slice: no slice {threshold.slice!r}; there are "
                f"{', '.join(slices.KNOWN)}, and FEATURE=VALUE for {', '.join(sliced) or 'no feature'}"
            )


def refusals(measured: Measured, checks: Figures, limits: Evaluation) -> list[str]:
    """One sentence for each threshold that is not met: metric, slice, both values, threshold.

    A threshold against the live model does not apply where none is live, and one on a slice not where the slice has
    fewer than `min_slice_queries` queries.

    Args:
      measured: TFMA's result.
      checks: `INDEX_RECALL` and `PARITY`.
      limits: the configuration's section.
    """
    if not measured.queries(OVERALL):
        return ["the eval split has no interaction to measure"]
    reasons = []
    for name, threshold in limits.active_thresholds().items():
        slice_ = threshold.slice or OVERALL
        if threshold.against == LIVE and LIVE not in measured.references:
            continue
        if threshold.metric in measured.kind.absent() or (threshold.metric == _SEEN and measured.kind.repeats):
            continue
        if threshold.slice and measured.queries(slice_) < limits.min_slice_queries:
            continue
        metric = measured.resolved(threshold.metric)
        value = (measured.figures(slice_) | checks)[metric]
        if metric in (GAIN, GAIN_UPPER) and value is None:
            continue  # There is no list to make worse.
        if metric == COVERAGE_IN_LISTS and (value is None or measured.queries(slice_) < limits.min_slice_queries):
            continue  # There is little to choose from, or few have been asked about.
        if threshold.against == BEST_BASELINE:
            reason = _compared(threshold, value, *measured.best_baseline(metric, slice_))
        elif threshold.against:
            reason = _compared(threshold, value, LIVE, measured.figures(slice_, LIVE)[metric])
        else:
            reason = _absolute(threshold, value)
        if reason:
            where = f" for {threshold.slice}" if threshold.slice else ""
            reasons.append(f"{name}: {metric}{where} {reason}")
    return reasons


def _of(reference: str) -> str:
    return "the live model" if reference == LIVE else reference.replace("_", " ")


def _absolute(threshold: Threshold, value: float | None) -> str | None:
    if value is None:
        return "could not be measured"
    return None if threshold.admits(value) else f"is {value:.4g}, and has to be {_bound(threshold)}"


def _compared(threshold: Threshold, value: float | None, name: str, reference: float | None) -> str | None:
    if reference is None or (not reference and threshold.against == LIVE):
        return None  # There is nothing to lose.
    if value is None:
        return f"could not be measured, and is {reference:.4g} with {_of(name)}"
    # Two zeros do not pass.
    if threshold.admits(value, reference) and (value or reference):
        return None
    times = f"{threshold.limit:g} times"
    if threshold.limits_misses(reference):
        times += " fewer misses than"
    return f"is {value:.4g}, and has to be {_bound(threshold, reference)} ({times} the {reference:.4g} of {_of(name)})"


def _bound(threshold: Threshold, reference: float = 1.0) -> str:
    return f"{'at least' if threshold.at_most is None else 'at most'} {threshold.bound(reference):.4g}"
