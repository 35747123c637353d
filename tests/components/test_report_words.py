"""What the report says of figures, in plain numbers."""

import pytest

from components.reporter.headline import headline
from components.reporter.words import of_100, sentences


def lists(top_100, top_10, ndcg, **others):
    """Figures of lists, by their names."""
    named = {"filtered_top_100_categorical_accuracy": top_100, "filtered_top_10_categorical_accuracy": top_10}
    return named | {"filtered_ndcg_at_10": ndcg} | others


METRICS = {
    "retrieval": lists(0.24, 0.045, 0.023),
    "ranking": {"rmse": 0.89, "mae": 0.68, "auc": 0.79},
    "two_stage": {"ndcg_at_10_before": 0.05, "ndcg_at_10_after": 0.054, "gain": 1.08, "gain_upper": 1.14},
    "recommended": {"catalogue_coverage": 0.31, "average_popularity": 100.0, "seen_share": 0.0},
    "baselines": {
        "popularity": lists(0.14, 0.02, 0.010),
        "recent_popularity": lists(0.15, 0.022, 0.011, days=30),
        "live": lists(0.23, 0.044, 0.022, version="17", rmse=0.9, mae=0.69, auc=0.78, catalogue_coverage=0.3),
    },
    "serving": {"milliseconds": {"REST": 4.1, "gRPC": 3.3}},
}
CHOSEN = "hold what the person chose next"
HEIGHT = "is how high what was chosen stands in a list of ten: 1 is always first, 0 never in it"


def said(metrics):
    return [f"{one.value} {one.says}" + "".join(f"; {other}" for other in one.others) for one in sentences(metrics)]


def test_figures_are_said_in_words():
    assert said(METRICS) == [
        f"24 of 100 lists of 100 items {CHOSEN}; popularity: 14; recent popularity: 15; live model: 23",
        f"4.5 of 100 lists of 10 items {CHOSEN}; popularity: 2; recent popularity: 2.2; live model: 4.4",
        f"0.023 {HEIGHT}; popularity: 0.010; recent popularity: 0.011; live model: 0.022",
        "1.08 times as high stand wanted items after the second stage; with 95 % certainty between 1.02 and 1.14",
        "0.68 is how far a predicted rating is off, on average; live model: 0.69",
        "79 of 100 times a wanted item gets more than an unwanted one; live model: 78",
        "31 of 100 items are in somebody's list; live model: 30",
        "3.3 ms is what the server takes for one list",
    ]


def test_what_the_data_or_the_run_does_not_have_is_not_said():
    without = METRICS | {"ranking": {}, "serving": {"milliseconds": None}, "baselines": {"popularity": {}}}
    without["two_stage"] = {"ndcg_at_10_before": 0.0, "ndcg_at_10_after": 0.0, "gain": None, "gain_upper": None}
    assert [line.partition(";")[0] for line in said(without)] == [
        f"24 of 100 lists of 100 items {CHOSEN}",
        f"4.5 of 100 lists of 10 items {CHOSEN}",
        f"0.023 {HEIGHT}",
        "31 of 100 items are in somebody's list",
    ]


def test_a_second_stage_that_changes_nothing():
    same = METRICS | {"two_stage": METRICS["two_stage"] | {"gain": 1.0, "gain_upper": 1.0}}
    assert "±0 is what the second stage changes: lists stay as the first one orders them" in said(same)


@pytest.mark.parametrize(("share", "words"), [(0.0, "0 of 100"), (0.0042, "0.42 of 100"), (0.995, "100 of 100")])
def test_shares_are_so_many_of_a_hundred(share, words):
    assert of_100(share) == words


def test_runs_are_compared_by_the_best_baseline_and_the_live_model():
    figures = headline(METRICS)
    assert (figures["baseline"], figures["baseline_top_100"]) == ("recent_popularity", 0.15)
    assert (figures["top_100"], figures["live_top_100"], figures["live_version"]) == (0.24, 0.23, "17")
    assert (figures["rmse"], figures["live_rmse"]) == (0.89, 0.9)
