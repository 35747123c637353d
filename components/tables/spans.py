"""Spans: deliveries of data that lie side by side, as in `s3://shop/interactions/{span}`."""

from __future__ import annotations

import glob
import os
import re

from components import storage
from models.errors import UserError

LATEST = "latest"
_PLACE = "{span}"


def resolve(location: str, span: str) -> tuple[str, str]:
    """Finds the data of a span.

    Args:
      location: a directory; `{span}` in it stands for the span.
      span: its name, or "latest" for the greatest one there is, of letters, digits, `-` and `_`. Numbers in it
        compare by value.

    Returns:
      The directory, and the name of the span; "" where the location has none.

    Raises:
      UserError: the latest is asked for, and there is none, or the store cannot be asked.
    """
    if _PLACE not in location:
        return location, ""
    if span == LATEST:
        span = _latest(location)
    return location.replace(_PLACE, span), span


def _latest(location: str) -> str:
    before, _, after = location.partition(_PLACE)
    parent, prefix = os.path.split(before)
    suffix = after.partition("/")[0]
    names = [os.path.basename(path) for path in storage.glob(os.path.join(glob.escape(parent), "*"))]
    named = re.compile(f"{re.escape(prefix)}([A-Za-z0-9][A-Za-z0-9_-]*){re.escape(suffix)}")
    spans = [match[1] for match in map(named.fullmatch, names) if match]
    if not spans:
        raise UserError(f"{location}: no name there fits {{span}}. Give the directory itself, or the span's name")
    return max(spans, key=_by_value)


def _by_value(name: str) -> list[tuple[int, int, str]]:
    parts = filter(None, re.split(r"([0-9]+)", name))
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
