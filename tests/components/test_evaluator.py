"""Ranks, metrics, slices and thresholds against answers that can be counted by hand, or by a few lines of numpy."""

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma

from components.evaluator import metrics, predictions, slices
from components.evaluator import outputs as o
from components.evaluator.figures import LIVE, POPULARITY, Measured, build_eval_config
from components.evaluator.ranks import Popularity, list_ranks
from components.evaluator.settings import Evaluation
from components.evaluator.verdict import check_thresholds, refusals
from models.errors import UserError
from models.features.feature_set import FeatureSet
from models.features.kinds import Category, Number, Tags

NAN, INF = np.nan, np.inf


def ranks(ids, scores, relevant):
    return list_ranks(np.array([ids], object), np.array([scores]), np.array([relevant], object))[0].tolist()


def test_ranks_count_from_one_and_are_infinite_outside_the_list():
    assert ranks([b"a", b"b", b"c"], [3.0, 2.0, 1.0], [b"c", b"a", b"z"]) == [3, 1, INF]


def test_wide_rows_come_in_small_batches(monkeypatch):
    monkeypatch.setattr(predictions, "_BATCH", 8)
    monkeypatch.setattr(predictions, "_CELLS", 100)
    widths = [1] * 10 + [30] * 4 + [200] * 2 + [1] * 2
    rows = [predictions._Row(b"", frozenset(range(width)), [], (1.0, 1.0), []) for width in widths]
    batches = list(predictions.batches(rows))
    assert [len(batch) for batch in batches] == [8, 3, 3, 1, 1, 2]
    assert [row for batch in batches for row in batch] == rows


def test_equal_scores_share_the_middle_rank():
    assert ranks([b"a", b"b", b"c", b"d"], [5.0, 2.0, 2.0, 1.0], [b"b", b"c"]) == [2.5, 2.5]


def test_a_constant_score_finds_nothing():
    assert ranks([str(i).encode() for i in range(100)], [1.0] * 100, [b"0", b"99"]) == [INF, INF]


def test_a_tie_that_ends_before_the_padding_is_closed():
    assert ranks([b"a", b"b", b""], [1.0, 1.0, -9.0], [b"a", b""]) == [1.5, INF]


def test_ranks_of_many_lists_are_those_of_each():
    rng = np.random.default_rng(0)
    ids = np.array([[str(i).encode() for i in rng.permutation(30)[:12]] for _ in range(50)], object)
    scores = -np.sort(-rng.integers(0, 6, [50, 12]).astype(float), axis=1)
    relevant = np.array([[str(i).encode() for i in rng.permutation(30)[:3]] for _ in range(50)], object)
    together = list_ranks(ids, scores, relevant)
    for row in range(50):
        for item, found in zip(relevant[row], together[row], strict=True):
            where = np.flatnonzero(ids[row] == item)
            tied = np.flatnonzero(scores[row] == scores[row, where[0]]) if len(where) else []
            lost = not len(where) or (len(tied) > 1 and tied[-1] == 11)
            assert found == (INF if lost else 1 + np.mean(tied))


def test_popularity_agrees_with_a_full_sort():
    rng = np.random.default_rng(0)
    names = [f"m{i}".encode() for i in range(50)]
    counts = rng.integers(0, 5, 50)
    baseline = Popularity({name: int(n) for name, n in zip(names, counts, strict=True) if n}, items=50)
    seen = set(rng.choice(50, 12, replace=False).tolist())
    excluded = baseline.counts_of([names[i] for i in seen])
    unseen = sorted(set(range(50)) - seen)
    expected = []
    for i in unseen:
        others = [counts[j] for j in unseen if j != i]
        expected.append(1 + sum(n > counts[i] for n in others) + sum(n == counts[i] for n in others) / 2)
    assert baseline.ranks([names[i] for i in unseen], excluded).tolist() == expected


def test_levels_of_popularity_divide_the_rated_items():
    baseline = Popularity({f"m{i}".encode(): 100 - i for i in range(20)}, items=30)
    levels = [baseline.level(f"m{i}".encode()) for i in (0, 2, 3, 9, 10, 19, 25)]
    assert levels == ["head", "head", "middle", "middle", "tail", "tail", "never rated"]
    assert baseline.mean_count([b"m0", b"m1", b"m25"]) == (100 + 99) / 3
    assert baseline.mean_count([]) == 0


def test_list_figures_of_one_and_of_several_relevant_items():
    of_one, of_three = np.array([[3.0, NAN, NAN]]), np.array([[4.0, 1.0, INF]])
    both = np.concatenate([of_one, of_three])
    assert metrics.recall(both, 3).tolist() == pytest.approx([1, 1 / 3])
    assert metrics.recall(both, 10).tolist() == pytest.approx([1, 2 / 3])
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    assert metrics.ndcg(both, 10).tolist() == pytest.approx([1 / np.log2(4), (1 + 1 / np.log2(5)) / ideal])
    assert metrics.ndcg(of_three, 1).tolist() == [1], "one of one possible"
    assert metrics.reciprocal_rank(both).tolist() == pytest.approx([1 / 3, 1])
    assert metrics.reciprocal_rank(np.array([[INF]])).tolist() == [0]


