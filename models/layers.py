"""Layers that both models use."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models import inputs
from models.features import names as f
from models.features.kinds import Feature

NEVER = -1e9  # Logit of what is not there: finite, and of weight zero beside any other.
_FAR = 1e30  # Seconds to what has no known time: so many that nothing is left of it.


class Table(tf.keras.layers.Embedding):
    """Embeddings that have their variable from the start: indices of any shape to vectors [..., D] float32.

    Args:
      buckets: number of rows.
      dim: D.
      name: of the layer.
      rows_of: the feature whose indices the rows are; "" where it is `name`.
      merged: how many neighbouring indices share a row.
      initial_stddev: of the rows to begin with.
      exported_as: dtype of what an export has of them.
    """

    def __init__(
        self,
        buckets: int,
        dim: int,
        name: str,
        rows_of: str = "",
        merged: int = 1,
        initial_stddev: float = 0.05,
        exported_as: tf.DType = tf.float32,
    ):
        initializer = tf.keras.initializers.RandomNormal(stddev=initial_stddev)
        super().__init__(-(-buckets // merged), dim, embeddings_initializer=initializer, name=name)
        self.rows_of, self.merged, self.exported_as = rows_of or name, merged, exported_as
        self.read = super().call
        with tf.name_scope(name):
            self.build(None)

    def call(self, indices: tf.Tensor) -> tf.Tensor:
        return self.read(indices)


@contextlib.contextmanager
def exporting(model: tf.Module) -> Iterator[list[tf.Variable]]:
    """Within this, a model reads copies of its tables in an export's dtypes; an export's functions are traced in it.

    Yields:
      the variables that these functions may read.
    """
    tables = [
        part for part in model.submodules if isinstance(part, Table) and part.exported_as != part.embeddings.dtype
    ]
    read = {variable.ref(): variable for variable in model.variables}
    before = [table.read for table in tables]
    for table in tables:
        rows = tf.cast(read.pop(table.embeddings.ref()), table.exported_as)
        copy = tf.Variable(rows, trainable=False, name=f"{table.name}/exported")
        read[copy.ref()] = copy
        table.read = functools.partial(_read_as_floats, copy)
    try:
        yield [*read.values()]
    finally:
        for table, own in zip(tables, before, strict=True):
            table.read = own


def _read_as_floats(rows: tf.Variable, indices: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.gather(rows, indices), tf.float32)


def weighted_sums(table: Table, indices: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sums of a table's rows: [B, L] indices and [B, K, L] weights to [B, K, D]; there is no gradient of the weights.

    It is the product of a sparse matrix of the weights with those rows that the batch has. So neither a sum nor its
    gradient needs a [B, L, D] tensor, and an entry of weight 0 costs nothing, whatever its index.
    """
    batch, sums, length = tf.unstack(tf.shape(weights, tf.int64))
    own, columns = tf.unique(tf.reshape(tf.maximum(indices, 0), [-1]), tf.int64)
    columns = tf.broadcast_to(tf.reshape(columns, [batch, 1, length]), [batch, sums, length])
    columns, weights = (tf.reshape(values, [-1, length]) for values in (columns, tf.stop_gradient(weights)))
    entries = tf.where(weights != 0)
    places = tf.stack([entries[:, 0], tf.gather_nd(columns, entries)], axis=1)
    matrix = tf.SparseTensor(places, tf.gather_nd(weights, entries), [batch * sums, tf.size(own, tf.int64)])
    return tf.reshape(tf.sparse.sparse_dense_matmul(matrix, table(own)), [batch, sums, table.output_dim])


class ListEmbedding(tf.keras.layers.Layer):
    """Mean embedding of a padded list: [B, L] indices to [B, D]; zeros for an empty list."""

    def __init__(self, buckets: int, dim: int, name: str):
        super().__init__(name=f"{name}_list")
        self._table = Table(buckets, dim, name)

    def call(self, indices: tf.Tensor) -> tf.Tensor:
        present = tf.cast(indices >= 0, tf.float32)
        weights = tf.math.divide_no_nan(present, tf.reduce_sum(present, axis=1, keepdims=True))
        return weighted_sums(self._table, indices, weights[:, tf.newaxis])[:, 0]


class NumberEmbedding(tf.keras.layers.Layer):
    """A number times a learnt vector: [B] to [B, D]."""

    def __init__(self, dim: int, name: str):
        super().__init__(name=name)
        self._direction = self.add_weight(
            "direction", [1, dim], initializer=tf.keras.initializers.RandomNormal(stddev=0.05)
        )

    def call(self, numbers: tf.Tensor) -> tf.Tensor:
        return numbers[:, tf.newaxis] * self._direction


