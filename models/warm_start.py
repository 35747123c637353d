"""Training that goes on from a model before: what is kept of it, and how its weights find their places again."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from models import inputs
from models.features import names as f
from models.layers import Table

if TYPE_CHECKING:
    from models.training import TrainingData

DIRECTORY = os.path.join("assets.extra", "warm_start")  # Of a SavedModel.
_SPLIT, _LAST, _WEIGHTS, _ROWS = "split", "last", "weights/", "rows/"


class Kept(NamedTuple):
    """What is kept of a trained model.

    Attributes:
      split: the settings of the split, as JSON: with another, eval rows could be rows that were trained on.
      last: [U] int64, the second of each user's last train row, in the order of the vocabulary of users.
      weights: every weight by its path in the model.
      rows: what the rows of tables stand for, by what they are of: a vocabulary's entries, or the first second of each
        time bucket.
    """

    split: str
    last: np.ndarray
    weights: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]


class Begun(NamedTuple):
    """Whether a training goes on from a model before.

    Attributes:
      warm: whether it does.
      because: why it does not, or "".
      known: of each vocabulary, how many entries the model before had.
      new: how many it had not.
      new_rows: places of the train rows that the model before has not learnt from.
    """

    warm: bool
    because: str = ""
    known: dict[str, int] = {}
    new: dict[str, int] = {}
    new_rows: np.ndarray = np.zeros(0, np.int64)

    def __str__(self) -> str:
        if not self.warm:
            return f"cold start: {self.because}"
        new = ", ".join(f"{number:,} {of}" for of, number in self.new.items())
        return f"warm start: new are {len(self.new_rows):,} rows; {new}"

    def figures(self) -> dict[str, Any]:
        """As JSON has it, with the number of new rows."""
        return self._asdict() | {"new_rows": len(self.new_rows)}


COLD = Begun(False, "not asked for")


def path(model_dir: str, name: str) -> str:
    """Where a SavedModel keeps what it has of the retrieval or the ranking model."""
    return os.path.join(model_dir, DIRECTORY, f"{name}.npz")


def keep(model: tf.keras.Model, data: TrainingData, split: str, file_path: str) -> None:
    """Writes what a later training may begin with."""
    arrays = {_SPLIT: np.array(split), _LAST: _last(data)}
    arrays |= {_WEIGHTS + name: variable.numpy() for name, variable in _weights(model).items()}
    arrays |= {_ROWS + name: rows for name, rows in _rows(model, data).items()}
    content = io.BytesIO()
    np.savez(content, **arrays)
    tf.io.gfile.makedirs(os.path.dirname(file_path))
    with tf.io.gfile.GFile(file_path, "wb") as file:
        file.write(content.getvalue())


def read(file_path: str) -> Kept | None:
    """What was written there; None where nothing was, or what another edition reads."""
    if not tf.io.gfile.exists(file_path):
        return None
    with tf.io.gfile.GFile(file_path, "rb") as file:
        content = file.read()
    try:
        arrays = dict(np.load(io.BytesIO(content), allow_pickle=False))
    except (ValueError, EOFError, zipfile.BadZipFile):
        return None
    if not {_SPLIT, _LAST} <= arrays.keys():
        return None

    def below(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}

    return Kept(str(arrays[_SPLIT]), arrays[_LAST], below(_WEIGHTS), below(_ROWS))


def take_along(trained: Mapping[str, str], target: str) -> None:
    """Copies what the SavedModels of models, given by name, keep, if they keep anything, to another SavedModel."""
    for name, source in trained.items():
        kept = path(source, name)
        if tf.io.gfile.exists(kept):
            to = path(target, name)
            tf.io.gfile.makedirs(os.path.dirname(to))
            tf.io.gfile.copy(kept, to)


def begin(model: tf.keras.Model, data: TrainingData, split: str, kept: Kept | None) -> Begun:
    """Gives a new model the weights of one before, where that is of the same shape.

    A row of a table goes to the entry of the vocabulary, or to the time, that it was of. New entries stay as they are,
    as in training from nothing; later times begin with the latest row.
    """
    if kept is None:
        return Begun(False, "the live model keeps no weights that can be read")
    if kept.split != split:
        return Begun(False, "the live model was trained with another split, so that it may know eval rows")
    variables = _weights(model)
    tables = _tables(model)
    if different := _different(variables, tables, kept.weights):
        return Begun(False, f"the live model is of another shape ({different})")
    now = _rows(model, data)
    places = {of: (_at_time if of == f.MOMENT else _of_key)(kept.rows[of], rows) for of, rows in now.items()}
    for name, variable in variables.items():
        before = kept.weights[name]
        table = tables.get(variable.ref())
        variable.assign(before if table is None else _mapped(variable.numpy(), before, places[table.rows_of], table))
    vocabularies = [of for of in sorted(now) if of != f.MOMENT]
    return Begun(
        True,
        known={of: int((places[of][:-1] >= 0).sum()) for of in vocabularies},
        new={of: int((places[of] < 0).sum()) for of in vocabularies},
        new_rows=_new_rows(data, kept.last, places[f.USER_ID]),
    )


def _weights(model: tf.keras.Model) -> dict[str, tf.Variable]:
    """The weights of a model by their paths, without the optimizer's."""
    own = {variable.ref() for variable in model.variables}
    return {name: variable for name, variable in model.get_weight_paths().items() if variable.ref() in own}


