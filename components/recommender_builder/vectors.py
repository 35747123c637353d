"""The candidates' embeddings."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from components.recommender_builder.tensors import table
from components.recommender_builder.users import Users
from models.catalogue import Catalogue
from models.popularity import of_last


class CandidateVectors(tf.Module):
    """What both models make of the candidates, [n + 1, D] each; the last row is an unknown item.

    Args:
      catalogue: the n candidates.
      users: all interactions, which tell what is popular now.
      retrieval, ranking: what the Trainers have exported.
    """

    def __init__(self, catalogue: Catalogue, users: Users, retrieval: tf.Module, ranking: tf.Module):
        super().__init__()
        features = {name: tf.constant(values) for name, values in catalogue.features.items()}
        both = [model.candidate(features) for model in (retrieval, ranking)]
        popular = of_last(users.items, users.timestamps, len(catalogue), retrieval.forecast_weights.numpy())
        both[0] = tf.concat([both[0][:, :-1], np.append(popular, np.float32(0))[:, np.newaxis]], axis=1)
        self.retrieval, self.ranking = map(table, both)

    def logits(self, queries: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """[B, D] embeddings of queries and [B, M] items to their products, [B, M]."""
        # Of one query, a call of a product of matrices takes longer than all the rest of it.
        return tf.reduce_sum(tf.gather(self.retrieval, items) * queries[:, tf.newaxis], axis=2)

    def directions(self, items: tf.Tensor) -> tf.Tensor:
        """The items' embeddings of retrieval at length one, without the bias and what is popular."""
        return tf.math.l2_normalize(tf.gather(self.retrieval, items)[..., :-3], axis=-1)
