"""How the source tables are laid out."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from models.features import names as n
from models.features.feature_set import FeatureSet, Histories
from models.features.kinds import Column, Declared, Tags, Text
from models.settings import Settings

WHERE = "where:"  # Starts our names of the columns that conditions look at.


class Table(Settings):
    """How one table is stored, and which of its columns are ours."""

    file: str  # A file name or glob, relative to the data directory. What ends in .gz is unpacked.
    format: Literal["csv", "parquet"] | None = None  # By default what the file's name ends in; else csv.
    delimiter: str | None = None  # By default a tabulator where the name ends in .tsv; else a comma.
    header: bool = True  # False: columns are named by their position, from 0.
    encoding: str = "utf-8"
    columns: dict[str, Column]  # Our name -> name or position of the column.
    optional: bool = False  # True: the table may be absent.

    @model_validator(mode="after")
    def _by_ending(self) -> Table:
        name = self.file.removesuffix(".gz")
        if self.format is None:
            self.format = "parquet" if name.endswith((".parquet", ".pq")) else "csv"
        if self.delimiter is None:
            self.delimiter = "\t" if name.endswith(".tsv") else ","
        return self

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


class Time(Settings):
    """How a column of times is written."""

    unit: str = "s"  # s, ms, us, ns: numbers since 1970; iso; or a format of strptime, as "%d/%m/%Y %H:%M".
    time_zone: str = "UTC"  # Of times that do not say it.

    @field_validator("unit")
    @classmethod
    def _known(cls, unit: str) -> str:
        if unit not in ("s", "ms", "us", "ns", "iso") and "%" not in unit:
            raise ValueError(f"{unit!r} is none of s, ms, us, ns, iso, nor a strptime format such as %Y-%m-%d")
        return unit

    @field_validator("time_zone")
    @classmethod
    def _there_is_one(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"there is no time zone {name!r}; give one as Europe/Berlin") from None
        return name


class Condition(Settings):
    """What a column's value has to be for a row to count: all that is given has to hold."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    one_of: list[str] | None = None

    @model_validator(mode="after")
    def _something(self) -> Condition:
        if not self.model_dump(exclude_none=True):
            raise ValueError("give above, at_least, below, at_most or one_of")
        return self


class InteractionTable(Table):
    """The table of interactions: which rows count, and what they tell beside user, item and time."""

    timestamp: Time = Time()
    require: list[str] = []  # Our fields without which a row does not count; it is left out, and not rejected.
    where: dict[str, Condition] = {}  # Column -> condition that a row has to meet to count.
    events: dict[str, float] = {}  # Weight in training of each kind of event; others are left out.
    positive: float | list[str] | None = None  # Ratings from here on, or these kinds of events; None: everything.
    context: dict[str, Declared] = {}  # Features of an interaction that a request brings with it.

    @field_validator("positive", mode="before")
    @classmethod
    def _limit_or_kinds(cls, given: Any) -> Any:
        kinds = given if isinstance(given, list) else []
        if isinstance(given, (str, dict)) or not all(isinstance(kind, str) for kind in kinds):
            raise ValueError("give the rating that it begins at, or a list of kinds of events")
        return given

    def source_columns(self) -> dict[str, str | int]:
        context = {name: _column(name, feature) for name, feature in self.context.items()}
        return self.columns | context | {f"{WHERE}{column}": self._source(column) for column in self.where}

    def _source(self, column: str) -> str | int:
        return int(column) if not self.header and column.isdigit() else column

    @model_validator(mode="after")
    def _consistent(self) -> InteractionTable:
        for name in self.require:
            if name not in self.columns:
                raise ValueError(f".require: {name!r} is not among columns, which has {', '.join(self.columns)}")
        if self.events and n.EVENT not in self.columns:
            raise ValueError(".events: map `event` in columns to the column that holds them")
        for event, weight in self.events.items():
            if not weight > 0:
                raise ValueError(f".events.{event}: the weight has to be above 0; a kind that is not named is left out")
        if isinstance(self.positive, list):
            if n.EVENT not in self.columns:
                raise ValueError(".positive: kinds of events need `event` in columns")
            if unknown := [kind for kind in self.positive if self.events and kind not in self.events]:
                raise ValueError(f".positive: {unknown[0]!r} is not among events, which has {', '.join(self.events)}")
        elif self.positive is not None and n.RATING not in self.columns:
            raise ValueError(".positive: a limit needs `rating` in columns")
        for name, feature in self.context.items():
            if feature.kind not in ("category", "number"):
                raise ValueError(f".context.{name}.kind: a context has features of kind category or number")
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
                columns[name] = _column(name, feature)
        return columns

    def separator(self, name: str) -> str:
        feature = self.features.get(name)
        return feature.separator if isinstance(feature, Tags) else super().separator(name)


def _column(name: str, feature: Declared) -> str | int:
    return name if feature.column is None else feature.column


class Tables(Settings):
    """The layout of all tables."""

    interactions: InteractionTable
    items: EntityTable | None = None  # None: the items are those of the interactions.
    users: EntityTable | None = None
    max_rejected_share: float = Field(0.01, ge=0, le=1)

    @model_validator(mode="after")
    def _columns_are_fields(self) -> Tables:
        needed = [n.USER_ID, n.ITEM_ID, n.TIMESTAMP]
        _check_columns("interactions", self.interactions, [*needed, n.RATING, n.EVENT], needed)
        _check_names("interactions.context", self.interactions.context, n.RESERVED)
        taken = n.RESERVED | self.interactions.context.keys()
        if self.items:
            _check_columns("items", self.items, [n.ITEM_ID, n.TITLE], [n.ITEM_ID])
            _check_names("items.features", self.items.features, taken)
            taken |= self.items.features.keys()
        if self.users:
            _check_columns("users", self.users, [n.USER_ID], [n.USER_ID])
            _check_names("users.features", self.users.features, taken)
        return self

    def features(self, histories: Histories, *, with_users: bool) -> FeatureSet:
        """What the tables tell of interactions, items and, where their table is there, of users."""
        titles = {n.TITLE: Text()} if self.items and n.TITLE in self.items.columns else {}
        rows = self.interactions
        return FeatureSet(
            items=titles | (self.items.features if self.items else {}),
            users=self.users.features if self.users and with_users else {},
            context=rows.context,
            rated=n.RATING in rows.columns,
            events=rows.events if n.EVENT in rows.columns else None,
            positive=rows.positive,
            histories=histories,
        )

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


def _check_names(path: str, features: Collection[str], taken: Collection[str]) -> None:
    for feature in features:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", feature):
            raise ValueError(f".{path}.{feature}: name it with letters, digits and _, a letter first")
        if feature in taken:
            raise ValueError(f".{path}.{feature}: the name is taken; choose another, and give `column`")
