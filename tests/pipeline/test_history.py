"""What is kept of every run into a directory."""

import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from models.errors import UserError
from pipeline import history
from pipeline.cli import cli
from pipeline.outputs import locked

FIGURES = {"top_100": 0.24, "ndcg_at_10": 0.022, "ndcg_at_10_after": 0.03}
FIGURES |= {"baseline": "recent_popularity", "baseline_top_100": 0.17}


def shown(entries):
    text = io.StringIO()
    history.show(entries, Console(file=text, width=200))
    return text.getvalue()


def three_runs(directory):
    """One that pushes, one that the data stops, and one that is killed."""
    with history.recorded(directory, "shop", "2026-11-01") as entry:
        entry |= {"verdict": "pushed", "version": "17", "because": [], "figures": FIGURES, "interactions": 1000}
    with pytest.raises(UserError), history.recorded(directory, "shop", "2026-11-02"):
        raise UserError("the data is not\nlike that of the live model")
    killed = history.recorded(directory, "shop", "2026-11-03")
    killed.__enter__()
    return killed


def test_runs_are_listed_with_how_they_ended(tmp_path):
    killed = three_runs(str(tmp_path))
    entries = history.read(str(tmp_path))
    assert [(entry["span"], entry["verdict"]) for entry in entries] == [
        ("2026-11-01", "pushed"),
        ("2026-11-02", "stopped"),
        ("2026-11-03", "killed"),
    ]
    assert entries[1]["because"] == ["the data is not like that of the live model"]
    assert all(entry["seconds"] >= 0 for entry in entries[:2])
    text = shown(entries)
    assert "0.2400" in text and "0.1700" in text and "17" in text
    assert "the data is not like that of the live model" in text
    with locked(str(tmp_path)):
        assert history.read(str(tmp_path))[-1]["verdict"] == "running"
    killed.__exit__(None, None, None)


def test_a_line_that_was_cut_off_costs_that_line_alone(tmp_path):
    killed = three_runs(str(tmp_path))
    path = tmp_path / history.HISTORY_FILE
    path.write_text(path.read_text().rstrip("\n")[:-9])
    with history.recorded(str(tmp_path), "shop", "2026-11-04") as entry:
        entry["verdict"] = "refused"
    assert [entry["span"] for entry in history.read(str(tmp_path))] == ["2026-11-01", "2026-11-02", "2026-11-04"]
    assert json.loads(path.read_text().splitlines()[-1])["verdict"] == "refused"
    killed.__exit__(None, None, None)


def test_without_a_run_the_remedy_is_said(tmp_path):
    assert history.read(str(tmp_path)) == []
    asked = CliRunner().invoke(cli, ["history", "--output", str(tmp_path)])
    assert isinstance(asked.exception, UserError) and "is the first" in str(asked.exception)
