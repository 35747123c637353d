"""The deliveries of a backtest: spans that there are, or the days that interactions are cut into."""

from __future__ import annotations

import datetime
import itertools
import os
import shutil
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from components import storage
from components.tables import parsing, reading, spans
from components.tables.look import look
from components.tables.settings import InteractionTable, Time
from models.errors import UserError
from models.features import names as n
from pipeline.config import Config
from pipeline.data.settings import Data

_DAY = 86_400
_FILE = "interactions.parquet"
_KEY = (n.USER_ID, n.TIMESTAMP, n.ITEM_ID)


class Night(NamedTuple):
    """One night: what is trained on, and what comes next.

    Attributes:
      name: of its span.
      config: reads the span and those before it.
      begins, ends: the Unix seconds of the day that comes next, whose interactions are asked about.
    """

    name: str
    config: Config
    begins: int
    ends: int


def read_interactions(config: Config) -> pa.Table:
    """All interactions that count, each once, with our names, in order of user and time.

    Raises:
      UserError: as reading a table does.
    """
    table, window = config.data.interactions, config.data.deliveries()
    files = window.files(table, config.data)
    if not files:
        raise UserError(f"{os.path.join(window.newest, table.file)}: no such file")
    seen = look(files, table)
    batches = [
        parsing.parse("interactions", rows, seen.table).rows
        for path in files
        for rows in reading.read_rows(path, seen.table, seen.numeric)
    ]
    rows = pa.Table.from_batches([batch for batch in batches if len(batch)]).drop([parsing.LINE]).combine_chunks()
    ordered = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in _KEY])).combine_chunks()
    keys = [ordered[name].combine_chunks().dictionary_encode().indices.to_numpy() for name in _KEY]
    new = np.any([np.append(True, key[1:] != key[:-1]) for key in keys], axis=0)
    return ordered.filter(pa.array(new))


def of_spans(config: Config, number: int) -> tuple[list[Night], pa.Table]:
    """The last nights of deliveries that lie side by side, and all interactions that they know and are asked about.

    What comes next is what the next delivery has from after the night's own. With a window of 1 each holds everything.
    """
    window = config.data.window
    found = spans.resolve(config.data.directory, config.data.span, number + window)
    names = found.spans[-number - 1 :]
    if len(names) <= number:
        raise UserError(f"{config.data.directory}: --spans {number} needs one more than that; there are {len(names)}")

    def of(name: str, length: int) -> Config:
        changed = config.model_copy(deep=True)
        changed.data.span, changed.data.window = name, length
        return changed

    ends = [pc.max(read_interactions(of(name, 1))[n.TIMESTAMP]).as_py() + 1 for name in names]
    nights = [
        Night(name, of(name, window), begins, after)
        for name, (begins, after) in zip(names, itertools.pairwise(ends), strict=False)
    ]
    return nights, read_interactions(of(names[-1], 1 if window == 1 else len(found.spans)))


def of_days(config: Config, number: int, directory: str) -> tuple[list[Night], pa.Table]:
    """Cuts interactions into days: the first span holds all before the first night's, each other one a day.

    Args:
      config: of data without spans.
      number: of nights, each of a day that has interactions.
      directory: where the spans are written.
    """
    if storage.is_remote(config.data.directory):
        raise UserError(f"{config.data.directory}: copy the data here; a backtest cuts it into days")
    rows = read_interactions(config)
    day = rows[n.TIMESTAMP].to_numpy() // _DAY
    days = np.unique(day)
    if len(days) < number + 2:
        raise UserError(f"{config.data.directory}: --spans {number} needs {number + 2} days; there are {len(days)}")
    asked = days[-number - 1 :]
    shutil.rmtree(directory, ignore_errors=True)
    cut = config.model_copy(deep=True)
    cut.data = _layout(config, rows.schema.names, os.path.join(directory, "{span}"))
    nights = []
    for place, (last, after) in enumerate(itertools.pairwise(asked)):
        mask = day == last if place else day <= last
        name = _name(last)
        os.makedirs(os.path.join(directory, name))
        parquet.write_table(rows.filter(pa.array(mask)), os.path.join(directory, name, _FILE))
        night = cut.model_copy(deep=True)
        night.data.span, night.data.window = name, place + 1
        nights.append(Night(name, night, int(after) * _DAY, (int(after) + 1) * _DAY))
    return nights, rows


def _layout(config: Config, columns: Sequence[str], directory: str) -> Data:
    """The layout of what `of_days` writes; the other tables stay where they are."""
    data, before = config.data, config.data.interactions
    interactions = InteractionTable(
        file=_FILE,
        columns={name: name for name in columns if name not in before.context},
        timestamp=Time(unit="s"),
        events=before.events,
        positive=before.positive,
        context={name: feature.model_copy(update={"column": None}) for name, feature in before.context.items()},
    )
    newest = data.deliveries().newest
    others = {
        name: table.model_copy(update={"file": os.path.join(newest, table.file)})
        for name, table in (("items", data.items), ("users", data.users))
        if table
    }
    return data.model_copy(update={"directory": directory, "interactions": interactions, "generated": None} | others)


def _name(day: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=int(day))).isoformat()
