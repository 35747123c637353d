"""Ranks and metrics against answers that can be counted by hand, or by a few lines of numpy."""

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from apache_beam.testing import util

from components.evaluation import metrics
from components.evaluation import predictions as p
from components.evaluation.ranks import Popularity, list_ranks
from components.evaluation.verdict import build_eval_config, failures, report_metrics, report_slices
from pipeline.config import Evaluation


def test_ranks_count_from_one_and_are_infinite_outside_the_list():
    ranks = list_ranks([b"a", b"b", b"c"], np.array([3.0, 2.0, 1.0]), [b"c", b"a", b"z"])
    assert ranks.tolist() == [3, 1, np.inf]


def test_equal_scores_share_the_middle_rank():
    ids, scores = [b"a", b"b", b"c", b"d"], np.array([5.0, 2.0, 2.0, 1.0])
    assert list_ranks(ids, scores, [b"b", b"c"]).tolist() == [2.5, 2.5]


def test_a_constant_score_finds_nothing():
    ids = [str(i).encode() for i in range(100)]
    assert list_ranks(ids, np.ones(100), [b"0", b"99"]).tolist() == [np.inf, np.inf]


def test_a_tie_that_ends_before_the_padding_is_closed():
    assert list_ranks([b"a", b"b", b""], np.array([1.0, 1.0, -9.0]), [b"a"]).tolist() == [1.5]


def test_popularity_agrees_with_a_full_sort():
    rng = np.random.default_rng(0)
    names = [f"m{i}".encode() for i in range(50)]
    counts = rng.integers(0, 5, 50)
    baseline = Popularity({name: int(n) for name, n in zip(names, counts, strict=True) if n}, movies=50)
    seen = set(rng.choice(50, 12, replace=False).tolist())
    excluded = baseline.counts_of([names[i] for i in seen])
    for i in set(range(50)) - seen:
        others = [counts[j] for j in range(50) if j not in seen and j != i]
        expected = 1 + sum(n > counts[i] for n in others) + sum(n == counts[i] for n in others) / 2
        assert baseline.rank(names[i], excluded) == expected


def test_levels_of_popularity_divide_the_rated_movies():
    baseline = Popularity({f"m{i}".encode(): 100 - i for i in range(20)}, movies=30)
    levels = [baseline.level(f"m{i}".encode(), 0.1, 0.5) for i in (0, 2, 3, 9, 10, 19, 25)]
    assert levels == ["head", "head", "middle", "middle", "tail", "tail", "never rated"]


def test_recall_and_ndcg_of_one_and_of_several_relevant_movies():
    assert metrics.recall(np.array([3.0]), 3) == 1
    assert metrics.ndcg(np.array([3.0]), 10) == pytest.approx(1 / np.log2(4))
    several = np.array([1.0, 4.0, np.inf])
    assert metrics.recall(several, 10) == pytest.approx(2 / 3)
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    assert metrics.ndcg(several, 10) == pytest.approx((1 + 1 / np.log2(5)) / ideal)


def extracts(ranks, popular, rating, predicted, user="warm"):
    liked = rating >= 4
    nothing = np.array([])
    predictions = {
        p.RETRIEVAL: np.array([ranks]),
        p.PER_USER: nothing,
        p.BEFORE: np.array([ranks]) if liked else nothing,
        p.AFTER: np.array([1.0]) if liked else nothing,
        p.POPULARITY: np.array([popular]),
        p.POPULARITY_UNFILTERED: np.array([popular]),
        p.LIFT: np.array([ranks, popular]),
        p.RATING: np.array([predicted]),
        p.PREFERENCE: np.array([1 / (1 + np.exp(4 - predicted))]),
    }
    labels = {p.RATING: np.array([rating]), p.PREFERENCE: np.array([float(liked)])}
    return {
        tfma.PREDICTIONS_KEY: predictions,
        tfma.LABELS_KEY: {name: labels.get(name, nothing) for name in predictions},
        tfma.FEATURES_KEY: {
            p.USER: np.array([user]),
            p.HISTORY: np.array(["long"]),
            p.POPULARITY_OF_MOVIE: np.array(["head"]),
        },
    }


