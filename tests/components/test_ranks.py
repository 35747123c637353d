"""Ranks, their figures, and slices against answers that can be counted by hand, or by a few lines of numpy."""

from types import SimpleNamespace

import numpy as np
import pytest

from components.evaluator import metrics, slices
from components.evaluator.figures import gated_length
from components.evaluator.ranks import POPULARITY_LEVELS, list_ranks, popularity_levels
from models.catalogue import Catalogue
from models.features.feature_set import FeatureSet
from models.features.kinds import Category, Number, Tags, Text
from tests.models.conftest import write

NAN, INF = np.nan, np.inf


def ranks(items, scores, relevant):
    return list_ranks(np.array([items]), np.array([scores]), np.array([relevant]))[0].tolist()


def test_ranks_count_from_one_and_are_infinite_outside_the_list():
    assert ranks([0, 1, 2], [3.0, 2.0, 1.0], [2, 0, 9]) == [3, 1, INF]


def test_equal_scores_share_the_middle_rank():
    assert ranks([0, 1, 2, 3], [5.0, 2.0, 2.0, 1.0], [1, 2]) == [2.5, 2.5]


def test_a_constant_score_finds_nothing():
    assert ranks(range(100), [1.0] * 100, [0, 99]) == [INF, INF]


def test_a_tie_that_ends_before_the_padding_is_closed():
    assert ranks([0, 1, -1], [1.0, 1.0, -9.0], [0, -1]) == [1.5, INF]


def test_ranks_of_many_lists_are_those_of_each():
    rng = np.random.default_rng(0)
    items = np.array([rng.permutation(30)[:12] for _ in range(50)])
    scores = -np.sort(-rng.integers(0, 6, [50, 12]).astype(float), axis=1)
    relevant = np.array([rng.permutation(30)[:3] for _ in range(50)])
    together = list_ranks(items, scores, relevant)
    for row in range(50):
        for item, found in zip(relevant[row], together[row], strict=True):
            where = np.flatnonzero(items[row] == item)
            tied = np.flatnonzero(scores[row] == scores[row, where[0]]) if len(where) else []
            lost = not len(where) or (len(tied) > 1 and tied[-1] == 11)
            assert found == (INF if lost else 1 + np.mean(tied))


def test_levels_of_popularity_divide_the_items_with_interactions():
    levels = popularity_levels(np.array([100 - i for i in range(20)] + [0] * 10))
    assert [POPULARITY_LEVELS[levels[item]] for item in (0, 2, 3, 9, 10, 19, 25)] == [
        *["head"] * 2,
        *["middle"] * 2,
        *["tail"] * 2,
        "never rated",
    ]
    assert popularity_levels(np.zeros(3, int)).tolist() == [0, 0, 0]


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


SLICED = {
    "tags": slices.Sliced(Tags(), frozenset({"Drama", "Komödie"})),
    "age": slices.Sliced(Number(), None),
    "gender": slices.Sliced(Category(), frozenset({"F"})),
}


def test_slices_of_a_query():
    assert slices.of_query(known=1, history=9) == ["user=warm", "history=short"]
    assert slices.of_query(known=20, history=10) == ["user=warm", "history=long"]
    assert slices.of_query(known=0, history=0) == ["user=cold", "history=none"]


def test_slices_of_values():
    tags = [b"Drama", "Komödie".encode(), b"too rare", b""]
    assert SLICED["tags"].names("tags", tags) == ["tags=Drama", "tags=Komödie"]
    assert SLICED["age"].names("age", [35.0]) == ["age=30-39"]
    assert SLICED["age"].names("age", [NAN]) == []
    assert SLICED["gender"].names("gender", [b"F"]) == ["gender=F"]


def test_slices_of_items_stand_by_their_rows_in_the_catalogue(tmp_path):
    features = FeatureSet(items={"title": Text(), "tags": Tags()})
    rows = [{"item_id": "c", "tags": []}, {"item_id": "a", "tags": ["Drama"]}, {"item_id": "b", "tags": ["Drama"]}]
    write(tmp_path / "items.gz", rows, features.of_items())
    catalogue = Catalogue(np.array([b"a", b"b", b"c"]), np.array([b"", b"", b""]), {})
    found = slices.of_items([str(tmp_path / "items.gz")], features, SLICED, catalogue, np.array([7, 0, 0]))
    assert [found.names[place] for place in found.slices] == [
        ("item=head", "tags=Drama"),
        ("item=never rated", "tags=Drama"),
        ("item=never rated",),
    ]


def test_features_of_many_values_are_not_sliced_by():
    values = {"tags": [b"Drama"], "city": [str(n).encode() for n in range(51)]}
    transform = SimpleNamespace(vocabulary_by_name=values.get, vocabulary_size_by_name=lambda name: len(values[name]))
    features = FeatureSet(items={"title": Text(), "tags": Tags()}, users={"age": Number(), "city": Category()})
    found = slices.sliced_features(features, transform)
    assert {name: one.values for name, one in found.items()} == {"tags": {"Drama"}, "age": None}


@pytest.mark.parametrize(
    ("items", "candidates", "length"),
    [(1000, 100, 100), (999, 100, 50), (10_000, 60, 50), (300, 100, 10), (80, 80, 5), (9, 9, 1), (1000, 1, 1)],
)
def test_the_gate_compares_lists_well_shorter_than_all_that_train_has(items, candidates, length):
    assert gated_length(items, candidates) == length


# Eight queries in two batches, the last two of the tail. The live model is better there, and worse elsewhere.
