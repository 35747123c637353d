"""Each baseline on data whose right answer is known."""

import numpy as np
import pytest

from benchmarks.quality import factors, histories, sasrec
from benchmarks.quality.baselines import BASELINES, applicable
from benchmarks.quality.dataset import FROZEN, LIVE
from benchmarks.quality.measure import answer
from benchmarks.quality.popular import Popularity, RecentPopularity
from benchmarks.quality.tuning import Baseline, TooLarge, choose
from tests.benchmarks.conftest import DAY, checkerboard, dataset

ALL_EQUAL = {"tau": "inf"}


def answers(model, data, history=FROZEN, **values):
    return answer(model, data.asked[history], values, data.items, data.repeats)


def test_popularity_counts_train_rows():
    data = dataset([(0, 2, 1), (1, 2, 1), (1, 1, 2), (2, 0, 1), (2, 1, 1), (2, 2, 1)], [(3, 0, 5)], 4)
    found = answers(Popularity(data), data)
    assert found.lists.tolist() == [[2, 1, 0, 3]] and found.ranks.tolist() == [3]


def test_recent_popularity_counts_the_days_before_the_query_or_before_the_end_of_train():
    train = [(0, 0, 1 * DAY), (0, 1, 8 * DAY), (0, 2, 9 * DAY), (1, 1, 10 * DAY)]
    held_out = [(2, 0, 2 * DAY), (3, 0, 8 * DAY), (4, 0, 8 * DAY + 1), (5, 0, 50 * DAY)]
    data = dataset(train, held_out, 3)
    model, asked = RecentPopularity(data), data.asked[FROZEN]
    expected = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 2, 1]])
    assert model.scores(asked, days=7).tolist() == expected.tolist()
    some = np.array([3, 0, 3])
    assert model.scores(asked.at(some), days=7).tolist() == expected[some].tolist()