ROWS = [extracts(1.0, 50.0, 5.0, 4.5), extracts(20.0, 300.0, 2.0, 3.0), extracts(np.inf, 101.0, 4.0, 3.9, "cold")]


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    def run(limits):
        output = str(tmp_path_factory.mktemp("tfma"))
        config = build_eval_config(limits)
        with beam.Pipeline() as pipeline:
            (
                pipeline
                | beam.Create(ROWS)
                | tfma.ExtractEvaluateAndWriteResults(
                    eval_config=config,
                    extractors=[tfma.extractors.SliceKeyExtractor(eval_config=config)],
                    output_path=output,
                )
            )
        return tfma.load_eval_result(output), tfma.load_validation_result(output)

    return run


def test_tfma_gives_the_values_that_numpy_gives_and_passes_what_reaches_the_limits(evaluate):
    limits = Evaluation(max_rmse=0.7, max_rmse_over_constant=0.52, min_lift_over_popularity=2.0)
    result, validation = evaluate(limits)
    report = report_metrics(result, {"top_1_categorical_accuracy": 0.5}, {"kind": "exact", "recall_at_100": 1.0})
    retrieval = report["retrieval"]
    assert retrieval["top_1_categorical_accuracy"] == 0.5
    assert retrieval["filtered_top_1_categorical_accuracy"] == pytest.approx(1 / 3)
    assert retrieval["filtered_top_50_categorical_accuracy"] == pytest.approx(2 / 3)
    assert retrieval["filtered_ndcg_at_10"] == pytest.approx(1 / 3)
    assert retrieval["filtered_ndcg_at_10_per_user"] is None, "no user's list was measured"
    assert report["two_stage"] == {"ndcg_at_10_before": pytest.approx(0.5), "ndcg_at_10_after": pytest.approx(1.0)}
    errors = np.array([-0.5, 1.0, -0.1])
    assert report["ranking"]["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), abs=1e-6)
    assert report["ranking"]["mae"] == pytest.approx(np.mean(np.abs(errors)), abs=1e-6)
    assert report["ranking"]["binary_accuracy"] == pytest.approx(2 / 3)
    assert report["ranking"]["auc"] == pytest.approx(1.0, abs=1e-3)
    popularity = report["baselines"]["popularity"]
    assert popularity["filtered_top_100_categorical_accuracy"] == pytest.approx(1 / 3)
    assert failures(validation, report["index"], limits) == [], "slices below a limit do not count"
    slices = report_slices(result)
    assert (slices["user=warm"]["queries"], slices["user=cold"]["queries"], slices["movie=head"]["queries"]) == (
        2,
        1,
        3,
    )
    assert slices["user=warm"]["filtered_top_100_categorical_accuracy"] == 1
    assert slices["user=warm"]["popularity_filtered_top_100_categorical_accuracy"] == 0.5
    assert slices["user=cold"]["filtered_top_100_categorical_accuracy"] == 0
    assert slices["user=cold"]["rmse"] == pytest.approx(0.1, abs=1e-6)


def test_a_model_below_its_limits_is_refused_with_metric_value_and_limit(evaluate):
    limits = Evaluation(max_rmse=0.5, max_rmse_over_constant=0.51, min_lift_over_popularity=2.5)
    _, validation = evaluate(limits)
    assert sorted(failures(validation, {"kind": "scann_hashed", "recall_at_100": 0.9}, limits)) == [
        "index: recall is 0.9000, and has to be at least 0.95",
        "lift: lift_at_100 is 2.0000, and has to be at least 2.5",
        "rating: rmse is 0.6481, and has to be at most 0.5",
        "rating: rmse_over_constant is 0.5196, and has to be at most 0.51",
    ]


def test_list_quality_merges_over_bundles():
    computation = metrics._list_quality([1, 10], 10, output_names=["x"])[0]
    inputs = [tfma.metrics.StandardMetricInputs({"predictions": {"x": np.array([r])}}) for r in (1.0, 5.0, np.inf, 2.0)]
    with beam.Pipeline() as pipeline:
        values = pipeline | beam.Create(inputs) | beam.Reshuffle() | beam.CombineGlobally(computation.combiner)

        def check(found):
            by_name = {key.name: value for key, value in found[0].items()}
            assert by_name["recall_at_1"] == 0.25
            assert by_name["recall_at_10"] == 0.75
            assert by_name["ndcg_at_10"] == pytest.approx((1 + 1 / np.log2(6) + 1 / np.log2(3)) / 4)

        util.assert_that(values, check)
