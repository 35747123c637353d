"""What the command is told, checks and shows."""

import io

import numpy as np
import pytest
from rich.console import Console

from benchmarks.quality import ablations, command, tables
from benchmarks.quality.dataset import FROZEN, LIVE
from benchmarks.quality.measure import Answers
from models.errors import UserError
from pipeline.config import load_config
from pipeline.data.generator import write_generated
from pipeline.data.settings import Generated
from pipeline.errors import RunError
from tests.benchmarks.conftest import dataset


def test_models_are_known_by_name():
    assert command.model_names(None, repeats=False)[-1] == "ours"
    assert "own_history" not in command.model_names(None, repeats=False)
    assert command.model_names("ours, popularity", repeats=False) == ["popularity", "ours"]
    for wrong in ("slim", "own_history", ""):
        with pytest.raises(UserError, match="is none of popularity, recent_popularity, item_to_item"):
            command.model_names(wrong, repeats=False)


def test_figures_that_differ_from_the_evaluators_are_an_error():
    answers = Answers(np.array([1.0, 200.0] * 500), np.zeros((1_000, 10), int))
    reported = {"filtered_top_100_categorical_accuracy": 0.5, "filtered_ndcg_at_10": 0.5}
    command._check_agreement("ours", reported, answers, 0)
    reported["filtered_ndcg_at_10"] = 0.504
    command._check_agreement("ours", reported, answers, 5)
    with pytest.raises(RunError, match="ndcg_at_10 of popularity is"):
        command._check_agreement("popularity", reported, answers, 0)


def of_items(*ranks):
    """Answers to two queries."""
    return Answers(np.array(ranks), np.array([[0, 1], [2, 1]]))


def test_repeats_and_new_items_warm_and_cold_users_are_told_apart():
    data = dataset([(0, 0, 1), (0, 1, 2)], [(0, 1, 3), (1, 0, 3)], 3, repeats=True)
    found = command._figures([{FROZEN: of_items(1.0, 3.0)}, {FROZEN: of_items(2.0, 3.0)}], FROZEN, data)
    assert found["top_1"] == 0.25 and found["mrr"] == pytest.approx((0.75 + 1 / 3) / 2)
    groups = {name: figures["mrr"] for name, figures in found["groups"].items()}
    assert groups == pytest.approx({"warm": 0.75, "cold": 1 / 3, "repeat": 0.75, "new": 1 / 3})
    assert found["beyond"]["coverage"] == 1


def test_the_tables_have_intervals_and_choices():
    data = dataset([(0, 0, 1)], [(0, 1, 3), (1, 2, 3)], 3, "global_temporal")
    answers = [{name: of_items(1.0, 101.0) for name in (FROZEN, LIVE)}]
    ranked = [{name: of_items(1.0, np.inf)._replace(length=10) for name in (FROZEN, LIVE)}]
    models = {"ease": answers, "ours, ranked": ranked}
    choice = {"fitted": {"lambda": 300.0}, "asked": {FROZEN: {"tau": "1 day", "c": 0.05}, LIVE: {"tau": "inf"}}}
    result = {
        "data": "small",
        "split": "global_temporal",
        "seeds": 1,
        "queries": 2,
        "users": 2,
        "items": 3,
        "histories": {
            history: {name: command._figures(of_seeds, history, data) for name, of_seeds in models.items()}
            for history in (FROZEN, LIVE)
        },
        "seconds": {"ease": 1.5},
        "chosen": {"popularity": {"fitted": {}, "asked": {FROZEN: {}}}, "ease": choice},
        "left_out": {"sasrec": "too much"},
        "pipeline": {"rmse": 0.8, "new_user_with_3_top_100": 0.2},
    }
    console = Console(file=io.StringIO(), width=150)
    tables.show(result, console)
    shown = console.file.getvalue()
    for text in (
        "frozen histories",
        "live histories, by user",
        "0.5000 ±.5000",
        "ease: lambda 300; frozen: tau 1 day, c 0.05; live: tau inf",
        "sasrec is left out: too much",
        "ours: rmse 0.8000",
    ):
        assert text in shown
    same = {"fitted": {}, "asked": {FROZEN: {"days": 7}, LIVE: {"days": 7}}}
    assert tables.choice_text("recent_popularity", same) == "recent_popularity: days 7"
    assert tables.choice_text("popularity", {"fitted": {}, "asked": {FROZEN: {}}}) == ""


KINDS = {"movielens-csv": "ratings", "purchases": "purchases"}


def generated(name, kind, directory):
    write_generated(Generated(kind=kind, interactions=1000), str(directory))
    return load_config(name, data__directory=str(directory))


def test_parts_that_a_model_does_not_have_are_not_left_out(tmp_path):
    """Ratings have positives and do not repeat; the generated purchases repeat, and their kinds of events differ."""
    parts = {name: set(ablations.applicable(generated(name, kind, tmp_path / name))) for name, kind in KINDS.items()}
    assert set(ablations.ABLATIONS) - parts["movielens-csv"] == {"forgetting the latest of the history"}
    assert set(ablations.ABLATIONS) == parts["purchases"]


def test_every_ablation_changes_one_value_of_the_default_configuration():
    config = load_config("movielens-csv", data__directory=".")
    default = config.model_dump()
    for part, (key, value) in ablations.ABLATIONS.items():
        section, name = key.split(".")
        changed = ablations.changed(config, key, value).model_dump()
        assert changed[section][name] == value != default[section][name] or part == "nothing"
        assert {k for k in default if default[k] != changed[k]} <= {section}
