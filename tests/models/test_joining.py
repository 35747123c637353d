"""The weights that join the stages, on queries whose best weights are known."""

import numpy as np
import pytest

from models import joining
from models.timelines import Timelines


def timelines(*lengths):
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = {"item_id": np.arange(starts[-1]) % len(ITEMS), "timestamp": np.arange(starts[-1])}
    return Timelines({}, starts, rows)


ITEMS = np.array([b"%d" % item for item in range(100)])


def test_rows_kept_out_are_of_the_last_fifth_of_each_user():
    train = timelines(*[50] * 400)
    rows = joining.kept_out(train, ITEMS)
    assert len(rows) == 400 and len({*(rows // 50)}) > 200
    assert (rows % 50 >= 40).all() and len({*(rows % 50)}) == 10
    assert (np.diff(rows) > 0).all()


def test_little_data_gives_a_tenth_at_most():
    assert len(joining.kept_out(timelines(*[20] * 50), ITEMS)) == 100
    assert len(joining.kept_out(timelines(2, 2), ITEMS)) == 0 and len(joining.kept_out(timelines(), ITEMS)) == 0
    assert len(joining.kept_out(timelines(*[10] * 100_000), ITEMS)) <= 5000


def test_a_later_training_keeps_out_no_row_that_an_earlier_one_has_learnt_from():
    later = timelines(*[60] * 400)
    earlier_rows = np.flatnonzero(np.arange(60 * 400) % 60 < 50)  # Ten rows have come at each user's end.
    earlier = Timelines({}, timelines(*[50] * 400).starts, {name: of[earlier_rows] for name, of in later.rows.items()})
    backwards = ITEMS[::-1]  # The vocabulary may have another order the next night.
    of_backwards = {**later.rows, "item_id": len(ITEMS) - 1 - later.rows["item_id"]}
    kept, before = (
        joining.kept_out(Timelines({}, later.starts, of_backwards), backwards),
        earlier_rows[joining.kept_out(earlier, ITEMS)],
    )
    known = np.intersect1d(kept, earlier_rows)
    assert len(known) and np.isin(known, before).mean() > 0.9  # All, but for those that the limit of 2 % lets in.


def test_they_are_asked_with_what_was_known_before_that_fifth():
    train = Timelines({"user_id": np.arange(3)}, timelines(10, 1, 5).starts, {"item_id": np.arange(16)})
    before, asked = joining.as_asked(train, np.array([9, 15]))
    assert before.rows["item_id"].tolist() == [*range(8), 10, *range(11, 15)]
    assert (before.starts.tolist(), asked.starts.tolist()) == ([0, 8, 9, 13], [0, 1, 1, 2])
    assert asked.rows["item_id"].tolist() == [9, 15] and asked.users["user_id"].tolist() == [0, 1, 2]


def drawn(weights, queries=4000, candidates=20, seed=1):
    """Candidates of random scores, and targets drawn by the logit with these weights."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(queries, candidates, 3))
    logits = features @ weights + random.gumbel(size=(queries, candidates))
    return features[:, :, 0], features[:, :, 1:], logits.argmax(axis=1)


def test_weights_are_found_relative_to_retrieval():
    found = joining.fitted(*drawn([2.0, 1.0, 0.5]))
    assert (found.choice, found.preference) == (pytest.approx(0.5, abs=0.05), pytest.approx(0.25, abs=0.05))
    assert found.queries == 4000 and found.gain > 1


def test_a_part_that_does_not_help_gets_no_weight():
    found = joining.fitted(*drawn([1.0, 0.0, 0.7]))
    assert found.choice < 0.05 and found.preference == pytest.approx(0.7, abs=0.1)
    found = joining.fitted(*drawn([1.0, -0.5, -0.5]))
    assert (found.choice, found.preference, found.gain) == (0.0, 0.0, 1.0)


def test_a_likelier_order_with_worse_lists_gets_no_weight():
    """The ranker lifts half of the items from place 50 to 20, and takes the others out of the first."""
    scores, choice = np.zeros((1000, 50)), np.zeros((1000, 50))
    scores[:500, 0], scores[500:, 0] = -1.0, 4.0
    choice[:500, :20] = 1.0
    scores[500:, 1], choice[500:, 1] = 3.9, 1.0
    parts = np.stack([choice, np.zeros_like(choice)], axis=2)
    found = joining.fitted(scores, parts, np.zeros(1000, int))
    assert found == joining.Weights(queries=1000)
    without = joining._ndcg(scores - scores[:, :1], np.ones_like(scores, bool)).mean()
    assert joining._ndcg(scores - scores[:, :1] + choice - choice[:, :1], np.ones_like(scores, bool)).mean() < without


@pytest.mark.parametrize("helps", [True, False])
def test_choice_alone_has_to_help_by_more_than_chance(helps):
    """It lifts the item of 104 of 2,000 queries to the first place, and of 100 from there to the second; or of all."""
    scores, choice = np.zeros((2000, 50)), np.zeros((2000, 50))
    scores[:, 1], scores[:, 2:] = -0.5, -5.0  # Retrieval is right, ...
    scores[:104, 1] = 0.5  # ... but here, where choice corrects it, ...
    choice[:104, 0] = 5.0
    choice[104:204, 1] = 0.0 if helps else 5.0  # ... and is wrong as often.
    found = joining.fitted(scores, np.stack([choice, np.zeros_like(choice)], axis=2), np.zeros(2000, int))
    assert (found.choice > 0) is helps and (found.gain > 1) is helps


def test_entries_without_a_candidate_change_nothing():
    scores, parts, target = drawn([2.0, 1.0, 0.5])
    more = np.pad(scores, [(0, 0), (0, 3)], constant_values=-np.inf)
    wide = joining.fitted(more, np.pad(parts, [(0, 0), (0, 3), (0, 0)], constant_values=9.0), target)
    assert wide == pytest.approx(joining.fitted(scores, parts, target), abs=1e-6)


def test_few_queries_leave_the_order_to_retrieval():
    scores, parts, target = drawn([2.0, 1.0, 0.5], queries=49)
    assert joining.fitted(scores, parts, target) == joining.Weights()