class VectorEmbedding(tf.keras.layers.Layer):
    """A learnt projection of a vector: [B, L] to [B, D]."""

    def __init__(self, length: int, dim: int, name: str):
        super().__init__(name=name)
        self._projection = self.add_weight(
            "projection", [length, dim], initializer=tf.keras.initializers.RandomNormal(stddev=0.05)
        )

    def call(self, vectors: tf.Tensor) -> tf.Tensor:
        return tf.matmul(vectors, self._projection)


def hide(indices: tf.Tensor, oov_index: int, probability: float) -> tf.Tensor:
    """Replaces some of [B] indices, at random, by the out-of-vocabulary one, so that its embedding is trained."""
    hidden = tf.random.uniform(tf.shape(indices)) < probability
    return tf.where(hidden, tf.cast(oov_index, indices.dtype), indices)


def of_features(
    features: Mapping[str, Feature], transform: tft.TFTransformOutput, sample: Mapping[str, np.ndarray], dim: int
) -> dict[str, tf.keras.layers.Layer]:
    """For each declared feature, from the model feature, [B] or [B, L], to [B, D].

    `sample` has some values of each: a vector is as long as there.
    """
    buckets = inputs.bucket_counts(transform)

    def layer(name: str, embedded_as: str) -> tf.keras.layers.Layer:
        if embedded_as == "number":
            return NumberEmbedding(dim, name)
        if embedded_as == "vector":
            return VectorEmbedding(sample[name].shape[1], dim, name)
        return (ListEmbedding if embedded_as == "list" else Table)(buckets[name], dim, name)

    return {name: layer(name, feature.embedded_as) for name, feature in features.items()}


class EntityEmbedding(tf.keras.layers.Layer):
    """Sum of the embeddings of the id and the features of users or items: [B] and [B, L] model features to [B, D].

    Args:
      id_name: name of the id.
      features: declared features by name.
      transform: what Transform made.
      sample: as of `of_features`.
      dim: D.
      id_dropout: probability that a training row hides its id, so that unknown ones are served by the rest.
    """

    def __init__(
        self,
        id_name: str,
        features: Mapping[str, Feature],
        transform: tft.TFTransformOutput,
        sample: Mapping[str, np.ndarray],
        dim: int,
        id_dropout: float,
    ):
        super().__init__(name=f"{id_name}_entity")
        buckets = inputs.bucket_counts(transform)
        self._id_name = id_name
        self._id = Table(buckets[id_name], dim, id_name)
        self._features = of_features(features, transform, sample, dim)
        self._oov_index = inputs.oov_index(transform, id_name)
        self._id_dropout = id_dropout

    def call(self, features: inputs.Batch, training: bool = False) -> tf.Tensor:
        ids = features[self._id_name]
        if training:
            ids = hide(ids, self._oov_index, self._id_dropout)
        return tf.add_n([self._id(ids), *(layer(features[name]) for name, layer in self._features.items())])


