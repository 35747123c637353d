"""How the source tables are laid out."""

from __future__ import annotations

import codecs
import datetime
import os
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from models.features import names as n
from models.features.feature_set import FeatureSet, Histories
from models.features.kinds import FILTERABLE, Column, Declared, Tags, Text
from models.features.texts import unescaped
from models.settings import Settings

WHERE = "where:"  # Starts our names of the columns that conditions look at.

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # Of numeric times, per second.


# How a column's values are used, and so which values it may hold.
Role = Literal["id", "time", "number", "tags", "vector", "text"]

# Arrow's names of how files are packed, by their endings: they are unpacked as they are read.
_PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4", ".br": "brotli"}


class Condition(Settings):
    """What a column's value has to be for a row to count: all that is given has to hold."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    one_of: list[str] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _something(self) -> Condition:
        if not self.model_dump(exclude_none=True):
            raise ValueError("give above, at_least, below, at_most or one_of")
        return self


class Table(Settings):
    """How one table is stored, and which of its columns are ours."""

    file: str = Field(min_length=1)  # A file, a directory of part files, or a glob, relative to the data directory.
    format: Literal["csv", "parquet"] | None = None  # By default what a file's name ends in; else csv.
    delimiter: str | None = None  # By default a tabulator where the name ends in .tsv; else a comma.
    # What a quote is: by default CSV's, refused where it seems to take in rows; `standard`: CSV's; `none`: text.
    quoting: Literal["standard", "none"] | None = None
    escape: str | None = None  # Takes its meaning from the character after it, as in "The \\"Best\\"".
    decimal: Literal[".", ","] = "."  # Before the fraction of a number.
    header: bool = True  # False: columns are named by their position, from 0.
    encoding: str = "utf-8"
    columns: dict[str, Column]  # Our name -> name or position of the column.
    optional: bool = False  # True: the table may be absent.
    require: list[str] = []  # Our fields without which a row does not count; it is left out, and not rejected.
    where: dict[str, Condition] = {}  # Column -> condition that a row has to meet to count.

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, given: str | None) -> str | None:
        if given is not None and (not given or set(given) & set('"\r\n')):
            raise ValueError(f'{given!r} cannot stand between fields: give another, as ",", ";" or "\\t"')
        return given if given is None else unescaped(given)

    @field_validator("escape")
    @classmethod
    def _one_character(cls, given: str | None) -> str | None:
        if given is not None and (len(given) != 1 or given in '"\r\n' or ord(given) > 127):
            raise ValueError(f'{given!r} is not one plain character, as "\\\\" is')
        return given

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, name: str) -> str:
        try:
            known = codecs.lookup(name)._is_text_encoding and 'a"\n'.encode(name).decode(name) == 'a"\n'
        except (LookupError, ValueError):  # Of which a UnicodeError is one.
            known = False
        if not known:
            raise ValueError(
                f"there is no encoding {name!r}; give one of Python's, as utf-8 (with or without a byte order mark), "
                "utf-16, latin-1 or cp1252"
            )
        return name

    @model_validator(mode="after")
    def _unlike(self) -> Table:
        if self.escape is not None and self.escape == self.delimiter:
            raise ValueError(f".escape: {self.escape!r} is the delimiter, too")
        return self

    def format_of(self, path: str) -> str:
        """How a file of the table is stored."""
        if self.format:
            return self.format
        return "parquet" if unpacked(path).endswith((".parquet", ".pq", ".parq")) else "csv"

    def delimiter_of(self, path: str) -> str:
        """Between the fields of a file of the table, where its own first line does not say another one."""
        return self.delimiter or ("\t" if unpacked(path).endswith((".tsv", ".tab")) else ",")

    def source_columns(self) -> dict[str, str | int]:
        """Our names of all columns that are read, and where they stand."""
        return self.columns | {f"{WHERE}{column}": self._source(column) for column in self.where}

    def role(self, name: str) -> Role:
        """How a column is used, by our name."""
        if name.startswith(WHERE):
            return "text" if self.where[name.removeprefix(WHERE)].one_of is not None else "number"
        return _ROLES.get(name, "text")

    def _source(self, column: str) -> str | int:
        return int(column) if not self.header and column.isdigit() else column

    @model_validator(mode="after")
    def _required_are_there(self) -> Table:
        for name in self.require:
            if name not in self.columns:
                raise ValueError(f".require: {name!r} is not among columns, which has {', '.join(self.columns)}")
        return self

    @model_validator(mode="after")
    def _columns_without_header_are_positions(self) -> Table:
        for field, column in self.source_columns().items():
            if not self.header and self.format != "parquet" and not isinstance(column, int):
                raise ValueError(
                    f".columns.{field}: {column!r} is not a position: without a header, give columns by number, from 0"
                )
        return self


_ROLES: dict[str, Role] = {n.USER_ID: "id", n.ITEM_ID: "id", n.TIMESTAMP: "time", n.RATING: "number"}
_KINDS: dict[str, Role] = {"category": "text", "text": "text", "number": "number", "tags": "tags", "vector": "vector"}


def codec_of(path: str) -> str | None:
    """How a file is packed, by its ending; None: it is not."""
    return _PACKED.get(os.path.splitext(path.lower())[1])


def unpacked(path: str) -> str:
    """A path in small letters, without the ending that says how the file is packed."""
    name = path.lower()
    return os.path.splitext(name)[0] if codec_of(name) else name


class Time(Settings):
    """How a column of times is written."""

    # s, ms, us, ns: numbers since 1970; iso; or a format of strptime, as "%d/%m/%Y %H:%M". By default what the column
    # shows: seconds or iso.
    unit: str | None = None
    time_zone: str = "UTC"  # Of times that do not say it.

    @field_validator("unit")
    @classmethod
    def _known(cls, unit: str | None) -> str | None:
        if unit is None or unit in (*UNITS, "iso"):
            return unit
        if "%" not in unit:
            raise ValueError(f"{unit!r} is none of s, ms, us, ns, iso, nor a strptime format such as %Y-%m-%d")
        moment = datetime.datetime(2021, 3, 4, 5, 6, 7, tzinfo=datetime.timezone.utc)
        try:
            dated = datetime.datetime.strptime(moment.strftime(unit), unit).year == moment.year
        except ValueError as error:
            raise ValueError(f"{unit!r} is no format of strptime: {error}") from None
        if not dated:
            raise ValueError(f"{unit!r} has no year in it, as %Y is")
        return unit

    @field_validator("time_zone")
    @classmethod
    def _there_is_one(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"there is no time zone {name!r}; give one as Europe/Berlin") from None
        return name


class InteractionTable(Table):
    """The table of interactions: what they tell beside user, item and time."""

    timestamp: Time = Time()
    events: dict[str, float] = {}  # Weight in training of each kind of event; others are left out.
    positive: float | list[str] | None = None  # Ratings from here on, or these kinds of events; None: everything.
    context: dict[str, Declared] = {}  # Features of an interaction that a request brings with it.

    @field_validator("positive", mode="before")
    @classmethod
    def _limit_or_kinds(cls, given: Any) -> Any:
        if given == []:
            raise ValueError("names no kind of events; leave it out, and everything is positive")
        kinds = given if isinstance(given, list) else []
        if isinstance(given, (str, dict)) or not all(isinstance(kind, str) for kind in kinds):
            raise ValueError("give the rating that it begins at, or a list of kinds of events")
        return given

    def source_columns(self) -> dict[str, str | int]:
        return super().source_columns() | {name: _column(name, feature) for name, feature in self.context.items()}

    def role(self, name: str) -> Role:
        return _KINDS[self.context[name].kind] if name in self.context else super().role(name)

    @model_validator(mode="after")
    def _consistent(self) -> InteractionTable:
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
        columns = super().source_columns()
        for name, feature in self.features.items():
            if isinstance(feature, Tags) and feature.flags:
                columns |= {f"{name}:{tag}": column for tag, column in feature.flags.items()}
            else:
                columns[name] = _column(name, feature)
        return columns

    def role(self, name: str) -> Role:
        return _KINDS[self.features[name].kind] if name in self.features else super().role(name)


def _column(name: str, feature: Declared) -> str | int:
    return name if feature.column is None else feature.column


class Tables(Settings):
    """The layout of all tables."""

    interactions: InteractionTable
    items: EntityTable | None = None  # None: the items are those of the interactions.
    users: EntityTable | None = None
    max_rejected_share: float = Field(0.01, ge=0, le=1)  # Of interactions and what was rejected.
    # What becomes of a row that repeats an earlier one: an item or user that was there, or the same user, item and
    # second. Merged, it is counted and listed; rejected, it counts as broken.
    duplicates: Literal["merge", "reject"] = "merge"

    @model_validator(mode="after")
    def _columns_are_fields(self) -> Tables:
        needed = [n.USER_ID, n.ITEM_ID, n.TIMESTAMP]
        _check_columns("interactions", self.interactions, [*needed, n.RATING, n.EVENT], needed)
        _check_names("interactions.context", self.interactions.context, n.RESERVED)
        _check_no_filter("interactions.context", self.interactions.context)
        taken = n.RESERVED | self.interactions.context.keys()
        if self.items:
            _check_columns("items", self.items, [n.ITEM_ID, n.TITLE], [n.ITEM_ID])
            _check_names("items.features", self.items.features, taken)
            taken |= self.items.features.keys()
        if self.users:
            _check_columns("users", self.users, [n.USER_ID], [n.USER_ID])
            _check_names("users.features", self.users.features, taken)
            _check_no_filter("users.features", self.users.features)
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

    def in_interactions(self, table: Table) -> bool:
        """Whether a table is the interactions', or is told by their rows."""
        return table.file == self.interactions.file

    def by_name(self) -> dict[str, Table]:
        """The tables that there are."""
        tables = {"interactions": self.interactions, "items": self.items, "users": self.users}
        return {name: table for name, table in tables.items() if table}


_WHY_TIMES = (
    "(times are needed for the order of a history and for evaluation on what came later; dates do, and where there are "
    "none a column that counts up in the order of the interactions)"
)


def _check_columns(name: str, table: Table, known: Collection[str], needed: Collection[str]) -> None:
    for field in needed:
        if field not in table.columns:
            why = f" {_WHY_TIMES}" if field == n.TIMESTAMP else ""
            raise ValueError(f".{name}.columns has no {field}: map it to one of the table's columns{why}")
    for field in table.columns:
        if field not in known:
            raise ValueError(f".{name}.columns has the unknown field {field!r}; known are {', '.join(known)}")


def _check_no_filter(path: str, features: Mapping[str, Declared]) -> None:
    for name, feature in features.items():
        if isinstance(feature, FILTERABLE) and feature.filter:
            raise ValueError(f".{path}.{name}.filter: only features of items filter what is recommended")


def _check_names(path: str, features: Collection[str], taken: Collection[str]) -> None:
    for feature in features:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", feature):
            raise ValueError(f".{path}.{feature}: name it with letters, digits and _, a letter first")
        if feature in taken:
            raise ValueError(f".{path}.{feature}: the name is taken; choose another, and give `column`")
