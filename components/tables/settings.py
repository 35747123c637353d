"""How the source tables are laid out."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from pydantic import Field, model_validator

from models.features import names as n
from models.features.feature_set import FeatureSet
from models.features.kinds import Column, Declared, Tags, Text
from models.settings import Settings


class Table(Settings):
    """How one table is stored, and which of its columns are ours."""

    file: str  # A file name or glob, relative to the data directory.
    format: Literal["csv", "parquet"] = "csv"
    delimiter: str = ","
    header: bool = True  # False: columns are named by their position, from 0.
    encoding: str = "utf-8"
    columns: dict[str, Column]  # Our name -> name or position of the column.
    optional: bool = False  # True: the table may be absent.

    def source_columns(self) -> dict[str, str | int]:
        """Our names of all columns that are read, and where they stand."""
        return dict(self.columns)

    def separator(self, name: str) -> str:
        """Between the values of a column that holds lists."""
        return "|"

    @model_validator(mode="after")
    def _columns_without_header_are_positions(self) -> Table:
        for field, column in self.source_columns().items():
            if self.format == "csv" and not self.header and not isinstance(column, int):
                raise ValueError(
                    f".columns.{field}: {column!r} is not a position: without a header, give columns by number, from 0"
                )
        return self


class EntityTable(Table):
    """A table of items or users: what it says of each, by kind."""

    features: dict[str, Declared] = {}

    def source_columns(self) -> dict[str, str | int]:
        columns = dict(self.columns)
        for name, feature in self.features.items():
            if isinstance(feature, Tags) and feature.flags:
                columns |= {f"{name}:{tag}": column for tag, column in feature.flags.items()}
            else:
                columns[name] = name if feature.column is None else feature.column
        return columns

    def separator(self, name: str) -> str:
        feature = self.features.get(name)
        return feature.separator if isinstance(feature, Tags) else super().separator(name)


class Tables(Settings):
    """The layout of all tables."""

    interactions: Table
    items: EntityTable
    users: EntityTable | None = None
    max_rejected_share: float = Field(0.01, ge=0, le=1)

    @model_validator(mode="after")
    def _columns_are_fields(self) -> Tables:
        needed = [n.USER_ID, n.ITEM_ID, n.TIMESTAMP]
        _check_columns("interactions", self.interactions, [*needed, n.RATING], needed)
        _check_columns("items", self.items, [n.ITEM_ID, n.TITLE], [n.ITEM_ID])
        _check_features("items", self.items, n.RESERVED)
        if self.users:
            _check_columns("users", self.users, [n.USER_ID], [n.USER_ID])
            _check_features("users", self.users, n.RESERVED | self.items.features.keys())
            for name, feature in self.users.features.items():
                if feature.kind not in ("category", "number"):
                    raise ValueError(f".users.features.{name}.kind: users have features of kind category or number")
        return self

    def features(self, *, with_users: bool) -> FeatureSet:
        """What the tables tell of items and, where their table is there, of users."""
        titles = {n.TITLE: Text()} if n.TITLE in self.items.columns else {}
        users = self.users.features if self.users and with_users else {}
        rated = n.RATING in self.interactions.columns
        return FeatureSet(items=titles | self.items.features, users=users, rated=rated)

    def by_name(self) -> dict[str, Table]:
        """The tables that there are."""
        tables = {"interactions": self.interactions, "items": self.items, "users": self.users}
        return {name: table for name, table in tables.items() if table}


def _check_columns(name: str, table: Table, known: Collection[str], needed: Collection[str]) -> None:
    for field in needed:
        if field not in table.columns:
            raise ValueError(f".{name}.columns has no {field}: map it to one of the table's columns")
    for field in table.columns:
        if field not in known:
            raise ValueError(f".{name}.columns has the unknown field {field!r}; known are {', '.join(known)}")


def _check_features(name: str, table: EntityTable, taken: Collection[str]) -> None:
    for feature in table.features:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", feature):
            raise ValueError(f".{name}.features.{feature}: name it with letters, digits and _, a letter first")
        if feature in taken:
            raise ValueError(f".{name}.features.{feature}: the name is taken; choose another, and give `column`")
