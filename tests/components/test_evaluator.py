"""Metrics and thresholds against answers that can be counted by hand, or by a few lines of numpy."""

import copy
import math
from types import SimpleNamespace

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_model_analysis as tfma

from components.evaluator import metrics, slices, verdict
from components.evaluator import outputs as o
from components.evaluator.figures import LIVE, Kind, Measured, build_eval_config
from components.evaluator.settings import Evaluation, Threshold
from components.evaluator.verdict import check_thresholds, refusals
from models.errors import UserError
from models.features.feature_set import FeatureSet

NAN, INF = np.nan, np.inf

RANKS = np.array([1.0, 20, INF, 2, 7, 150, INF, INF])
LIVE_RANKS = np.array([1.0, INF, INF, INF, 7, 150, 3, 5])
POPULAR = np.array([50.0, 300, 101, 60, 500, 600, 700, 800])
RECENT = np.array([60.0, 300, 100, 60, 500, 600, 700, 800])
RATINGS = np.array([5.0, 2, 4, 3, 4.5, 1, 4, 2])
PREDICTED = np.array([4.5, 3, 3.9, 3, 4, 2, 3, 3])
LIKED = RATINGS >= 4
MOVED = 1 - np.where(RANKS <= 10, 1 / np.log2(1 + RANKS), 0)  # Ranking puts all that is liked first.


CUTS = [["item=head"]] * 6 + [["item=tail", "tags=Drama"]] * 2


def outputs(prefix, ranks):
    liked = np.where(LIKED, ranks, NAN)
    per_user = np.full([8, 2], NAN)
    per_user[0] = [1, INF]
    lists = np.array([[0, 1], [0, 2], [0, -1], *[[0, 1]] * 5])
    found = {
        o.RETRIEVAL: ranks[:, np.newaxis],
        o.PER_USER: per_user,
        o.BEFORE: liked[:, np.newaxis],
        o.AFTER: np.where(LIKED, 1.0, NAN)[:, np.newaxis],
        o.MOVED: np.where(LIKED, MOVED, NAN),
        o.RATING: PREDICTED,
        o.PREFERENCE: 1 / (1 + np.exp(4 - PREDICTED)),
        o.RECOMMENDED: lists,
        o.AVERAGE_POPULARITY: np.arange(8.0),
        o.SEEN_SHARE: np.array([0, 0.5, 0, 0, 0, 0, 0, 0]),
    }
    return {prefix + name: values for name, values in found.items()}


def extracts(with_live, rows):
    predictions = outputs("", RANKS) | (outputs(o.LIVE, LIVE_RANKS) if with_live else {})
    baselines = {o.POPULARITY: POPULAR, o.RECENT_POPULARITY: RECENT, o.UNFILTERED: 2 * POPULAR}
    predictions |= {name: values[:, np.newaxis] for name, values in baselines.items()}
    labels = {prefix + o.RATING: RATINGS for prefix in ("", o.LIVE)}
    labels |= {prefix + o.PREFERENCE: LIKED.astype(float) for prefix in ("", o.LIVE)}
    return {
        tfma.PREDICTIONS_KEY: {name: values[rows] for name, values in predictions.items()},
        tfma.LABELS_KEY: {name: labels.get(name, np.zeros(8))[rows] for name in predictions},
        o.SLICES: CUTS[rows],
    }


KIND = Kind(rated=True, has_positives=True, repeats=False)


def measure(output, with_live):
    config = build_eval_config(catalogue_size=20, with_live=with_live, kind=KIND)
    with beam.Pipeline() as pipeline:
        (
            pipeline
            | beam.Create([extracts(with_live, slice(0, 3)), extracts(with_live, slice(3, 8))])
            | tfma.ExtractEvaluateAndWriteResults(
                eval_config=config, extractors=[slices.by_slice()], output_path=str(output)
            )
        )
    return Measured(tfma.load_eval_result(str(output)), with_live, KIND, k=100)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return measure(tmp_path_factory.mktemp("tfma"), with_live=True)


@pytest.fixture(scope="module")
def measured_alone(tmp_path_factory):
    return measure(tmp_path_factory.mktemp("tfma"), with_live=False)