def hot_items(last):
    """Every ten days another item is all that everybody has; the last rows are asked about, with items `last`."""
    times = range(10 * DAY, 300 * DAY, DAY)
    train = [(user, time // DAY // 10, time + user) for user in range(3) for time in times]
    return dataset(train, [(user, item, 299 * DAY) for user in range(3) for item in last], 60, repeats=True)


def test_the_window_is_chosen_on_train():
    data = hot_items([29])
    choice = choose(BASELINES["recent_popularity"], data)
    assert choice.asked == {FROZEN: {"days": 7}}, "with more days the item before it is counted more often"
    found = answers(RecentPopularity(data), data, days=7)
    assert found.ranks.tolist() == [1, 1, 1]
    assert choose(BASELINES["recent_popularity"], hot_items([1, 55])) == choice, "other eval rows change nothing"


@pytest.mark.parametrize("name", ["recent_popularity", "item_to_item", "ease"])
def test_other_eval_rows_change_no_choice(name):
    one = checkerboard(split="global_temporal")
    other = dataset(zip(*one.train, strict=True), [(user, user % 7, 5_000) for user in range(9)], 30, one.split)
    assert choose(BASELINES[name], one) == choose(BASELINES[name], other)


def test_own_history_orders_by_count_or_by_recency():
    rare = [(1, 3, 1), (1, 3, 2), (1, 4, 3)]
    often_then_late = [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 100 * DAY)]
    data = dataset([*often_then_late, *rare], [(0, 1, 101 * DAY), (2, 0, 1)], 5, repeats=True)
    model = histories.OwnHistory(data)
    by_count = answers(model, data, **ALL_EQUAL)
    assert by_count.lists[0].tolist() == [0, 1, 3, 4, 2], "the rest by popularity"
    assert by_count.lists[1, :2].tolist() == [0, 3], "popularity where there is no history"
    by_recency = answers(model, data, tau="7 days", c=0.0)
    assert by_recency.lists[0, :2].tolist() == [1, 0]
    scores = model.scores(data.asked[FROZEN], "30 days", 0.2)
    assert scores[0, 1] == pytest.approx(np.exp(-1 / 30) + 0.2)
    assert scores[0, 0] == pytest.approx(3 * (np.exp(-101 / 30) + 0.2), rel=1e-4)


def two_kinds(query_item):
    """Items 0 to 4 occur together, and 5 to 9; user 0 had three of the first long ago, and now one of the others."""
    together = [(user, 5 * (user % 2) + item, item) for user in range(1, 31) for item in range(5)]
    own = [(0, 0, 0), (0, 1, 1), (0, 2, 2), (0, 5, 100 * DAY)]
    return dataset([*own, *together], [(0, query_item, 100 * DAY + 60)], 10)


@pytest.mark.parametrize("fit", [histories.item_to_item, lambda data: histories.ease(data, 10.0)])
def test_time_weights_decide_which_part_of_the_history_counts(fit):
    data = two_kinds(query_item=6)
    model = fit(data)
    assert set(answers(model, data, **ALL_EQUAL).lists[0, :2]) == {3, 4}
    recent = answers(model, data, tau="1 h", c=0.05)
    assert set(recent.lists[0, :4]) == {6, 7, 8, 9} and recent.ranks[0] <= 4


def test_every_trial_is_what_its_values_give():
    data = two_kinds(query_item=6)
    queries = data.asked[FROZEN]
    for model in (histories.item_to_item(data), histories.OwnHistory(data), RecentPopularity(data)):
        trials = list(model.trials(queries))
        assert len(trials) > 1
        for values, scores in trials:
            np.testing.assert_allclose(scores, model.scores(queries, **values), rtol=1e-5, atol=1e-6)


def test_short_and_long_histories_have_the_same_product(monkeypatch):
    data = checkerboard()
    model = histories.ease(data, 100.0)
    short = model.scores(data.asked[FROZEN], **ALL_EQUAL)
    monkeypatch.setattr(histories, "_DENSE_FROM", 0)
    np.testing.assert_allclose(short, model.scores(data.asked[FROZEN], **ALL_EQUAL), atol=1e-5)


@pytest.mark.parametrize("name", ["item_to_item", "ease", "ials", "bpr"])
def test_models_solve_the_checkerboard(name):
    data = checkerboard(users=600)
    baseline = BASELINES[name]
    choice = choose(baseline, data)
    found = answers(baseline.fit(data, 1, choice.fitted), data, **choice.asked[FROZEN])
    assert (found.ranks <= 5).mean() > 0.95, "three items are left, and the first three are they"


def test_rare_items_come_last_by_popularity(monkeypatch):
    monkeypatch.setattr(histories, "_MOST_ITEMS", 2)
    train = [(0, 0, 1), (1, 0, 1), (1, 1, 1), (2, 0, 1), (2, 1, 1), (3, 2, 1), (3, 4, 1), (4, 4, 1)]
    train = [*train, (5, 1, 1), (5, 0, 1)]
    data = dataset(train, [(0, 1, 5)], 5)
    assert answers(histories.ease(data, 1.0), data, **ALL_EQUAL).lists.tolist() == [[1, 4, 2, 3, -1]]


@pytest.mark.parametrize("name", ["item_to_item", "ease", "ials", "bpr"])
def test_without_train_rows_popularity_answers(name):
    data = checkerboard()
    train = [row for row in zip(*data.train, strict=True) if row[0] > 0]
    data = dataset(train, [(0, 1, 9_000), (1, 2, 9_000)], 30)
    choice = choose(BASELINES[name], data)
    scores = BASELINES[name].fit(data, 1, choice.fitted).scores(data.asked[FROZEN], **choice.asked[FROZEN])
    np.testing.assert_array_equal(np.argsort(scores[0]), np.argsort(data.popularity))
    assert not np.array_equal(scores[0], scores[1])


def test_live_histories_help_models_of_histories_and_not_those_of_users():
    data = dataset(
        zip(*checkerboard().train, strict=True), [(50, 1, 5_000), (50, 3, 5_001)], 30, split="global_temporal"
    )
    model = histories.item_to_item(data)
    frozen, live = (model.scores(data.asked[name], **ALL_EQUAL) for name in (FROZEN, LIVE))
    np.testing.assert_array_equal(frozen[0], live[0])
    assert not np.array_equal(frozen[1], live[1])
    model = factors.ials(data, 1)
    np.testing.assert_array_equal(model.scores(data.asked[FROZEN]), model.scores(data.asked[LIVE]))


def test_the_blend_is_its_parts_scaled_to_a_sum_of_one():
    data = dataset(zip(*two_kinds(6).train, strict=True), [(0, 6, 100 * DAY + 60), (40, 1, 5)], 10, repeats=True)
    choice = choose(BASELINES["own_history_ease"], data)
    model = BASELINES["own_history_ease"].fit(data, 1, choice.fitted)
    queries = data.asked[FROZEN]
    own = histories.OwnHistory(data).sums(queries, **choice.fitted["own_history"]["asked"][FROZEN])
    similar = histories.ease(data, choice.fitted["ease"]["fitted"]["lambda"])
    similar = similar.scores(queries, **choice.fitted["ease"]["asked"][FROZEN])
    expected = own[0] / own[0].sum() + 0.3 * similar[0] / similar[0][similar[0] > 0].sum()
    scores = model.scores(queries, weight=0.3)
    np.testing.assert_allclose(scores[0], expected, rtol=1e-4)
    np.testing.assert_array_equal(np.argsort(scores[1]), np.argsort(data.popularity))


def test_own_items_are_baselines_only_where_items_repeat():
    assert {*BASELINES} - {*applicable(repeats=False)} == {"own_history", "own_history_ease"}
    assert applicable(repeats=True) == [*BASELINES]


class Constant:
    """A model that is good in one trial."""

    def __init__(self, good):
        self._good = good

    def trials(self, queries):
        scores = np.zeros((len(queries), 30), np.float32)
        scores[np.arange(len(queries)), queries.item] = self._good
        yield {}, scores


def test_no_more_trials_are_made_than_patience_says():
    made = []

    def trials(data):
        for epochs, good in enumerate([0.0, -1.0, 1.0, 0.0, 0.0, 2.0]):
            made.append(epochs)
            yield {"epochs": epochs}, Constant(good)

    choice = choose(Baseline(lambda *_: None, trials, patience=2), checkerboard())
    assert choice.fitted == {"epochs": 2} and made == [0, 1, 2, 3, 4]


def test_sasrec_learns_what_follows():
    cycle = [(user, (user + step) % 10, step) for user in range(30) for step in range(12)]
    data = dataset(cycle, [(user, (user + 12) % 10, 100) for user in range(30)], 11, repeats=True)
    model = sasrec.SasRec(data, seed=1).fit(epochs=40)
    found = answers(model, data)
    assert (found.ranks == 1).all()
    alone = model.scores(data.asked[FROZEN].at(np.array([3])))
    np.testing.assert_allclose(alone[0], model.scores(data.asked[FROZEN])[3], atol=1e-4)
    assert (found.lists[:, -1] < 10).all(), "what nobody has had comes last"


def test_sasrec_does_not_see_what_follows():
    model = sasrec.Transformer(8)
    one, other = np.array([[1, 2, 3, 4]], np.int32), np.array([[1, 2, 3, 7]], np.int32)
    np.testing.assert_allclose(model(one)[:, :3], model(other)[:, :3], atol=1e-6)
    padded = np.array([[1, 2, 3, -1, -1]], np.int32)
    np.testing.assert_allclose(model(one)[:, :3], model(padded)[:, :3], atol=1e-6)


def test_every_item_but_a_users_first_is_once_what_follows(monkeypatch):
    monkeypatch.setattr(sasrec, "_LENGTH", 3)
    found = [window.tolist() for window in sasrec.windows(np.array([0] * 8 + [1] + [2] * 2), np.arange(11))]
    assert found == [[4, 5, 6, 7], [1, 2, 3, 4], [0, 1], [9, 10]]


def test_sasrec_is_left_out_of_large_data(monkeypatch):
    monkeypatch.setattr(sasrec, "_MOST_WORK", 100)
    with pytest.raises(TooLarge, match="train rows times items"):
        choose(BASELINES["sasrec"], checkerboard())
