"""The one text of an id, and what else a column's values come to: texts, numbers, times and lists, by their role.

An id is a text. Whole numbers of any type, as a float or decimal too, are their digits; booleans are 1 and 0; bytes are
UTF-8. Around a text there are no blanks (`models.features.texts`). Where a text column holds whole numbers, `7.0` is 7.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from components.tables.settings import Role
from models.features.texts import WRITTEN_AS_FLOAT, trim

# As an id that a column of numbers has, maybe written as a float: 7.0, or R's 1e+05.
WHOLE_NUMBER = r"^-?(0|[1-9][0-9]*)(\.0+)?$|^-?[1-9](\.[0-9]+)?[eE]\+?[0-9]{1,2}$"
_EXACT = 2.0**53  # Below it a float64 holds every whole number.


class Unfit(Exception):
    """A column that cannot be what it is used as; the text says why and what would do."""


def of_text(texts: pa.Array, role: Role, numeric: bool) -> pa.Array:
    """Texts as they stand in a file; `numeric`: whether the column holds whole numbers."""
    texts = trim(texts)
    characters = texts.buffers()[2]
    held = characters.to_pybytes() if numeric and role in ("id", "text") and characters else b""
    if not any(mark in held for mark in (b".", b"e", b"E")):  # Digits alone, as nearly always.
        return texts
    texts = pc.replace_substring_regex(texts, WRITTEN_AS_FLOAT, r"\1")
    powers = pc.and_(pc.match_substring_regex(texts, "[eE]"), pc.match_substring_regex(texts, WHOLE_NUMBER))
    if not pc.any(powers, min_count=0).as_py():
        return texts
    floats = pc.if_else(powers, texts, None).cast(pa.float64())
    return pc.if_else(powers, pc.fill_null(_of_floats(floats, "text"), ""), texts)


def of_column(column: pa.Array, role: Role, numeric: bool) -> tuple[pa.Array, dict[int, str]]:
    """A typed column to what it is used as.

    Returns:
      [n] values: texts, "" where missing; where the role takes them numbers, timestamps of seconds, or lists of texts
      or numbers, null where missing. And reasons why some values cannot be read, by row.

    Raises:
      Unfit: nothing of its type can be that.
    """
    kind = column.type
    if types.is_dictionary(kind):
        return of_column(column.dictionary_decode(), role, numeric)
    if types.is_null(kind):
        return pa.array([""] * len(column), pa.string()), {}
    if is_list(kind):
        return _of_lists(column, role, numeric)
    if types.is_string(kind) or types.is_large_string(kind):
        return of_text(pc.fill_null(column, "").cast(pa.string()), role, numeric), {}
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        texts, reasons = _decoded(column)
        return of_text(texts, role, numeric), reasons
    if types.is_timestamp(kind) or types.is_date(kind):
        zone = kind.tz if types.is_timestamp(kind) else None
        moments = column.cast(pa.timestamp("us", zone), safe=False).cast(pa.timestamp("s", zone), safe=False)
        if role == "time":
            return moments, {}
        return of_column(moments.cast(pa.int64()), role, numeric)
    if types.is_boolean(kind):
        return of_column(column.cast(pa.int8()), role, numeric)
    if types.is_decimal(kind):
        return of_text(_of_decimals(column, role), role, numeric), {}
    if types.is_integer(kind):
        return (column if role in ("time", "number", "vector") else pc.fill_null(column.cast(pa.string()), "")), {}
    if types.is_floating(kind):
        return _of_floats(column.cast(pa.float64()), role), {}
    if types.is_struct(kind):
        names = [kind[place].name for place in range(kind.num_fields)]
        raise Unfit(f"is a struct of {', '.join(names)}: give one of its fields by a path, as {{path}}.{names[0]}")
    if types.is_map(kind):
        raise Unfit("is a map: give one of its keys by a path, as {path}.key")
    raise Unfit(f"is a {kind}, which is neither text nor number")


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's lists."""
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def field_of(column: pa.Array, names: list[str]) -> pa.Array:
    """What lies under a path of names in structs and maps, through lists of them too.

    Raises KeyError for a field that a struct does not have.
    """
    if not names:
        return column
    if is_list(column.type):
        offsets, entries = _entries(column)
        return pa.ListArray.from_arrays(offsets, field_of(entries, names))
    if types.is_map(column.type) and types.is_string(column.type.key_type):
        return field_of(pc.map_lookup(column, pa.scalar(names[0]), "first"), names[1:])
    if not types.is_struct(column.type) or column.type.get_field_index(names[0]) < 0:
        raise KeyError(names[0])
    return field_of(pc.struct_field(column, [column.type.get_field_index(names[0])]), names[1:])


def _entries(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Offsets from 0, where a missing list is an empty one, and what the lists hold."""
    if types.is_fixed_size_list(column.type):
        lengths = column.is_valid().to_numpy(zero_copy_only=False) * column.type.list_size
    else:
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32()), column.flatten()


def _of_lists(column: pa.Array, role: Role, numeric: bool) -> tuple[pa.Array, dict[int, str]]:
    if role not in ("tags", "vector"):
        raise Unfit("holds lists; only a feature of kind tags or vector may")
    offsets, entries = _entries(column)
    if is_list(entries.type):
        raise Unfit("holds lists of lists")
    values, reasons = of_column(entries, "text" if role == "tags" else "vector", numeric)
    of_row = np.repeat(np.arange(len(column)), np.diff(offsets.to_numpy()))
    return pa.ListArray.from_arrays(offsets, values), {int(of_row[place]): why for place, why in reasons.items()}


def _of_floats(values: pa.Array, role: Role) -> pa.Array:
    values = pc.if_else(pc.is_nan(values), None, values)  # What pandas makes of a missing one.
    if role in ("time", "number", "vector"):
        return values
    numbers = values.to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        whole = (numbers == np.floor(numbers)) & (np.abs(numbers) < _EXACT)
    odd = np.flatnonzero(~whole & ~np.isnan(numbers))
    if role == "id" and len(odd):
        raise Unfit(f"holds {float(numbers[odd[0]])!r}, and an id is a text or a whole number that a float can hold")
    digits = pa.array(np.where(whole, numbers, 0).astype(np.int64)).cast(pa.string())
    return pc.fill_null(pc.if_else(pa.array(whole), digits, values.cast(pa.string())), "")


def _of_decimals(column: pa.Array, role: Role) -> pa.Array:
    """By Python, as Arrow has no text of a decimal."""
    texts = [None if value is None else f"{value:f}" for value in column.to_pylist()]
    texts = ["" if text is None else text.rstrip("0").rstrip(".") if "." in text else text for text in texts]
    if role == "id" and (fraction := next((text for text in texts if "." in text), None)):
        raise Unfit(f"holds {fraction}, and an id is a text or a whole number")
    return pa.array(texts, pa.string())


def _decoded(column: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """Bytes, which some writers make of a text, as texts."""
    if types.is_fixed_size_binary(column.type):  # Arrow 10 ends the process when it casts a slice of these.
        column = pa.array(column.to_pylist(), pa.binary())
    try:
        return pc.fill_null(column.cast(pa.string()), ""), {}
    except pa.ArrowInvalid:  # Slower, but it tells which.
        texts, reasons = [], {}
        for row, value in enumerate(column.to_pylist()):
            try:
                texts.append("" if value is None else value.decode())
            except UnicodeDecodeError as error:
                texts.append("")
                reasons[row] = f"not UTF-8: {error}"
        return pa.array(texts, pa.string()), reasons
