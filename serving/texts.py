"""Texts of the data as a terminal shows them."""

from __future__ import annotations

import re

# Control characters, line ends among them, Unicode's own line ends, and what changes the direction of what follows.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


def one_line(text: str) -> str:
    """A title, an id or a message on one line, with a blank in place of what would end it or steer the terminal."""
    return _UNPRINTABLE.sub(" ", text)
