"""What the eval queries are divided by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
import tensorflow_transform as tft
from tensorflow_model_analysis.extractors import slice_key_extractor

from components.evaluator import outputs as o
from components.evaluator.ranks import POPULARITY_LEVELS, popularity_levels
from models import inputs
from models.catalogue import Catalogue
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.features.kinds import Feature
from models.features.preprocessing import raw_spec

_STAGE = slice_key_extractor.SLICE_KEY_EXTRACTOR_STAGE_NAME  # TFMA's metrics come after a stage of this name.
_SHORT_HISTORY = 10
# All but those by the features to slice by.
KNOWN = ["user=warm", "user=cold", "history=none", "history=short", "history=long"]
KNOWN += [f"item={level}" for level in POPULARITY_LEVELS]
_MOST_VALUES = 50  # Of a feature that queries are divided by.


class Sliced(NamedTuple):
    """A feature to slice by, and its values in the vocabulary; None for a number, which has bands."""

    feature: Feature
    values: frozenset[str] | None

    def names(self, name: str, values: Sequence[Any]) -> list[str]:
        """The slices of a row with these raw values, as `feature=value`."""
        found = self.feature.slices([*values])
        return [f"{name}={value}" for value in found if self.values is None or value in self.values]


class Items(NamedTuple):
    """What the evaluation has to know of the n items.

    Attributes:
      ids: [n] bytes.
      counts: [n] train interactions.
      slices: [n] places in `names`.
      names: slices that an item may be in, together.
    """

    ids: np.ndarray
    counts: np.ndarray
    slices: np.ndarray
    names: list[tuple[str, ...]]


def sliced_features(features: FeatureSet, transform: tft.TFTransformOutput) -> dict[str, Sliced]:
    """The features that have few enough values."""
    sliced = {}
    for name, feature in features.sliced().items():
        if feature.kind == "number":
            sliced[name] = Sliced(feature, None)
        elif transform.vocabulary_size_by_name(name) <= _MOST_VALUES:
            values = frozenset(value.decode() for value in transform.vocabulary_by_name(name))
            sliced[name] = Sliced(feature, values)
    return sliced


def of_items(
    files: Collection[str], features: FeatureSet, sliced: Mapping[str, Sliced], catalogue: Catalogue, counts: np.ndarray
) -> Items:
    """Reads ItemGen's examples."""
    places: dict[tuple[str, ...], int] = {}
    codes = np.zeros(len(catalogue), np.int64)
    levels = popularity_levels(counts)
    own = {name: one for name, one in sliced.items() if name in features.items}
    spec = raw_spec({name: feature for name, feature in features.of_items().items() if name in {f.ITEM_ID, *own}})
    for records in inputs.record_batches(files):
        raw = tf.io.parse_example(records, spec)
        rows = catalogue.rows(tf.sparse.to_dense(raw[f.ITEM_ID])[:, 0].numpy())
        lists = {name: tf.RaggedTensor.from_sparse(raw[name]).to_list() for name in own}
        for number, row in enumerate(rows):
            names = [f"item={POPULARITY_LEVELS[levels[row]]}"]
            for name, one in own.items():
                names += one.names(name, lists[name][number])
            codes[row] = places.setdefault(tuple(names), len(places))
    return Items(catalogue.ids, counts, codes, [*places])


def of_query(known: int, history: int) -> list[str]:
    """The slices of a query whose user has so many train rows, of which the history has so many."""
    length = "none" if not history else "short" if history < _SHORT_HISTORY else "long"
    return [f"user={'warm' if known else 'cold'}", f"history={length}"]


def by_slice() -> tfma.extractors.Extractor:
    """Divides extracts of many queries into one for each slice they are in, and one for all."""
    return tfma.extractors.Extractor(_STAGE, ptransform=beam.FlatMap(_divide))


def _divide(extracts: dict[str, Any]) -> list[dict[str, Any]]:
    rows = defaultdict(list)
    for number, names in enumerate(extracts[o.SLICES]):
        for name in dict.fromkeys(names):
            rows[name].append(number)
    keys = {(tuple(name.split("=", 1)),): np.array(numbers) for name, numbers in rows.items()}
    return [
        {
            kind: {name: values[numbers] for name, values in extracts[kind].items()}
            for kind in (tfma.PREDICTIONS_KEY, tfma.LABELS_KEY)
        }
        | {tfma.SLICE_KEY_TYPES_KEY: [key]}
        for key, numbers in {(): np.arange(len(extracts[o.SLICES])), **keys}.items()
    ]
