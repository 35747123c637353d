"""What the demo prints of a server's answers."""

import io

from rich.console import Console

from pipeline import demo
from tests.serving.conftest import export_shelf


def test_titles_are_shown_as_they_stand_on_one_line_each(tmp_path, monkeypatch):
    export_shelf(tmp_path / "model")
    monkeypatch.setattr(demo, "_KNOWN_USER", "-5")
    console = Console(file=io.StringIO(), width=120)
    demo.show_answers(str(tmp_path / "model"), console)
    cells = [[cell.strip() for cell in line.split("│")] for line in console.file.getvalue().splitlines()]
    shown = [row[1:5] for row in cells if len(row) == 6]
    assert shown[0] == ["[bold]One[/bold] two", "3.000"] * 2
    assert shown[1] == ["Two", "2.000"] * 2
    assert "User -5" in console.file.getvalue()