class MomentEmbedding(tf.keras.layers.Layer):
    """Sum of embeddings of a moment at several resolutions: [B] time buckets to [B, D].

    A fine bucket tells one sitting from another, and has seen few rows; a coarse one has seen enough to know what the
    time itself says, as which items were out. Later buckets than those that are counted have zeros.

    Args:
      buckets: number of time buckets.
      dim: D.
      merged: for each resolution, how many neighbouring buckets share an embedding.
    """

    def __init__(self, buckets: int, dim: int, merged: Sequence[int]):
        super().__init__(name="moment_embedding")
        self._buckets = buckets
        self._merged = tuple(merged)
        self._tables = [Table(buckets, dim, f"moment_{width}", f.MOMENT, width) for width in self._merged]

    def call(self, moments: tf.Tensor) -> tf.Tensor:
        known = tf.minimum(moments, self._buckets - 1)
        vectors = tf.add_n([table(known // width) for table, width in zip(self._tables, self._merged, strict=True)])
        return tf.where((moments < self._buckets)[:, tf.newaxis], vectors, 0.0)


def seconds(gaps: tf.Tensor) -> tf.Tensor:
    """Distances in time as a feature has them to seconds, of any shape."""
    return tf.where(gaps >= 0, tf.math.expm1(gaps), _FAR)


def decayed(gaps: tf.Tensor, rates: Sequence[float]) -> tf.Tensor:
    """[B, H] distances in time to what K rates leave of each entry, exp(-seconds * rate): [B, K, H].

    Of an entry whose time is unknown nothing is left, but at the rate 0, which leaves everything.
    """
    return tf.exp(-seconds(gaps)[:, tf.newaxis] * tf.constant(rates, tf.float32)[:, tf.newaxis])


class HistoryEmbedding(tf.keras.layers.Layer):
    """A history as a mix of weighted sums of its items' embeddings: [B, H] to [B, D].

    One sum for each decay time tau, in which an entry that lies t seconds from the query weighs exp(-t / tau), and one
    in which all weigh the same. Each is divided by the square root of one plus its total weight, so that longer
    histories weigh more, but not in proportion. The mix is learnt for each dimension. An entry whose time is unknown
    counts in the last sum only.
    """

    def __init__(self, buckets: int, dim: int, decay_seconds: Sequence[float], dropout: float = 0.0):
        super().__init__(name="history_embedding")
        self._items = Table(buckets, dim, "history_item", f.ITEM_ID, exported_as=tf.float16)
        self._rates = [*(1 / tau for tau in decay_seconds), 0.0]
        self._dropout = dropout
        sums = len(self._rates)
        self._mix = self.add_weight("mix", [sums, dim], initializer=tf.keras.initializers.Constant(1 / sums))

    def call(self, items: tf.Tensor, gaps: tf.Tensor, training: bool = False) -> tf.Tensor:
        present = tf.cast(items >= 0, tf.float32)
        if training and self._dropout:
            present *= tf.cast(tf.random.uniform(tf.shape(present)) >= self._dropout, tf.float32)
        weights = present[:, tf.newaxis] * decayed(gaps, self._rates)
        total = weighted_sums(self._items, items, weights)
        scaled = total / tf.sqrt(1.0 + tf.reduce_sum(weights, axis=2, keepdims=True))
        return tf.reduce_sum(scaled * self._mix, axis=1)


class TargetAttention(tf.keras.layers.Layer):
    """What in a history speaks for each candidate: [B, H] history and [B, M, D] candidates to [B, M, D].

    An entry's weight is the softmax, over the history, of its inner product with the candidate plus a learnt mix of
    exp(-t / tau) of its distance in time (as in DIN; Zhou et al., KDD 2018). One more entry, of weight exp(0) and value
    zero, stands for "none of them", so that an empty history gives zeros.
    """

    def __init__(self, buckets: int, dim: int, decay_seconds: Sequence[float], dropout: float):
        super().__init__(name="target_attention")
        self._items = Table(buckets, dim, "attended_item", f.ITEM_ID, exported_as=tf.float16)
        self._rates = [1 / tau for tau in decay_seconds]
        self._dropout = dropout
        self._time_mix = self.add_weight("time_mix", [len(self._rates)], initializer="ones")

    def call(self, items: tf.Tensor, gaps: tf.Tensor, candidates: tf.Tensor, training: bool = False) -> tf.Tensor:
        present = items >= 0
        if training:
            present &= tf.random.uniform(tf.shape(items)) >= self._dropout
        recency = tf.reduce_sum(decayed(gaps, self._rates) * self._time_mix[:, tf.newaxis], axis=1)
        entries = self._items(tf.maximum(items, 0))
        agreement = tf.matmul(candidates, entries, transpose_b=True)
        agreement += tf.where(present, recency, NEVER)[:, tf.newaxis]
        # The softmax by hand, as "none of them" would have to be padded on and sliced off again.
        none = -tf.maximum(tf.stop_gradient(tf.reduce_max(agreement, axis=2, keepdims=True)), 0.0)
        weights = tf.exp(agreement + none)
        total = tf.reduce_sum(weights, axis=2, keepdims=True) + tf.exp(none)
        return tf.matmul(weights, entries) / total


def hidden_layers(width: int, sizes: Sequence[int], output: int, name: str) -> tf.keras.Sequential:
    """As `dense_layers`, but the identity when there are no sizes."""
    if sizes:
        return dense_layers(width, sizes, output, name)
    identity = tf.keras.Sequential([tf.keras.layers.Activation("linear")], name=name)
    identity.build([None, width])
    return identity


def dense_layers(width: int, sizes: Sequence[int], output: int, name: str) -> tf.keras.Sequential:
    """ReLU layers of these sizes on `width` inputs, and a linear one to `output`."""
    hidden = [tf.keras.layers.Dense(size, activation="relu") for size in sizes]
    model = tf.keras.Sequential([*hidden, tf.keras.layers.Dense(output)], name=name)
    model.build([None, width])
    return model
