"""What a terminal is shown of any text."""

import pytest

from serving.texts import one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Toy Story (1995)", "Toy Story (1995)"),
        ("one\r\ntwo\n", "one two "),
        ("\x1b[31mred\x1b[0m\x07", " [31mred [0m "),
        ("a\tb\u2028c\u2029d\x85e", "a b c d e"),
        ("\u202ederutrevnoc\u202c", " derutrevnoc "),
        ("[bold]x[/bold] <b>&amp;</b>", "[bold]x[/bold] <b>&amp;</b>"),
        (
            "\U0001f468\u200d\U0001f469\u200d\U0001f467  café\u00a0☕",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467  café\u00a0☕",
        ),
    ],
)
def test_what_would_end_a_line_or_steer_a_terminal_is_a_blank(text, shown):
    assert one_line(text) == shown
