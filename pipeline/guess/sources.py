"""The tables in a directory: their files, how they are written, and the beginning of every column."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from components.tables import blocks, values
from components.tables.files import table_files
from components.tables.look import look
from components.tables.settings import Table, codec_of, unpacked
from models.errors import UserError

_ENDINGS = (".csv", ".tsv", ".tab", ".dat", ".data", ".txt", ".inter", ".item", ".user", ".parquet", ".pq", ".parq")
_ENCODINGS = ("utf-8", "utf-16", "cp1252")
_DELIMITERS = ("::", "\t", ";", "|", ",")
_LINES, _BYTES = 50, 2**18
_NUMBER = re.compile(r"\d+([-_]\d+)*")  # Or a day.
_SPAN = re.compile(r"\d[\d_-]*")
_PROBE = "column "  # Starts our name of a column that is only looked at.
_PARQUET_ROWS = 200_000

Layout = dict[str, str | bool]


class Source(NamedTuple):
    """A table.

    Attributes:
      layout: how it is written, as keys of a table in a configuration; `file` among them.
      columns: the beginning of each column by its name, or its position where there is no header: texts as they stand,
        or what a Parquet file has.
      notes: what was not sure, in words.
    """

    layout: Layout
    columns: dict[str | int, pa.Array]
    notes: list[str]

    @property
    def rows(self) -> int:
        """How many were looked at."""
        return min(map(len, self.columns.values()), default=0)


def find(directory: str) -> tuple[list[Source], list[str]]:
    """The tables of a directory, and for each file that was passed over why.

    Raises:
      UserError: there is no such directory, or no table in it.
    """
    if not os.path.isdir(directory):
        raise UserError(f"{directory}: no such directory")
    found, passed = [], []
    for name in _names_in(directory):
        files = [file for file in table_files(directory, Table(file=name, columns={})) if _is_table(file)]
        if not files:
            continue
        try:
            source = _source(directory, name, files)
        except (UserError, pa.ArrowException, OSError) as error:
            passed.append(f"{name} was passed over: {error}")
            continue
        if source.rows:
            found.append(source)
        else:
            passed.append(f"{name} was passed over: it has no rows")
    if not found:
        raise UserError(
            "; ".join([f"{directory}: no table that can be read (CSV, TSV or Parquet, also packed)", *passed])
        )
    return found, passed


def holds_deliveries(directory: str) -> bool:
    """Whether a directory holds nothing but deliveries: directories with tables, called after days or numbers."""
    names = [name for name in os.listdir(directory) if not name.startswith((".", "_"))]
    return bool(names) and all(_SPAN.fullmatch(name) and _several(os.path.join(directory, name)) for name in names)


def _several(path: str) -> bool:
    """Whether it is a directory that has tables by their names, and no parts of one."""
    inside = os.listdir(path) if os.path.isdir(path) else []
    return any(map(_is_table, inside)) and not any(_NUMBER.search(one) for one in inside)


def _names_in(directory: str) -> list[str]:
    """Files and directories that may be tables; those that differ in a number alone are parts of one, as a pattern."""
    parts: dict[str, list[str]] = {}
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if not name.startswith((".", "_")) and (os.path.isdir(path) or _is_table(name)):
            parts.setdefault(_NUMBER.sub("*", name), []).append(name)
    return [pattern if len(names) > 1 else names[0] for pattern, names in parts.items()]


def _is_table(name: str) -> bool:
    return unpacked(name).endswith(_ENDINGS)


def _source(directory: str, name: str, files: list[str]) -> Source:
    if Table(file=name, columns={}).format_of(files[0]) == "parquet":
        file = blocks.open_parquet(files[0])
        batch = next(file.iter_batches(_PARQUET_ROWS), None)
        columns = {} if batch is None else dict(_flat("", batch.schema.names, batch.columns))
        parts = [column for column, array in columns.items() if _has_parts(array.type)]
        notes = [f"{column} is not used: its entries have fields; declare one of those by its path" for column in parts]
        return Source({"file": name}, {one: columns[one] for one in columns if one not in parts}, notes)
    layout, notes = _sniffed(name, files[0])
    names = _names(files[0], layout)
    probes = {f"{_PROBE}{place}": column for place, column in enumerate(names)}
    table = Table.model_validate(layout | {"columns": probes})
    try:
        rows = look(files, table).rows
    except UserError:
        layout["quoting"] = "none"  # A quote in a text that nobody quoted.
        rows = look(files, Table.model_validate(layout | {"columns": probes})).rows
        notes.append("quotes stand inside of texts, so they are taken as they are")
    columns = {
        column: pa.concat_arrays([part.columns[probe] for part in rows]) if rows else pa.array([], pa.string())
        for probe, column in probes.items()
    }
    return Source(layout, columns, notes)


def _flat(above: str, names: Sequence[str], columns: Sequence[pa.Array]) -> Iterator[tuple[str, pa.Array]]:
    """Columns by name, and those inside of others by their path."""
    for name, column in zip(names, columns, strict=True):
        if pa.types.is_struct(column.type):
            inside = [column.type[place].name for place in range(column.type.num_fields)]
            yield from _flat(f"{above}{name}.", inside, column.flatten())
        else:
            yield f"{above}{name}", column


def _has_parts(kind: pa.DataType) -> bool:
    return (
        values.is_list(kind) and not pa.types.is_primitive(kind.value_type) and not pa.types.is_string(kind.value_type)
    )


def _sniffed(name: str, path: str) -> tuple[Layout, list[str]]:
    """How a text file is written."""
    data = _beginning(path)
    notes: list[str] = []
    for encoding in _ENCODINGS:
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        if encoding != "utf-16" or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            break
    layout: Layout = {"file": name}
    if encoding != "utf-8":
        layout["encoding"] = encoding
        notes.append(f"the text is not UTF-8; it reads as {encoding}")
    lines = [line for line in text.lstrip("\ufeff").splitlines()[:_LINES] if line.strip()]
    delimiter = _delimiter(lines)
    if delimiter != Table(file=name, columns={}).delimiter_of(path):
        layout["delimiter"] = delimiter
    if not _has_header([line.split(delimiter) for line in lines]):
        layout["header"] = False
        notes.append("the first line looks like the others, so it is taken for data, and columns go by their position")
    return layout, notes


def _beginning(path: str) -> bytes:
    """Whole lines, of some 256 KiB."""
    with pa.input_stream(path, compression=codec_of(path)) as file:
        data = file.read(_BYTES)
    return data[: data.rfind(b"\n") + 1] or data if len(data) == _BYTES else data


def _delimiter(lines: list[str]) -> str:
    """The one that stands equally often in most lines, more often than others."""

    def score(delimiter: str) -> tuple[float, int]:
        (often, number), *_ = Counter(line.count(delimiter) for line in lines).most_common(1)
        return (number / len(lines) if often else 0.0, often * len(delimiter))

    return max(_DELIMITERS, key=score, default=",") if lines else ","


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row has names: no numbers, no empty field, none twice, and none that comes again below."""
    if not rows:
        return False
    first = [field.strip('" ') for field in rows[0]]
    below = {(place, field.strip('" ')) for row in rows[1:] for place, field in enumerate(row)}
    names = len({*first}) == len(first) and not any(not field or _is_number(field) for field in first)
    return names and below.isdisjoint(enumerate(first))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _names(path: str, layout: Layout) -> list[str | int]:
    table = Table.model_validate(layout | {"columns": {}})
    block = next(blocks.blocks(path, table), None)
    if block is None:
        return []
    if block.header is not None:
        return list(block.header)
    line = _beginning(path).decode(str(layout.get("encoding", "utf-8"))).splitlines()[0]
    return list(range(len(line.split(table.delimiter_of(path)))))