def test_slices_of_an_example():
    features = {
        "tags": slices.Sliced(Tags(), frozenset({"Drama", "Komödie"})),
        "age": slices.Sliced(Number(), None),
        "gender": slices.Sliced(Category(), frozenset({"F"})),
    }
    example = tf.train.Example()
    example.features.feature["tags"].bytes_list.value.extend([b"Drama", "Komödie".encode(), b"too rare"])
    example.features.feature["age"].float_list.value.append(35.0)
    example.features.feature["gender"].bytes_list.value.append(b"F")
    example.features.feature["history_timestamp"].int64_list.value.extend(range(9))
    assert slices.of_example(example, True, "tail", features) == [
        "user=warm",
        "history=short",
        "item=tail",
        "tags=Drama",
        "tags=Komödie",
        "age=30-39",
        "gender=F",
    ]
    example.features.feature["history_timestamp"].int64_list.value.append(9)
    assert slices.of_example(example, False, "head", features)[:2] == ["user=cold", "history=long"]
    assert slices.of_example(tf.train.Example(), False, "head", features)[1] == "history=none"


# Eight queries in two batches, the last two of the tail. The live model is better there, and worse elsewhere.
RANKS = np.array([1.0, 20, INF, 2, 7, 150, INF, INF])
LIVE_RANKS = np.array([1.0, INF, INF, INF, 7, 150, 3, 5])
POPULAR = np.array([50.0, 300, 101, 60, 500, 600, 700, 800])
RATINGS = np.array([5.0, 2, 4, 3, 4.5, 1, 4, 2])
PREDICTED = np.array([4.5, 3, 3.9, 3, 4, 2, 3, 3])
LIKED = RATINGS >= 4


def test_signatures_tell_their_names_without_being_loaded(tmp_path):
    module = tf.Module()
    names = [tf.TensorSpec([None], tf.string, name=name) for name in ("user_id", "movie_id")]
    module.rank = tf.function(lambda *inputs: {"score": tf.zeros(tf.shape(inputs[0]))}, input_signature=names)
    tf.saved_model.save(module, str(tmp_path), signatures={"rank": module.rank})
    assert predictions.signature_names(str(tmp_path))["rank"] == ({"user_id", "movie_id"}, {"score"})


CUTS = [["item=head"]] * 6 + [["item=tail", "tags=Drama"]] * 2


def outputs(prefix, ranks):
    liked = np.where(LIKED, ranks, NAN)
    per_user = np.full([8, 2], NAN)
    per_user[0] = [1, INF]
    ids = np.array([[b"a", b"b"], [b"a", b"c"], [b"a", b""], *[[b"a", b"b"]] * 5], object)
    found = {
        o.RETRIEVAL: ranks[:, np.newaxis],
        o.PER_USER: per_user,
        o.BEFORE: liked[:, np.newaxis],
        o.AFTER: np.where(LIKED, 1.0, NAN)[:, np.newaxis],
        o.RATING: PREDICTED,
        o.PREFERENCE: 1 / (1 + np.exp(4 - PREDICTED)),
        o.RECOMMENDED: ids,
        o.AVERAGE_POPULARITY: np.arange(8.0),
        o.SEEN_SHARE: np.array([0, 0.5, 0, 0, 0, 0, 0, 0]),
    }
    return {prefix + name: values for name, values in found.items()}


def extracts(with_live, rows):
    predictions = outputs("", RANKS) | (outputs(o.LIVE, LIVE_RANKS) if with_live else {})
    predictions |= {o.POPULARITY: POPULAR[:, np.newaxis], o.POPULARITY_UNFILTERED: 2 * POPULAR[:, np.newaxis]}
    labels = {prefix + o.RATING: RATINGS for prefix in ("", o.LIVE)}
    labels |= {prefix + o.PREFERENCE: LIKED.astype(float) for prefix in ("", o.LIVE)}
    return {
        tfma.PREDICTIONS_KEY: {name: values[rows] for name, values in predictions.items()},
        tfma.LABELS_KEY: {name: labels.get(name, np.zeros(8))[rows] for name in predictions},
        o.SLICES: CUTS[rows],
    }


