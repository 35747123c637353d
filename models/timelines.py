"""Users' interactions in order of time, as arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models import inputs
from models.features import names as f
from models.features.feature_set import FeatureSet

_EXAMPLES = 1024  # Parsed at once.


class Column(NamedTuple):
    """How a feature of examples is read."""

    dtype: tf.DType
    missing: Any  # What fills up a list, or stands for a value that is not there.
    is_list: bool = False  # Of what a user has once: whether it is several values.

    def filler(self) -> Any:
        """`missing` as arrays have it: a text as bytes."""
        return tf.constant(self.missing, self.dtype).numpy()


WHOLE, TEXT = Column(tf.int64, 0), Column(tf.string, "")


class Layout(NamedTuple):
    """What examples hold of a user, and of each interaction."""

    users: Mapping[str, Column]
    rows: Mapping[str, Column]


class Timelines(NamedTuple):
    """U users with R interactions, those of user u in rows starts[u] to starts[u + 1], the earliest first.

    Attributes:
      users: by name, [U] or, of lists, [U, L].
      starts: [U + 1] int64.
      rows: by name, [R].
    """

    users: dict[str, np.ndarray]
    starts: np.ndarray
    rows: dict[str, np.ndarray]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def user_of_rows(self) -> np.ndarray:
        """[R] int64 places of the rows' users."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


def last_of_users(starts: np.ndarray, share: float) -> np.ndarray:
    """[R] which rows are in the last share of their user's, whose rows `starts`, [U + 1], tells."""
    lengths = np.diff(starts)
    from_end = np.repeat(starts[1:], lengths) - np.arange(starts[-1])
    return from_end <= np.repeat((lengths * share + 0.5).astype(int), lengths)


def raw_layout(features: FeatureSet) -> Layout:
    """Of InteractionGen's examples."""
    of_users, of_rows = (
        {name: Column(one.dtype(), one.missing, one.is_list) for name, one in some.items()}
        for some in (features.of_users(), features.of_interactions())
    )
    return Layout(of_users, of_rows)


def transformed_layout(features: FeatureSet, transform: tft.TFTransformOutput, *, with_keys: bool = False) -> Layout:
    """Of Transform's examples; the eval rows' have the items' keys, too."""
    columns = {
        name: Column(spec.dtype, inputs.padding(spec.dtype), isinstance(spec, tf.io.VarLenFeature))
        for name, spec in transform.transformed_feature_spec().items()
    }
    names = features.model_users(), features.model_interactions()
    of_users, of_rows = ({name: columns[name] for name in some} for some in names)
    return Layout(of_users, of_rows | ({f.ITEM_KEY: TEXT} if with_keys else {}))


def read_timelines(files: Collection[str], layout: Layout) -> Timelines:
    """Reads gzipped TFRecord files, given as patterns, and joins the examples of a long timeline."""
    parts = [_parse(records, layout) for records in inputs.record_batches(files, _EXAMPLES)]
    if not parts:
        return _without_users(layout)
    lengths = np.concatenate([part.lengths for part in parts])
    first = np.concatenate([part.first for part in parts])
    ends = np.cumsum(lengths)[np.append(np.flatnonzero(first)[1:] - 1, len(first) - 1)]
    return Timelines(
        users={
            name: stacked([part.users[name] for part in parts], one.filler())[first]
            for name, one in layout.users.items()
        },
        starts=np.concatenate([[0], ends]),
        rows={name: np.concatenate([part.rows[name] for part in parts]) for name in layout.rows},
    )


def _without_users(layout: Layout) -> Timelines:
    nothing = _parse([tf.train.Example().SerializeToString()], layout)
    return Timelines({name: values[:0] for name, values in nothing.users.items()}, np.zeros(1, np.int64), nothing.rows)


class _Part(NamedTuple):
    """Some examples: what their users have once, how many entries of its own each has, and those."""

    users: dict[str, np.ndarray]
    first: np.ndarray  # Whether the example begins a timeline.
    lengths: np.ndarray
    rows: dict[str, np.ndarray]


def _parse(records: Any, layout: Layout) -> _Part:
    spec = {
        name: tf.io.RaggedFeature(column.dtype, row_splits_dtype=tf.int64)
        for name, column in {**layout.users, **layout.rows, f.TIMESTAMP: WHOLE, f.OVERLAP: WHOLE}.items()
    }
    parsed = tf.io.parse_example(records, spec)
    overlap = parsed[f.OVERLAP].to_tensor(shape=[None, 1])[:, 0].numpy()
    users = {}
    for name, column in layout.users.items():
        padded = parsed[name].to_tensor(default_value=column.filler()).numpy()
        if not column.is_list:
            missing = np.full([len(padded), 1], column.filler(), padded.dtype)
            padded = np.concatenate([padded, missing], axis=1)[:, 0]
        users[name] = padded
    splits = parsed[f.TIMESTAMP].row_splits.numpy()
    lengths = np.diff(splits)
    place = np.arange(splits[-1]) - np.repeat(splits[:-1], lengths)
    own = place >= np.repeat(overlap, lengths)
    rows = {name: parsed[name].flat_values.numpy()[own] for name in layout.rows}
    return _Part(users, overlap == 0, lengths - overlap, rows)


def stacked(arrays: Sequence[np.ndarray], missing: Any) -> np.ndarray:
    """Arrays of one or two dimensions, one below the other; `missing` fills up those that are not as wide."""
    if arrays[0].ndim == 1:
        return np.concatenate(arrays)
    width = max(array.shape[1] for array in arrays)
    return np.concatenate(
        [np.pad(array, [(0, 0), (0, width - array.shape[1])], constant_values=missing) for array in arrays]
    )
