"""Where a run's data comes from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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
    # One delivery, all of the data; "latest" is the greatest name there is.
    span: str = Field("latest", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    generated: Generated | None = None

    def layout(self) -> Tables:
        """The tables alone, wherever they are."""
        return Tables.model_validate(self.model_dump(include=set(Tables.model_fields)))
