"""The forecast of what is popular, against sums written out, and on data whose answer is known."""

import numpy as np
import pytest

from models import popularity
from models.popularity import Interactions, forecast

DAY = 86_400


def rows(item, time, moments):
    """In order of time, with as many rows in each time bucket."""
    item, time = np.array(item), np.array(time)
    return Interactions(item, time, np.arange(len(item)) * moments // len(item))


def logs(item, time, until, items):
    """[W, n] logs of the decayed counts of rows before a time, from the definition."""
    ages = until - np.array(time, float)
    return np.log1p(
        [
            [sum(np.exp(-age / tau) for own, age in zip(item, ages, strict=True) if own == one) for one in range(items)]
            for tau in popularity._DECAYS[:, 0]
        ]
        / np.float64(popularity._FEW)
    )


def test_counts_are_of_the_rows_before_each_moment():
    item, time = [0, 1, 0, 2, 1, 1], [DAY * day for day in (1, 2, 2, 5, 40, 41)]
    made = rows(item, time, 3)
    tables = [*popularity._tables(made, np.array([0, 2, 4, 6]), 4)]
    assert not tables[0].any()
    for place, table in zip((2, 4), tables[1:], strict=False):
        np.testing.assert_allclose(table, logs(item[:place], time[:place], time[place], 4), rtol=1e-5)
    np.testing.assert_allclose(tables[-1], logs(item, time, time[-1], 4), rtol=1e-5)


@pytest.fixture
def fashion():
    """Ten items; in each of a hundred days another one is all that is wanted, and in ten days again."""
    return rows(np.repeat(np.arange(100) % 10, 20), np.arange(2000) * DAY / 20, 1000)


def test_what_is_popular_for_a_day_is_forecast_by_the_last_hours(fashion):
    found = forecast(fashion, 10, 1000)
    assert found.of_moments.shape == (1000, 10) and found.merged == 1
    late_in_day_50, after_the_end = found.of_moments[509], found.now
    assert (late_in_day_50.argmax(), after_the_end.argmax()) == (0, 9)
    assert late_in_day_50[0] > np.sort(late_in_day_50)[-2] + 1


def test_other_rows_are_looked_at_with_the_same_weights(fashion):
    found = forecast(fashion, 10, 1000)
    again = popularity.of_last(fashion.item, fashion.time, 10, found.weights)
    np.testing.assert_allclose(again, found.now, rtol=1e-5)
    more = np.append(fashion.item, [4] * 50), np.append(fashion.time, fashion.time[-1] + np.arange(50))
    assert popularity.of_last(*more, 10, found.weights).argmax() == 4


def test_what_is_popular_for_ever_is_forecast_by_its_share():
    share = np.array([0.6, 0.3, 0.1])
    item = np.random.default_rng(0).choice(3, 20_000, p=share)
    found = forecast(rows(item, np.arange(20_000) * 600, 100), 3, 100)
    odds = np.exp(found.now - found.now.max())
    np.testing.assert_allclose(odds / odds.sum(), share, atol=0.02)


def test_what_comes_later_changes_no_earlier_count(fashion):
    changed = fashion._replace(item=np.where(fashion.moment >= 600, 3, fashion.item))
    begins = np.searchsorted(fashion.moment, np.arange(1000))
    tables = [[*popularity._tables(one, begins, 10)] for one in (fashion, changed)]
    np.testing.assert_array_equal(tables[0][600], tables[1][600])
    assert not np.array_equal(tables[0][601], tables[1][601])


def test_moments_share_rows_where_there_are_many_items(fashion, monkeypatch):
    monkeypatch.setattr(popularity, "_CELLS", 10 * 100)
    found = forecast(fashion, 10, 1000)
    assert (found.merged, found.of_moments.shape) == (10, (100, 10))


def test_without_rows_nothing_is_popular():
    nothing = np.zeros(0, np.int64)
    found = forecast(Interactions(nothing, nothing, nothing), 3, 2)
    assert not found.now.any() and not found.of_moments.any()
