"""The rules of a list: what counts beside the score, how many may be alike, and how unlike they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from components.recommender_builder.item_values import ItemValues
from components.recommender_builder.settings import Index
from components.recommender_builder.tensors import ranges, table

NO_SCORE = tf.float32.min  # Of the empty entries that fill a short list: finite, and below every other.


class ListRules(tf.Module):
    """Chooses a list from scored candidates. Shapes: B queries, N candidates, K results.

    Entries are chosen one after the other. The score of each is the one by which it was chosen, so scores fall, as what
    has been chosen only takes away from the others.

    Args:
      config: the section `index`.
      values: [n, (number of values)] of the features that it names.
      unknown: n, which stands for no item.
      directions: items of any shape to their embeddings of length one, [..., D].
    """

    def __init__(self, config: Index, values: ItemValues, unknown: int, directions: Callable[[tf.Tensor], tf.Tensor]):
        super().__init__()
        self._unknown, self._directions = unknown, directions
        self._boost = table(_boosts(config.boost, values, self._unknown)) if config.boost else None
        # Maximal marginal relevance is (1 - d) score - d likeness; divided by 1 - d, scores stay what they are.
        self._unlikeness = config.diversity / (1 - config.diversity)
        self._most_per = {name: _PerValue(values[name], most) for name, most in config.most_per.items()}

    def boosted(self, candidates: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        """[B, N] scores, with what the candidates' features add to them."""
        return scores if self._boost is None else scores + tf.gather(self._boost, candidates)

    def best(
        self, candidates: tf.Tensor, scores: tf.Tensor, k: int, given: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """[B, K] of the candidates, and the scores by which they were chosen; n and `NO_SCORE` fill up.

        Args:
          candidates: [B, N] rows of the catalogue, filled up with n.
          scores: [B, N]; `NO_SCORE` of what fills up.
          k: K.
          given: [B] for features that filter, whether a request does. Of those it may get any number.
        """
        if not (self._most_per or self._unlikeness):
            best = tf.math.top_k(scores, k)
            return tf.gather(candidates, best.indices, batch_dims=1), best.values
        values = [per.of(candidates) for per in self._most_per.values()]
        most = [per.most(given.get(name), scores) for name, per in self._most_per.items()]
        directions = self._directions(candidates)

        def step(n: tf.Tensor, left: tf.Tensor, alike: tf.Tensor, counts: tuple, chosen: tuple) -> tuple:
            now = tf.where(left, scores - self._unlikeness * alike, NO_SCORE)
            best = tf.argmax(now, axis=1, output_type=tf.int32)
            item = tf.gather(candidates, best, batch_dims=1)
            score = tf.gather(now, best, batch_dims=1)
            left &= tf.range(tf.shape(scores)[1]) != best[:, tf.newaxis]
            if self._unlikeness:
                direction = tf.gather(directions, best, batch_dims=1)
                alike = tf.maximum(alike, tf.einsum("bnd,bd->bn", directions, direction))
            counts = tuple(
                count + _shared(of, tf.gather(of, best, batch_dims=1)) for of, count in zip(values, counts, strict=True)
            )
            for of, count, limit in zip(values, counts, most, strict=True):
                left &= tf.reduce_all((of < 0) | (count < limit[:, tf.newaxis, tf.newaxis]), axis=2)
            item = tf.where(score > NO_SCORE, item, self._unknown)
            return n + 1, left, alike, counts, (chosen[0].write(n, item), chosen[1].write(n, score))

        state = (
            tf.constant(0),
            scores > NO_SCORE,
            tf.zeros_like(scores),  # Likeness counts where it is above 0: what is unlike is no better for it.
            tuple(tf.zeros_like(of) for of in values),
            tuple(tf.TensorArray(dtype, k, element_shape=[None]) for dtype in (tf.int32, tf.float32)),
        )
        *_, (items, best) = tf.while_loop(lambda n, *_: n < k, step, state)
        return tuple(tf.ensure_shape(tf.transpose(of.stack()), [None, k]) for of in (items, best))


class _PerValue(tf.Module):
    """A feature's values, of each of which a list has at most so many items."""

    def __init__(self, lists: tf.RaggedTensor, most: int):
        super().__init__()
        number = np.unique(lists.flat_values.numpy(), return_inverse=True)[1]
        splits = lists.row_splits.numpy()
        self._most = most
        self._values = table(number.astype(np.int32))
        self._starts = table(np.append(splits, splits[-1]).astype(np.int32))  # An unknown item has none.

    def of(self, items: tf.Tensor) -> tf.Tensor:
        """[B, N, L] values of [B, N] items, filled up with -1."""
        own = ranges(self._starts, tf.reshape(items, [-1]))
        values = tf.gather(self._values, own).to_tensor(default_value=-1)
        return tf.reshape(values, tf.concat([tf.shape(items), tf.shape(values)[1:]], 0))

    def most(self, given: tf.Tensor | None, scores: tf.Tensor) -> tf.Tensor:
        """[B] how many of a value a list may have."""
        most = tf.fill(tf.shape(scores)[:1], self._most)
        return most if given is None else tf.where(given, tf.int32.max, most)


def _shared(values: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """[B, N, L] values to 1 where it is among [B, L'] values."""
    same = values[..., tf.newaxis] == chosen[:, tf.newaxis, tf.newaxis]
    return tf.cast(tf.reduce_any(same & (values >= 0)[..., tf.newaxis], axis=3), tf.int32)


def _boosts(weights: Mapping[str, float], values: ItemValues, unknown: int) -> np.ndarray:
    """[n + 1] what is added to each item's score; a missing number adds nothing."""
    total = np.zeros(unknown + 1, np.float32)
    for name, weight in weights.items():
        numbers = values[name].flat_values.numpy()
        known = np.isfinite(numbers)
        total[values[name].value_rowids().numpy()[known]] += np.float32(weight) * numbers[known]
    return total
