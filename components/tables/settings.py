"""How the source tables are laid out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import Field, model_validator

from models.features import declared
from models.settings import Settings


class Table(Settings):
    """How one table is stored, and which of its columns are ours."""

    file: str  # A file name or glob, relative to the data directory.
    format: Literal["csv", "parquet"] = "csv"
    delimiter: str = ","
    header: bool = True  # False: columns are named by their position, from 0.
    encoding: str = "utf-8"
    columns: dict[str, str | int]  # Our name -> name or position of the column.
    flags: dict[str, str | int] = {}  # Tag -> column that holds 1 where the item has it.
    separator: str = "|"  # Between the tags in one field.
    empty: list[str] = []  # Tags that mean "none".
    optional: bool = False  # True: the table may be absent.

    @model_validator(mode="after")
    def _columns_without_header_are_positions(self) -> Table:
        for field, column in (self.columns | self.flags).items():
            if self.format == "csv" and not self.header and not isinstance(column, int):
                raise ValueError(
                    f"{field}: {column!r} is not a position: without a header, give columns by number, from 0"
                )
        return self


class Tables(Settings):
    """The layout of all tables."""

    interactions: Table
    items: Table
    users: Table | None = None
    max_rejected_share: float = Field(0.01, ge=0, le=1)

    @model_validator(mode="after")
    def _columns_are_fields(self) -> Tables:
        _check_columns("interactions", self.interactions, declared.INTERACTION_FIELDS, declared.INTERACTION_FIELDS)
        _check_columns("items", self.items, declared.ITEM_FIELDS, [declared.ITEM_ID.name])
        if self.users:
            _check_columns("users", self.users, declared.USER_FIELDS, [declared.USER_ID.name])
        return self

    def by_name(self) -> dict[str, Table]:
        """The tables that there are."""
        tables = {"interactions": self.interactions, "items": self.items, "users": self.users}
        return {name: table for name, table in tables.items() if table}


def _check_columns(name: str, table: Table, known: Collection[str], needed: Collection[str]) -> None:
    for field in needed:
        if field not in table.columns:
            raise ValueError(f"{name}.columns has no {field}: map it to one of the table's columns")
    for field in table.columns:
        if field not in known:
            raise ValueError(f"{name}.columns has the unknown field {field!r}; known are {', '.join(known)}")