def test_tfma_gives_the_values_that_numpy_gives(measured):
    found = measured.sections()
    retrieval = found["retrieval"]
    for k in (1, 5, 10, 50, 100):
        assert retrieval[f"filtered_top_{k}_categorical_accuracy"] == np.mean(k >= RANKS)
    gains = np.where(RANKS <= 10, 1 / np.log2(1 + RANKS), 0)
    assert retrieval["filtered_ndcg_at_10"] == pytest.approx(gains.mean())
    assert retrieval["filtered_mrr"] == pytest.approx(np.mean(1 / RANKS))
    assert retrieval["filtered_recall_at_10_per_user"] == 0.5
    assert retrieval["filtered_ndcg_at_10_per_user"] == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert found["two_stage"]["ndcg_at_10_before"] == pytest.approx(gains[LIKED].mean())
    assert found["two_stage"]["ndcg_at_10_after"] == 1
    assert found["two_stage"]["gain"] == pytest.approx(1 / gains[LIKED].mean())
    error = np.std(1 - gains[LIKED]) / np.sqrt(LIKED.sum())
    assert found["two_stage"]["gain_upper"] == pytest.approx((1 + 1.96 * error) / gains[LIKED].mean())
    ranking, error = found["ranking"], PREDICTED - RATINGS
    assert ranking["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert ranking["mae"] == pytest.approx(np.mean(np.abs(error)))
    assert ranking["rmse_over_constant"] == pytest.approx(np.sqrt(np.mean(error**2)) / RATINGS.std())
    assert ranking["calibration"] == pytest.approx(PREDICTED.mean() / RATINGS.mean())
    assert ranking["binary_accuracy"] == np.mean((PREDICTED > 4) == LIKED)
    pairs = PREDICTED[LIKED][:, np.newaxis] - PREDICTED[~LIKED]
    assert ranking["auc"] == pytest.approx(np.mean((pairs > 0) + (pairs == 0) / 2), abs=1e-3)
    recommended = {
        "catalogue_coverage": 0.15,
        "coverage_in_lists": 1.5,
        "average_popularity": 3.5,
        "seen_share": 0.0625,
    }
    assert found["recommended"] == pytest.approx(recommended), "of twenty items three; an empty entry is none"


@pytest.mark.parametrize("rating", [5.0, 4.1])
def test_where_all_ratings_are_the_same_there_is_nothing_to_learn(rating):
    """What three times 4.1 gives as its variance is not quite zero."""
    (computation,) = metrics._rating_errors("rating_errors")
    combiner = computation.combiner
    values = combiner._finish(combiner._add(np.full(3, 3.0), np.full(3, rating)))
    assert values == pytest.approx((rating - 3, rating - 3, 3 / rating, 0.0))


def test_references_are_measured_on_the_same_queries(measured, measured_alone):
    popularity = measured.figures(reference=o.POPULARITY)
    assert popularity["filtered_top_100_categorical_accuracy"] == 2 / 8
    assert popularity["top_100_categorical_accuracy"] == 1 / 8
    assert measured.figures(reference=o.RECENT_POPULARITY)["filtered_top_100_categorical_accuracy"] == 3 / 8
    live = measured.figures(reference=LIVE)
    assert live["filtered_top_100_categorical_accuracy"] == np.mean(LIVE_RANKS <= 100)
    assert live["rmse"] == measured.figures()["rmse"]
    assert measured_alone.figures() == measured.figures()
    assert measured_alone.references == [o.POPULARITY, o.RECENT_POPULARITY]


def test_the_best_baseline_is_found_by_figure_and_by_slice(measured):
    assert measured.best_baseline("filtered_top_100_categorical_accuracy") == (o.RECENT_POPULARITY, 3 / 8)
    assert measured.best_baseline("filtered_top_50_categorical_accuracy") == (o.POPULARITY, 1 / 8)
    assert measured.best_baseline("filtered_top_100_categorical_accuracy", "item=tail") == (o.POPULARITY, 0)


def test_slices_hold_their_own_queries(measured):
    assert measured.slices() == ["", "item=head", "item=tail", "tags=Drama"]
    report = measured.report_slices(min_queries=2)
    assert [report[name]["queries"] for name in report] == [6, 2, 2]
    assert report["item=tail"]["filtered_top_10_categorical_accuracy"] == 0
    assert report["item=tail"]["live_filtered_top_10_categorical_accuracy"] == 1
    assert report["item=head"]["popularity_filtered_top_100_categorical_accuracy"] == pytest.approx(2 / 6)
    assert report["item=tail"]["rmse"] == pytest.approx(np.sqrt(np.mean((PREDICTED - RATINGS)[6:] ** 2)))
    assert report["item=tail"]["filtered_recall_at_10_per_user"] is None, "no user's list was measured"
    assert list(measured.report_slices(min_queries=3)) == ["item=head"]


CHECKS = {"recall_at_100": 0.99, "train_serve_difference": 1e-6}


def limits(**thresholds):
    """Nothing but these thresholds."""
    return Evaluation(thresholds=dict.fromkeys(Evaluation().thresholds) | thresholds, min_slice_queries=2)


def test_a_model_within_all_thresholds_is_blessed(measured):
    found = refusals(
        measured,
        CHECKS,
        limits(
            error={"metric": "rmse", "at_most": 0.9},
            lift={"metric": "filtered_top_k_categorical_accuracy", "against": "popularity", "at_least": 1.3},
            gain={"metric": "gain_upper", "at_least": 1.0},
            kept={"metric": "rmse", "against": "live", "at_most": 1.0},
            index={"metric": "recall_at_100", "at_least": 0.99},
        ),
    )
    assert found == []


def test_a_refusal_names_metric_slice_both_values_and_limit(measured):
    found = refusals(
        measured,
        CHECKS | {"recall_at_100": None},
        limits(
            error={"metric": "mae", "at_most": 0.5},
            lift={"metric": "filtered_top_k_categorical_accuracy", "against": "popularity", "at_least": 2},
            tail={
                "metric": "filtered_top_10_categorical_accuracy",
                "slice": "item=tail",
                "against": "live",
                "at_least": 0.5,
            },
            index={"metric": "recall_at_100", "at_least": 0.99},
        ),
    )
    mae = np.mean(np.abs(PREDICTED - RATINGS))
    assert sorted(found) == [
        f"error: mae is {mae:.4g}, and has to be at most 0.5",
        "index: recall_at_100 could not be measured",
        "lift: filtered_top_100_categorical_accuracy is 0.5, and has to be at least 0.75 "
        "(2 times the 0.375 of recent popularity)",
        "tail: filtered_top_10_categorical_accuracy for item=tail is 0, and has to be at least 0.5 "
        "(0.5 times the 1 of the live model)",
    ]


@pytest.mark.parametrize(
    ("reference", "bound", "of"),
    [
        (0.4, 0.42, "1.05 times the 0.4 of popularity"),
        (0.58, 0.6, "1.05 times fewer misses than the 0.58 of popularity"),
        (0.979, 0.98, "1.05 times fewer misses than the 0.979 of popularity"),
        (1.0, 1.0, "1.05 times fewer misses than the 1 of popularity"),
    ],
)
def test_a_bound_is_within_what_can_be_reached(reference, bound, of):
    """As where a catalogue is so small that popularity finds nearly all."""
    threshold = Threshold(metric="filtered_top_1_categorical_accuracy", against="popularity", at_least=1.05)
    assert verdict._compared(threshold, bound + 1e-9, "popularity", reference) is None
    assert verdict._compared(threshold, 0.3, "popularity", reference) == (
        f"is 0.3, and has to be at least {bound:g} ({of})"
    )


def test_only_the_bound_of_a_share_depends_on_its_misses():
    more = {"against": "live", "at_least": 1.1}
    assert Threshold(metric="auc", **more).bound(1.0) == 1
    assert Threshold(metric="gain", **more).bound(0.9) == pytest.approx(0.99)
    assert Threshold(metric="auc", **more).bound(0.89) == pytest.approx(0.9)
    assert Threshold(metric="auc", against="live", at_least=0.9).bound(0.9) == pytest.approx(0.81)


def test_thresholds_that_do_not_apply(measured, measured_alone):
    tail = {"metric": "filtered_top_10_categorical_accuracy", "slice": "item=tail", "against": "live", "at_least": 1}
    assert refusals(measured_alone, CHECKS, limits(tail=tail)) == [], "nothing is live"
    small = limits(tail=tail).model_copy(update={"min_slice_queries": 3})
    assert refusals(measured, CHECKS, small) == [], "too few queries"
    none = tail | {"slice": "item=never rated"}
    assert refusals(measured, CHECKS, limits(none=none)) == [], "no such slice in this data"


def of_kind(measured, **kind):
    """The same figures of data of another kind."""
    other = copy.copy(measured)
    other.kind = KIND._replace(**kind)
    return other


def test_lists_that_are_nearly_alike_for_everybody_are_refused(measured):
    """Lists of two, of three items: they would fill one and a half."""
    alike = limits(alike={"metric": "coverage_in_lists", "at_least": 3})
    assert refusals(measured, CHECKS, alike) == ["alike: coverage_in_lists is 1.5, and has to be at least 3"]
    few = alike.model_copy(update={"min_slice_queries": 9})
    assert refusals(measured, CHECKS, few) == [], "too few queries to tell"


@pytest.mark.parametrize(
    ("items", "lists", "coverage"),
    [
        (100, [[7] * 10, [7] * 10], 0.1),
        (100, [[7, 8, *[-1] * 8]], 1.0),
        (99, [[*range(10)]], None),
        (100, [[*range(10)], [*range(20, 30)]], 2.0),
        (100, [[-1] * 10], None),
    ],
    ids=["one item", "a short list", "little to choose from", "two lists", "nothing"],
)
def test_coverage_in_lists(items, lists, coverage):
    (computation,) = metrics._coverage(items, "catalogue_coverage")
    combiner = computation.combiner
    parts = [
        combiner.add_input(combiner.create_accumulator(), SimpleNamespace(get_predictions=lambda *_, one=one: one))
        for one in (np.array([rows]) for rows in lists)
    ]
    found = combiner.extract_output(combiner.merge_accumulators(parts))[computation.keys[1]]
    assert found == pytest.approx(math.nan if coverage is None else coverage, nan_ok=True)


def test_what_was_had_may_be_recommended_where_items_repeat(measured):
    seen = limits(seen={"metric": "seen_share", "at_most": 0})
    assert refusals(measured, CHECKS, seen) == ["seen: seen_share is 0.0625, and has to be at most 0"]
    assert refusals(of_kind(measured, repeats=True), CHECKS, seen) == []


def test_a_ranking_that_makes_lists_worse_is_refused_where_there_is_a_list(measured):
    gain = limits(gain={"metric": "gain", "at_least": 10})
    (reason,) = refusals(measured, CHECKS, gain)
    assert reason.startswith("gain: gain is ") and reason.endswith(", and has to be at least 10")
    tail = limits(gain={"metric": "gain", "slice": "item=tail", "at_least": 10})
    assert refusals(measured, CHECKS, tail) == [], "nothing was found before"


def test_no_better_than_a_popularity_that_finds_nothing_is_refused(measured):
    lift = {"metric": "filtered_top_1_categorical_accuracy", "against": "popularity", "at_least": 1.05}
    assert refusals(measured, CHECKS, limits(lift=lift)) == [], "one hit against none"
    (reason,) = refusals(measured, CHECKS, limits(lift=lift | {"slice": "item=tail"}))
    assert "is 0, and has to be at least 0 (1.05 times the 0 of popularity)" in reason


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        ({"metric": "rsme"}, r"thresholds.typo.metric: no figure 'rsme'; there are .*rmse.*recall_at_100"),
        ({"metric": "rmse", "against": "popularity"}, r"no figure 'rmse' of popularity; there are filtered_top_k_"),
        ({"metric": "recall_at_100", "slice": "item=tail"}, r"no figure 'recall_at_100'"),
        ({"metric": "rmse", "slice": "item=tial"}, r"typo.slice: no slice 'item=tial'; there are .*item=tail"),
    ],
)
def test_a_threshold_on_what_does_not_exist_says_what_does(threshold, message):
    with pytest.raises(UserError, match=message):
        check_thresholds(limits(typo=threshold | {"at_most": 1}), FeatureSet())


def test_the_default_thresholds_are_on_figures_that_exist():
    check_thresholds(Evaluation(), FeatureSet())


@pytest.mark.parametrize(
    ("features", "kind", "metric"),
    [
        (FeatureSet(rated=False, positive=["buy"], events={}), {"rated": False}, "rmse"),
        (FeatureSet(positive=None), {"has_positives": False}, "auc"),
    ],
)
def test_thresholds_on_ratings_and_positives_are_for_data_that_has_them(measured, features, kind, metric):
    check_thresholds(Evaluation(), features)
    with pytest.raises(UserError, match=f"thresholds.mine.metric: no figure '{metric}'; there are filtered_top_"):
        check_thresholds(limits(mine={"metric": metric, "at_most": 1}), features)
    default = limits(mine={"metric": metric, "at_most": 0})
    assert len(refusals(measured, CHECKS, default)) == 1
    other = of_kind(measured, **kind)
    assert refusals(other, CHECKS, default) == []
    assert metric not in other.figures()
