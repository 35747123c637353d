"""The rules of a list against a few lines of numpy that choose one entry after the other."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from components.recommender_builder.lists import NO_SCORE, ListRules
from components.recommender_builder.settings import Index

ITEMS, D, K = 40, 4, 8
RNG = np.random.default_rng(0)
CATEGORY = [[b"abc"[n % 3 : n % 3 + 1]] if n % 5 else [] for n in range(ITEMS)]
TAGS = [[b"t%d" % (n % 4), b"u%d" % (n % 3)][: n % 3] for n in range(ITEMS)]
MARGIN = [[] if n % 7 == 0 else [np.nan] if n % 7 == 1 else [0.5 * n] for n in range(ITEMS)]
DIRECTIONS = RNG.normal(size=(ITEMS + 1, D))
DIRECTIONS = (DIRECTIONS / np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)).astype(np.float32)
CANDIDATES = np.stack([RNG.permutation(ITEMS)[:20] for _ in range(3)]).astype(np.int32)
SCORES = RNG.normal(size=CANDIDATES.shape).astype(np.float32)
CANDIDATES[1, 5:], SCORES[1, 5:] = ITEMS, NO_SCORE  # Of which only five may be chosen.
SCORES[2, :4] = SCORES[2, :4].max()  # Ties: the first comes first.


def rules(**index):
    values = {
        "category": tf.ragged.constant(CATEGORY, dtype=tf.string),
        "tags": tf.ragged.constant(TAGS, dtype=tf.string),
        "margin": tf.ragged.constant(MARGIN, dtype=tf.float32),
    }
    return ListRules(Index(**index), values, len(DIRECTIONS) - 1, functools.partial(tf.gather, DIRECTIONS))


def chosen(candidates, scores, diversity, most_per):
    """One list: items, and the scores by which they were chosen."""
    weight, found = diversity / (1 - diversity), []
    while len(found) < K:
        keys = []
        for item, score in zip(candidates.tolist(), scores, strict=True):
            if item == ITEMS:
                keys.append(NO_SCORE)
                continue
            listed = [one for one, _ in found if one < ITEMS]
            alike = max([0.0, *(float(DIRECTIONS[item] @ DIRECTIONS[one]) for one in listed)])
            full = any(sum(value in of[one] for one in listed) >= most for of, most in most_per for value in of[item])
            keys.append(NO_SCORE if item in listed or full else score - weight * alike)
        best = int(np.argmax(keys))
        found.append((candidates[best], keys[best]) if keys[best] > NO_SCORE else (ITEMS, NO_SCORE))
    return found


OF = {"category": CATEGORY, "tags": TAGS}


@pytest.mark.parametrize("diversity", [0, 0.3, 0.9])
@pytest.mark.parametrize("most_per", [{}, {"category": 1}, {"category": 2, "tags": 1}, {"tags": 2}])
def test_lists_are_those_that_a_choice_one_by_one_makes(diversity, most_per):
    made = rules(diversity=diversity, most_per=most_per)
    best = tf.function(lambda candidates, scores: made.best(candidates, scores, K, {}), autograph=False)
    items, scores = (of.numpy() for of in best(tf.constant(CANDIDATES), tf.constant(SCORES)))
    for row, (candidates, given) in enumerate(zip(CANDIDATES, SCORES, strict=True)):
        expected = chosen(candidates, given, diversity, [(OF[name], most) for name, most in most_per.items()])
        assert items[row].tolist() == [item for item, _ in expected]
        np.testing.assert_allclose(scores[row], [score for _, score in expected], rtol=1e-5)
        assert all(a >= b for a, b in itertools.pairwise(scores[row].tolist()))
        one = slice(row, row + 1)
        alone = best(tf.constant(CANDIDATES[one]), tf.constant(SCORES[one]))
        assert alone[0].numpy().tolist() == items[one].tolist()


def test_a_request_may_get_any_number_of_the_feature_by_which_it_filters():
    given = {"category": tf.constant([True, False, False])}
    items, _ = rules(most_per={"category": 1}).best(tf.constant(CANDIDATES), tf.constant(SCORES), K, given)
    by_score = [item for _, item in sorted(zip(-SCORES[0], CANDIDATES[0], strict=True))][:K]
    assert items[0].numpy().tolist() == by_score
    assert items[2].numpy().tolist() == [item for item, _ in chosen(CANDIDATES[2], SCORES[2], 0, [(CATEGORY, 1)])]


def test_a_boost_adds_so_much_for_each_unit_and_nothing_for_a_missing_number():
    made = rules(boost={"margin": -0.2})
    got = made.boosted(tf.constant(CANDIDATES), tf.zeros_like(SCORES)).numpy()
    known = [0.0 if not of or np.isnan(of[0]) else -0.2 * of[0] for of in [*MARGIN, []]]
    np.testing.assert_allclose(got, np.array(known)[CANDIDATES], rtol=1e-6)
    items, scores = made.best(tf.constant(CANDIDATES), tf.constant(SCORES), K, {})
    np.testing.assert_array_equal(scores[0], -np.sort(-SCORES[0])[:K])
    assert made.boosted(tf.constant([[ITEMS]]), tf.constant([[1.0]])).numpy().tolist() == [[1.0]]
    assert items.shape == (3, K)
