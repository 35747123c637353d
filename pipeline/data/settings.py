"""Where a run's data comes from."""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import Field, field_validator

from components.interaction_gen.window import MissingSpans
from components.tables import spans
from components.tables.settings import Tables
from models.settings import Settings


class Generated(Settings):
    """Kind and size of the built-in data, which is generated and says so."""

    kind: Literal["ratings", "purchases"] = "ratings"
    users: int = Field(600, ge=2)
    items: int = Field(800, ge=20)
    interactions: int = Field(40_000, ge=100)
    seed: int = 42


class Data(Tables):
    """The tables, and where they are."""

    directory: str | None = None  # `{span}` in it stands for the span.
    # The newest delivery that is read; "latest" is the greatest name there is.
    span: str = Field("latest", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    # How many deliveries are read together; items and users are those of the newest that has them.
    window: int = Field(1, ge=1)
    missing_spans: MissingSpans = "note"  # Where a day or a number between them is not there.
    generated: Generated | None = None

    @field_validator("span", mode="before")
    @classmethod
    def _as_text(cls, given: Any) -> Any:
        """YAML reads 2026-11-24 as a day, and 20261124 as a number."""
        return str(given) if isinstance(given, int | datetime.date) and not isinstance(given, bool) else given

    def deliveries(self) -> spans.Window:
        """Those that are read. Raises UserError as `spans.resolve`."""
        return spans.resolve(self.directory or "", self.span, self.window)

    def layout(self) -> Tables:
        """The tables alone, wherever they are."""
        return Tables.model_validate(self.model_dump(include=set(Tables.model_fields)))
