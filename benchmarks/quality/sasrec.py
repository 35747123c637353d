"""SASRec (Kang and McAuley, ICDM 2018): causal self-attention over a user's items, which predicts the next one.

With the full softmax as loss, which makes it strong (Klenitskiy and Vasilev, RecSys 2023).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from benchmarks.quality.dataset import Dataset, Queries
from benchmarks.quality.measure import Fixed, Values
from benchmarks.quality.tuning import TooLarge

_LENGTH = 200  # Entries that it looks back.
_DIMENSIONS = 128
_HEADS = 2
_BLOCKS = 2
_DROPOUT = 0.2
_LEARNING_RATE = 1e-3
_POSITIONS = 4096  # Of a batch, padding included.
_EPOCHS = 48
_EPOCHS_A_TRIAL = 3
_MOST_WORK = 1.5e9  # Train rows times items: about a quarter of an hour on two processors, choice included.


class Transformer(tf.keras.Model):
    """Items' sequences to what comes next.

    Args:
      items: how many there are.
    """

    def __init__(self, items: int):
        super().__init__()
        normal = tf.keras.initializers.RandomNormal(stddev=0.02)
        self.table = self.add_weight("items", [items, _DIMENSIONS], initializer=normal)
        self._positions = self.add_weight("positions", [_LENGTH, _DIMENSIONS], initializer=normal)
        self._dropout = tf.keras.layers.Dropout(_DROPOUT)
        self._blocks = [_Block() for _ in range(_BLOCKS)]
        self._norm = tf.keras.layers.LayerNormalization(epsilon=1e-6)

    def call(self, sequences: tf.Tensor, training: bool = False) -> tf.Tensor:
        """[B, L] items, -1 behind them, to [B, L, D]; what follows an entry does not change it."""
        hidden = tf.gather(self.table, tf.maximum(sequences, 0)) * _DIMENSIONS**0.5
        hidden = self._dropout(hidden + self._positions[: tf.shape(sequences)[1]], training=training)
        for block in self._blocks:
            hidden = block(hidden, training=training)
        return self._norm(hidden)


class _Block(tf.keras.layers.Layer):
    """Attention and two dense layers, each with a residual connection, normalised before."""

    def __init__(self):
        super().__init__()
        self._norms = [tf.keras.layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self._attention = tf.keras.layers.MultiHeadAttention(_HEADS, _DIMENSIONS // _HEADS, dropout=_DROPOUT)
        self._dense = [tf.keras.layers.Dense(_DIMENSIONS, activation) for activation in ("relu", None)]
        self._dropout = tf.keras.layers.Dropout(_DROPOUT)

    def call(self, hidden: tf.Tensor, training: bool = False) -> tf.Tensor:
        normed = self._norms[0](hidden)
        hidden += self._attention(normed, normed, use_causal_mask=True, training=training)
        normed = self._norms[1](hidden)
        return hidden + self._dropout(self._dense[1](self._dense[0](normed)), training=training)


class SasRec(Fixed):
    """Answers from the last 200 entries of the history before the query; popularity where there are none.

    Args:
      data: whose train rows it learns from.
      seed: of weights, dropout and order.
    """

    def __init__(self, data: Dataset, seed: int):
        tf.keras.utils.set_random_seed(seed)
        self._items = np.flatnonzero(data.counts)  # Those that it knows.
        self._code = np.full(data.items + 1, -1)  # The last: of no item.
        self._code[self._items] = np.arange(len(self._items))
        self._popularity = data.popularity
        self._windows = windows(data.train.user, self._code[data.train.item])
        self._random = np.random.default_rng(seed)
        self._model = Transformer(len(self._items))
        self._optimizer = tf.keras.optimizers.Adam(_LEARNING_RATE, beta_2=0.98, jit_compile=False)
        sequences = tf.TensorSpec([None, None], tf.int32)
        self._step = tf.function(self._train, input_signature=[sequences], autograph=False)
        self._last = tf.function(self._of_last, input_signature=[sequences], autograph=False)

    def fit(self, epochs: int) -> SasRec:
        """Trains for some epochs more."""
        for _ in range(epochs):
            lengths = [len(window) for window in self._windows]
            order = np.lexsort((self._random.random(len(lengths)), lengths))
            batches = [self._windows_at(places) for places in _batches(np.array(lengths)[order], order)]
            for number in self._random.permutation(len(batches)):
                self._step(batches[number])
        return self

    def scores(self, queries: Queries) -> np.ndarray:
        places = queries.latest(_LENGTH)
        codes = self._code[np.where(places >= 0, queries.log.item[places], -1)]
        lengths = (codes >= 0).sum(1)
        scores = np.tile(self._popularity, (len(queries), 1))
        for some in _batches(np.sort(lengths), np.argsort(lengths, kind="stable")):
            some = some[lengths[some] > 0]
            if len(some):
                shown = [codes[row][codes[row] >= 0][::-1] for row in some]
                logits = self._last(_padded(shown)).numpy()
                scores[some] += logits.min(1, keepdims=True) - 2
                scores[np.ix_(some, self._items)] = logits
        return scores

    def _windows_at(self, places: np.ndarray) -> np.ndarray:
        return _padded([self._windows[place] for place in places])

    def _train(self, sequences: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            hidden = self._model(sequences[:, :-1], training=True)
            wanted = sequences[:, 1:]
            there = wanted >= 0
            logits = tf.matmul(tf.boolean_mask(hidden, there), self._model.table, transpose_b=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.boolean_mask(wanted, there), logits)
            loss = tf.reduce_mean(losses)
        variables = self._model.trainable_variables
        self._optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    def _of_last(self, sequences: tf.Tensor) -> tf.Tensor:
        """[B, n] logits of what follows the last entry of each sequence."""
        last = tf.reduce_sum(tf.cast(sequences >= 0, tf.int32), axis=1) - 1
        hidden = tf.gather(self._model(sequences), last, axis=1, batch_dims=1)
        return tf.matmul(hidden, self._model.table, transpose_b=True)


def trials(data: Dataset) -> Iterator[tuple[Values, SasRec]]:
    """One model of the validation part, after ever more epochs.

    Raises:
      TooLarge: the softmax over all items would take too long.
    """
    work = len(data.train.user) * np.count_nonzero(data.counts)
    if work > _MOST_WORK:
        raise TooLarge(f"{work:.1e} train rows times items, which would take hours; the limit is {_MOST_WORK:.1e}")
    model = SasRec(data.validation, seed=1)
    for epochs in range(_EPOCHS_A_TRIAL, _EPOCHS + 1, _EPOCHS_A_TRIAL):
        yield {"epochs": epochs}, model.fit(_EPOCHS_A_TRIAL)


def windows(user: np.ndarray, item: np.ndarray) -> list[np.ndarray]:
    """Users' items in pieces that are as long as a sequence and the item that follows it, the last of them full.

    Neighbours share an item, so that every item but a user's first is once what follows.
    """
    found = []
    for items in np.split(item, np.flatnonzero(np.diff(user)) + 1):
        for end in range(len(items), 1, -_LENGTH):
            found.append(items[max(0, end - _LENGTH - 1) : end])
    return found


def _batches(lengths: np.ndarray, order: np.ndarray) -> Iterator[np.ndarray]:
    """The places of `order`, whose sequences have rising lengths, as many together as fit into a batch."""
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * lengths[end] <= _POSITIONS:
            end += 1
        yield order[start:end]
        start = end


def _padded(sequences: list[np.ndarray]) -> np.ndarray:
    """[B, L] int32, with -1 behind what is shorter."""
    padded = np.full((len(sequences), max(map(len, sequences))), -1, np.int32)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded
