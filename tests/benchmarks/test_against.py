"""A benchmark here and in a checkout whose figures are known."""

import json
import textwrap

import pytest
from click.testing import CliRunner

from benchmarks import against
from benchmarks.cli import benchmark
from models.errors import UserError


@pytest.fixture
def checkout(tmp_path):
    """Makes a checkout whose benchmark writes the figures given, and what it was called with."""

    def made(name, figures):
        file = tmp_path / name / "pipeline" / "cli.py"
        file.parent.mkdir(parents=True)
        code = f"""
            import sys
            with open(sys.argv[-1], "w") as file:
                file.write({json.dumps(figures)!r})
            with open("called", "a") as file:
                file.write(" ".join(sys.argv[1:-2]) + "\\n")
        """
        file.write_text(textwrap.dedent(code))
        return tmp_path / name

    return made


def run(*arguments):
    return CliRunner().invoke(benchmark, ["against", *map(str, arguments)], catch_exceptions=False)


def test_figures_of_both_stand_side_by_side(checkout, monkeypatch, tmp_path):
    before = checkout("before", {"speed": {"a": 2.0, "old": 1}, "name": "x"})
    after = checkout("after", {"speed": {"a": 5.0}, "sizes": [7]})
    monkeypatch.setattr(against, "_HERE", after)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    done = run("--rounds", 2, before, "training", "--data", "data", "--epochs", 3)
    rows = [line.split() for line in done.output.splitlines() if "│" in line]
    cells = [[cell for cell in row if cell != "│"] for row in rows]
    assert ["speed.a", "2", "5", "2.50"] in cells
    assert ["speed.old", "1", "-", "-"] in cells and ["sizes.0", "-", "7", "-"] in cells
    called = f"benchmark training --data {tmp_path / 'data'} --epochs 3\n"
    assert (before / "called").read_text() == (after / "called").read_text() == 2 * called


def test_what_cannot_be_compared_is_said(checkout, monkeypatch, tmp_path):
    before, after = checkout("before", {"a": 1}), checkout("after", {"b": 1})
    monkeypatch.setattr(against, "_HERE", after)
    with pytest.raises(UserError, match="no checkout of this project: `git worktree add"):
        run(tmp_path, "index")
    with pytest.raises(UserError, match="other figures"):
        run(before, "index")
    (after / "pipeline" / "cli.py").write_text("raise SystemExit(3)")
    with pytest.raises(UserError, match=f"`benchmark index` failed in {after}"):
        run(before, "index")