def _tables(model: tf.keras.Model) -> dict[Any, Table]:
    """The tables of a model by their variables."""
    return {module.embeddings.ref(): module for module in model.submodules if isinstance(module, Table)}


def _different(variables: dict[str, tf.Variable], tables: dict[Any, Table], before: dict[str, np.ndarray]) -> str:
    """The first weight that only one of both models has, or that has another shape; "" where there is none."""
    for name in sorted(variables.keys() ^ before.keys()):
        return name
    for name, variable in variables.items():
        shape, others = tuple(variable.shape), before[name].shape
        first = 1 if variable.ref() in tables else 0  # Tables may have other numbers of rows.
        if len(shape) != len(others) or shape[first:] != others[first:]:
            return name
    return ""


def _rows(model: tf.keras.Model, data: TrainingData) -> dict[str, np.ndarray]:
    """As `Kept.rows`, of what the model's tables are of."""
    found = {}
    for of in {table.rows_of for table in _tables(model).values()}:
        found[of] = _times(data) if of == f.MOMENT else np.array(data.transform.vocabulary_by_name(of), bytes)
    return found


def _last(data: TrainingData) -> np.ndarray:
    """As `Kept.last`."""
    last = np.full(inputs.oov_index(data.transform, f.USER_ID), np.iinfo(np.int64).min)
    there = np.diff(data.train.starts) > 0
    times = data.train.rows[f.TIMESTAMP][data.train.starts[1:][there] - 1]
    last[data.train.users[f.USER_ID][there]] = times
    return last


def _new_rows(data: TrainingData, last: np.ndarray, places: np.ndarray) -> np.ndarray:
    """[R] rising places of train rows after the last one of their user's that the model before knew."""
    until = np.append(last, np.iinfo(np.int64).min)  # Of a user at place -1.
    user = data.train.users[f.USER_ID][data.train.user_of_rows()]
    return np.flatnonzero(data.train.rows[f.TIMESTAMP] > until[places[user]])


def _times(data: TrainingData) -> np.ndarray:
    """[G + 1] int64, the first second of each time bucket; of one without rows, that of the next with any."""
    times = np.full(inputs.bucket_counts(data.transform)[f.MOMENT], np.iinfo(np.int64).max)
    np.minimum.at(times, data.train.rows[f.MOMENT], data.train.rows[f.TIMESTAMP])
    return np.minimum.accumulate(times[::-1])[::-1]


def _of_key(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """[n + 1] the places before of keys, -1 where there was none; the last is what is in no vocabulary."""
    place = {key: row for row, key in enumerate(before.tolist())}
    return np.array([*(place.get(key, -1) for key in now.tolist()), len(before)], np.int64)


def _at_time(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """[G + 1] the time buckets before in which those of now begin, -1 before the first, and later the last."""
    return np.searchsorted(before, now, side="right") - 1


def _mapped(values: np.ndarray, before: np.ndarray, places: np.ndarray, table: Table) -> np.ndarray:
    """A table whose rows that were there before are as they were."""
    # A table may have more rows than there are places, or one less: what comes after the data has no time bucket.
    places = places[:: table.merged][: len(values)]
    known = np.flatnonzero(places >= 0)
    values[known] = before[np.minimum(places[known] // table.merged, len(before) - 1)]
    return values
