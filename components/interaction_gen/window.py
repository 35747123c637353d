"""Whether the deliveries that are read together are all there."""

from __future__ import annotations

import os
from typing import Literal

from components.tables.files import table_files
from components.tables.look import look
from components.tables.settings import Tables
from components.tables.spans import Window
from models.errors import UserError

MissingSpans = Literal["note", "stop"]


def check_window(window: Window, data: Tables, missing_spans: str) -> None:
    """Raises UserError where a span is missing that has to be there, or the newest has no interaction."""
    if window.missing and missing_spans == "stop":
        raise UserError(
            f"{window.newest}: spans are missing {', '.join(window.missing)}, and data.missing_spans is stop: deliver "
            "them, read a shorter window (data.window), or set data.missing_spans=note"
        )
    if len(window.directories) == 1:
        return  # No rows are an error anyway.
    files = table_files(window.newest, data.interactions)
    if files and not look(files, data.interactions).rows:
        place = os.path.join(window.newest, data.interactions.file)
        raise UserError(f"{place} has no rows: the newest span has to hold interactions")