def measure(output, with_live):
    config = build_eval_config(catalogue_size=10, with_live=with_live, rated=True)
    with beam.Pipeline() as pipeline:
        (
            pipeline
            | beam.Create([extracts(with_live, slice(0, 3)), extracts(with_live, slice(3, 8))])
            | tfma.ExtractEvaluateAndWriteResults(
                eval_config=config, extractors=[slices.by_slice()], output_path=str(output)
            )
        )
    return Measured(tfma.load_eval_result(str(output)), with_live, rated=True)


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
    ranking, error = found["ranking"], PREDICTED - RATINGS
    assert ranking["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert ranking["mae"] == pytest.approx(np.mean(np.abs(error)))
    assert ranking["rmse_over_constant"] == pytest.approx(np.sqrt(np.mean(error**2)) / RATINGS.std())
    assert ranking["calibration"] == pytest.approx(PREDICTED.mean() / RATINGS.mean())
    assert ranking["binary_accuracy"] == np.mean((PREDICTED > 4) == LIKED)
    pairs = PREDICTED[LIKED][:, np.newaxis] - PREDICTED[~LIKED]
    assert ranking["auc"] == pytest.approx(np.mean((pairs > 0) + (pairs == 0) / 2), abs=1e-3)
    recommended = {"catalogue_coverage": 0.3, "average_popularity": 3.5, "seen_share": 0.0625}
    assert found["recommended"] == pytest.approx(recommended), "of ten items a, b and c; an empty entry is none"


def test_references_are_measured_on_the_same_queries(measured, measured_alone):
    popularity = measured.figures(reference=POPULARITY)
    assert popularity["filtered_top_100_categorical_accuracy"] == 2 / 8
    assert popularity["top_100_categorical_accuracy"] == 1 / 8
    live = measured.figures(reference=LIVE)
    assert live["filtered_top_100_categorical_accuracy"] == np.mean(LIVE_RANKS <= 100)
    assert live["rmse"] == measured.figures()["rmse"]
    assert measured_alone.figures() == measured.figures()
    assert measured_alone.references == [POPULARITY]


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
            lift={"metric": "filtered_top_100_categorical_accuracy", "against": "popularity", "at_least": 2},
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
            lift={"metric": "filtered_top_100_categorical_accuracy", "against": "popularity", "at_least": 2.5},
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
        "lift: filtered_top_100_categorical_accuracy is 0.5, and has to be at least 0.625 "
        "(2.5 times the 0.25 of popularity)",
        "tail: filtered_top_10_categorical_accuracy for item=tail is 0, and has to be at least 0.5 "
        "(0.5 times the 1 of the live model)",
    ]


def test_thresholds_that_do_not_apply(measured, measured_alone):
    tail = {"metric": "filtered_top_10_categorical_accuracy", "slice": "item=tail", "against": "live", "at_least": 1}
    assert refusals(measured_alone, CHECKS, limits(tail=tail)) == [], "nothing is live"
    small = limits(tail=tail).model_copy(update={"min_slice_queries": 3})
    assert refusals(measured, CHECKS, small) == [], "too few queries"
    none = tail | {"slice": "item=never rated"}
    assert refusals(measured, CHECKS, limits(none=none)) == [], "no such slice in this data"


def test_no_better_than_a_popularity_that_finds_nothing_is_refused(measured):
    lift = {"metric": "filtered_top_1_categorical_accuracy", "against": "popularity", "at_least": 1.05}
    assert refusals(measured, CHECKS, limits(lift=lift)) == [], "one hit against none"
    (reason,) = refusals(measured, CHECKS, limits(lift=lift | {"slice": "item=tail"}))
    assert "is 0, and has to be at least 0 (1.05 times the 0 of popularity)" in reason


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        ({"metric": "rsme"}, r"thresholds.typo.metric: no figure 'rsme'; there are .*rmse.*recall_at_100"),
        ({"metric": "rmse", "against": "popularity"}, r"no figure 'rmse' of popularity; there are filtered_top_1_"),
        ({"metric": "recall_at_100", "slice": "item=tail"}, r"no figure 'recall_at_100'"),
        ({"metric": "rmse", "slice": "item=tial"}, r"typo.slice: no slice 'item=tial'; there are .*item=tail"),
    ],
)
def test_a_threshold_on_what_does_not_exist_says_what_does(threshold, message):
    with pytest.raises(UserError, match=message):
        check_thresholds(limits(typo=threshold | {"at_most": 1}), FeatureSet())


def test_the_default_thresholds_are_on_figures_that_exist():
    check_thresholds(Evaluation(), FeatureSet())


def test_thresholds_on_ratings_are_for_data_that_has_them(measured):
    unrated = FeatureSet(rated=False)
    check_thresholds(Evaluation(), unrated)
    with pytest.raises(UserError, match=r"thresholds.mine.metric: no figure 'rmse'; there are filtered_top_1_"):
        check_thresholds(limits(mine={"metric": "rmse", "at_most": 1}), unrated)
    error = limits(error={"metric": "rmse", "at_most": 0})
    assert len(refusals(measured, CHECKS, error)) == 1
    measured.rated = False
    try:
        assert refusals(measured, CHECKS, error) == []
    finally:
        measured.rated = True
