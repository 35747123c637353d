"""The users that a candidate's server is asked about, and what may be recommended to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from components.queries import first_files, read_queries, request
from components.recommender_builder import item_values
from components.tables import shards
from models.features import names as f
from models.features.feature_set import FeatureSet

_LOOKED_AT = 10_000  # Eval rows, to find enough users.


class Filter(NamedTuple):
    """A value that a request may want."""

    feature: str
    value: str
    items: frozenset[str]  # That have it, and may be recommended.


class Asked(NamedTuple):
    """The first eval row of each of n users, with a known one first where there is any.

    Attributes:
      inputs: of `recommend`.
      items: [n] the rows' items.
      had: all that each user has had, in both splits, which is what the servable knows.
      repeats: whether it may be recommended again.
    """

    inputs: dict[str, tf.Tensor]
    items: tf.Tensor
    had: list[frozenset[str]]
    repeats: bool

    @classmethod
    def read(cls, train_uri: str, eval_uri: str, features: FeatureSet, count: int) -> Asked:
        """Reads InteractionGen's examples."""
        names = first_files(eval_uri, _LOOKED_AT)
        files = ([path for name, path in shards.paths(uri).items() if name in names] for uri in (train_uri, eval_uri))
        queries, train = read_queries(*files, features)
        first = np.unique(queries.user, return_index=True)[1][:count]
        rows = first[np.argsort(queries.train_rows[first] == 0, kind="stable")]
        batch = queries.at(tf.constant(rows))
        known = dict(zip(train.users[f.USER_ID].tolist(), _lists(train), strict=True))
        held_out = _lists(queries.asked)
        users = queries.user[rows]
        had = [
            frozenset(item.decode() for item in [*held_out[user], *known.get(name, ())])
            for user, name in zip(users, batch[f.USER_ID].numpy().tolist(), strict=True)
        ]
        return cls(request(batch, features), batch[f.ITEM_ID], had, features.histories.repeats)


class Recommendable(NamedTuple):
    """What a servable may recommend.

    Attributes:
      items: ids.
      filters: for each feature that filters, one of its values.
      filtering: the names of all of these features.
    """

    items: frozenset[str]
    filters: Sequence[Filter] = ()
    filtering: Sequence[str] = ()

    @classmethod
    def read(cls, item_files: Collection[str], features: FeatureSet, build: Mapping[str, Any]) -> Recommendable:
        """From ItemGen's examples, and what the RecommenderBuilder says of the servable."""
        names = features.filters()
        ids, values = item_values.read_unordered(item_files, {name: features.items[name] for name in names})
        items = frozenset(item.decode() for item in ids.tolist()) - {*build["never"]}
        filters = []
        for name in names:
            for value in build["filters"][name][:1]:
                lists = values[name]
                rows = lists.value_rowids().numpy()[lists.flat_values.numpy() == value.encode()]
                filters.append(Filter(name, value, items & {item.decode() for item in ids[rows].tolist()}))
        return cls(items, filters, names)

    def inputs(self, rows: int, exclude: Sequence[Sequence[str]], wanted: Mapping[str, str]) -> dict[str, list]:
        """Inputs of `recommend_filtered` beside a query; `exclude` has a list for each row, or is empty."""
        of_features = {name: [[wanted.get(name, "")]] * rows for name in self.filtering}
        return {f.EXCLUDE_ITEM_ID: [*map(list, exclude)] or [[""]] * rows} | of_features


def _lists(timelines: Any) -> list[list[bytes]]:
    return [part.tolist() for part in np.split(timelines.rows[f.ITEM_ID], timelines.starts[1:-1])]
