"""The ranking model: predicts rating, preference and choice of a query for a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from models import inputs, layers, losses, queries, training, warm_start
from models.features import names as f
from models.settings import Ranking

_EVAL_BATCH = 4096
_ENTRIES = 50  # Of a history, the latest, that the ranker looks at.
_OWN_NEGATIVES = 3  # Items of the user's own history that choice is learnt against, where items repeat.


class Predictions(NamedTuple):
    """What the model says of B queries and M candidates each: [B, M] tensors."""

    choice: tf.Tensor  # Log of P(candidate | query), up to a constant of the query.
    rating: Any  # None where the data has no ratings.
    preference: Any  # Logit of P(positive | query, candidate); None where nothing is positive.


class ProductLayers(tf.keras.layers.Layer):
    """ReLU layers on products of each candidate with what is known of its query.

    Args:
      known: how many vectors there are of a query.
      dim: D.
      sizes: of the layers, at least one.
      heads: outputs.
      dropout: of an entry of a product, in one draw for all candidates of a row: they are compared with each other, and
        drawing for each takes long.
    """

    def __init__(self, known: int, dim: int, sizes: Sequence[int], heads: int, dropout: float):
        super().__init__(name="layers")
        first, *others = sizes
        self._kernel = self.add_weight("kernel", [(known + 2) * dim, first], initializer="glorot_uniform")
        self._bias = self.add_weight("bias", [first], initializer="zeros")
        self._more = layers.dense_layers(first, others, heads, "more_layers")
        self._dropout = tf.keras.layers.Dropout(dropout, noise_shape=[None, 1, None])
        self._known, self._dim, self._first, self._heads = known, dim, first, heads

    def call(
        self, known: Sequence[tf.Tensor], attended: tf.Tensor, item: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """[B, 1, D] vectors of the query, and [B, M, D] twice, to [B, M, heads]."""
        batch, candidates, _ = tf.unstack(tf.shape(item))
        if training or item.shape[1] == 1:
            products = tf.concat([*(vector * item for vector in known), attended * item, item], axis=2)
            first = _product(self._dropout(products, training=training), self._kernel)
        else:
            # The same with one matrix for each query, which is less work for a long list of candidates.
            *of_known, of_attended, of_item = tf.split(self._kernel, self._known + 2)
            of_query = of_item + tf.add_n(
                [tf.linalg.matrix_transpose(vector) * of for vector, of in zip(known, of_known, strict=True)]
            )
            first = tf.reshape(tf.matmul(item, of_query), [-1, self._first]) + _product(attended * item, of_attended)
        return tf.reshape(self._more(tf.nn.relu(first + self._bias)), [batch, candidates, self._heads])


def _product(values: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """[B, M, N] times [N, H], as [B * M, H]."""
    return tf.matmul(tf.reshape(values, [-1, values.shape[2]]), kernel)


class RankingModel(training.TrainedModel):
    """Rating regression, preference classification and choice among candidates, over shared embeddings.

    The rating is its mean in training, plus biases of user and item, plus the inner product of their embeddings
    (biased matrix factorisation; Koren, Bell and Volinsky 2009), plus what layers add from the products of the item
    with user and history, and from the context. Choice is learnt by softmax over the row's item and those of other
    rows, corrected for the sampling bias as in retrieval: the ranker's own view of what retrieval estimates. Data
    without ratings has no rating head, and data without positives no preference head; choice is always learnt.

    Args:
      config: the configuration's section.
      data: what is trained on.
    """

    def __init__(self, config: Ranking, data: training.TrainingData):
        super().__init__()
        features, transform, dim = data.features, data.transform, config.embedding_dim
        buckets, decay = inputs.bucket_counts(transform), config.history_decay_seconds
        self._config = config
        self._ratings = data.ratings
        self._has_positives = data.positive_probability is not None
        self._items = data.item_table()
        self._repeats, self._length = features.histories.repeats, min(features.histories.length, _ENTRIES)
        self._frequency = tf.constant(np.maximum(data.item_counts, 1) / max(len(data.train), 1), tf.float32)
        users, items = data.train.users, data.catalogue.features
        self._user = layers.EntityEmbedding(f.USER_ID, features.users, transform, users, dim + 1, config.user_dropout)
        self._item = layers.EntityEmbedding(f.ITEM_ID, features.items, transform, items, dim + 1, config.item_dropout)
        self._context = layers.of_features(features.context, transform, {}, dim)
        self._history = layers.HistoryEmbedding(buckets[f.ITEM_ID], dim, decay, config.dropout)
        self._attention = layers.TargetAttention(buckets[f.ITEM_ID], dim, decay, config.dropout)
        # Heads: rating and preference, where there are any, and choice.
        heads = bool(data.ratings) + self._has_positives + 1
        self._layers = ProductLayers(3 if self._context else 2, dim, config.layers, heads, config.dropout)
        if data.ratings:
            self._rating_bias = self.add_weight("rating_bias", [], initializer=_constant(data.ratings.mean))
        if data.positive_probability is not None:
            probability = np.clip(data.positive_probability, 0.01, 0.99)
            logit = np.log(probability / (1 - probability))
            self._preference_bias = self.add_weight("preference_bias", [], initializer=_constant(logit))
            self._preference_scale = self.add_weight("preference_scale", [], initializer=_constant(1.0))

    def candidate_vectors(self, features: inputs.Batch, training: bool = False) -> tf.Tensor:
        """Candidate features [M] to vectors [M, D + 1]; the last component is the item's bias."""
        return self._item(features, training=training)

    def score(self, query: inputs.Batch, candidates: tf.Tensor, training: bool = False) -> Predictions:
        """Query features [B] and candidate vectors [B, M, D + 1] to predictions; ratings are not yet kept in range."""
        user = self._user(query, training=training)[:, tf.newaxis]
        entries = [query[name][:, : self._length] for name in (f.HISTORY_ITEM_ID, f.HISTORY_GAP)]
        history = self._history(*entries, training=training)[:, tf.newaxis]
        user, user_bias = tf.split(user, [self._config.embedding_dim, 1], axis=2)
        item, item_bias = tf.split(candidates, [self._config.embedding_dim, 1], axis=2)
        attended = self._attention(*entries, item, training=training)
        known = [user, history]
        if self._context:
            known.append(tf.add_n([layer(query[name]) for name, layer in self._context.items()])[:, tf.newaxis])
        deep = self._layers(known, attended, item, training=training)
        choice = tf.reduce_sum((tf.add_n(known[1:]) + attended) * item, axis=2) + deep[:, :, -1]
        effect = tf.squeeze(user_bias + item_bias, 2) + tf.reduce_sum(user * item, axis=2)
        rating = preference = None
        if self._ratings:
            rating = self._rating_bias + effect + deep[:, :, 0]
        if self._has_positives:
            preference = self._preference_bias + self._preference_scale * (effect + deep[:, :, -2])
        return Predictions(choice, rating, preference)

    def predict_scores(self, query: inputs.Batch, candidates: tf.Tensor) -> Predictions:
        """As `score`, with the ratings kept within the range of the training rows."""
        found = self.score(query, candidates)
        if not self._ratings:
            return found
        return found._replace(rating=tf.clip_by_value(found.rating, self._ratings.low, self._ratings.high))

    def compute_loss(self, batch: inputs.Batch, training: bool = False) -> tf.Tensor:
        features, labels = inputs.split_labels(batch)
        own = self.candidate_vectors(inputs.gathered(self._items, features[f.ITEM_ID]), training=training)
        candidates, ids = map(losses.of_all_replicas, (own, features[f.ITEM_ID]))
        # Column 0 is the row's own item; the others are those of the rows that follow it.
        others = tf.range(tf.shape(own)[0])[:, tf.newaxis] + tf.range(self._config.negatives + 1)
        others %= tf.shape(candidates)[0]
        vectors, columns = tf.gather(candidates, others), tf.gather(ids, others)
        sampled = tf.gather(self._frequency, columns) * self._config.negatives
        if self._repeats:
            vectors, columns, sampled = self._with_own_history(features, vectors, columns, sampled, training)
        found = self.score(features, vectors, training=training)
        config = self._config
        loss = config.choice_loss_weight * self._choice_loss(found.choice, columns, sampled)
        if found.rating is not None:
            loss += config.rating_loss_weight * tf.math.squared_difference(found.rating[:, 0], labels[f.RATING])
        if found.preference is not None:
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels[f.POSITIVE], found.preference[:, 0])
            loss += config.preference_loss_weight * entropy
        return losses.weighted_mean(loss, labels)

    def _with_own_history(
        self, features: inputs.Batch, vectors: tf.Tensor, columns: tf.Tensor, sampled: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Adds columns of items that the user has had, without which the history would only ever speak for an item."""
        history = features[f.HISTORY_ITEM_ID]
        there = history >= 0
        length = tf.math.count_nonzero(there, axis=1, keepdims=True, dtype=tf.float32)
        # The largest of random numbers are draws without replacement.
        keys = tf.where(there, tf.random.uniform(tf.shape(history)), -1.0)
        drawn = tf.math.top_k(keys, tf.minimum(_OWN_NEGATIVES, tf.shape(history)[1]))
        extra = tf.where(drawn.values >= 0, tf.gather(history, drawn.indices, batch_dims=1), columns[:, :1])
        own = self.candidate_vectors(inputs.gathered(self._items, tf.reshape(extra, [-1])), training=training)
        own = tf.reshape(own, [tf.shape(extra)[0], tf.shape(extra)[1], own.shape[1]])
        columns = tf.concat([columns, extra], axis=1)
        times = tf.reduce_sum(tf.cast(columns[:, :, tf.newaxis] == history[:, tf.newaxis], tf.float32), axis=2)
        drawn_of = float(_OWN_NEGATIVES) * tf.math.divide_no_nan(times, length)
        sampled = tf.concat([sampled, tf.gather(self._frequency, extra) * self._config.negatives], axis=1) + drawn_of
        return tf.concat([vectors, own], axis=1), columns, sampled

    def _choice_loss(self, logits: tf.Tensor, ids: tf.Tensor, sampled: tf.Tensor) -> tf.Tensor:
        """[B] softmax cross-entropies of column 0 of [B, M], without further columns of the same item.

        `sampled` is how often each column's item is expected among the columns.
        """
        corrected = logits - tf.math.log(sampled)
        repeated = tf.concat([tf.zeros_like(ids[:, :1], tf.bool), ids[:, 1:] == ids[:, :1]], axis=1)
        masked = tf.where(repeated, layers.NEVER, corrected)
        first = tf.zeros_like(ids[:, 0], tf.int32)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(first, masked)


def _constant(value: float) -> tf.keras.initializers.Initializer:
    return tf.keras.initializers.Constant(float(value))


class RankingServable(tf.Module):
    """What the Trainer exports of a model as it is, on dense model features and without dropout."""

    def __init__(self, model: RankingModel, data: training.TrainingData, config: Ranking):
        super().__init__()

        def candidate(features: inputs.Batch) -> tf.Tensor:
            return model.candidate_vectors(features)

        def score(query: inputs.Batch, candidates: tf.Tensor) -> dict[str, tf.Tensor]:
            """[B, M] each: `choice`, the ranker's own log P(candidate | query) up to a constant of the query.

            And, where the data has them, `predicted_rating`, `positive_probability` and its log, `preference`.
            """
            found = model.predict_scores(query, candidates)
            scores = {"choice": found.choice}
            if found.preference is not None:
                scores["preference"] = tf.math.log_sigmoid(found.preference)
                scores["positive_probability"] = tf.sigmoid(found.preference)
            if found.rating is not None:
                scores["predicted_rating"] = found.rating
            return scores

        # Not the layers: each of them would be traced and saved with functions of its own.
        vectors = tf.TensorSpec([None, None, config.embedding_dim + 1], tf.float32)
        with layers.exporting(model) as self._weights:
            self.candidate = training.traced(candidate, data.candidate_spec())
            self.score = training.traced(score, data.query_spec(), vectors)


def validate(model: RankingModel, data: training.TrainingData) -> dict[str, float]:
    """Errors of the ratings, and quality of the preference, on the eval split; nothing where the data has neither."""
    metrics: dict[str, tf.keras.metrics.Metric] = {}
    if data.ratings:
        metrics |= {"rmse": tf.keras.metrics.RootMeanSquaredError(), "mae": tf.keras.metrics.MeanAbsoluteError()}
    if data.positive_probability is not None:
        metrics |= {"auc": tf.keras.metrics.AUC(), "binary_accuracy": tf.keras.metrics.BinaryAccuracy()}
    if not metrics:
        return {}
    items = data.item_table()

    @tf.function(reduce_retracing=True, autograph=False)
    def update(batch: inputs.Batch, rows: tf.Tensor) -> None:
        features, labels = inputs.split_labels(batch)
        own = model.candidate_vectors(inputs.gathered(items, rows))
        found = model.predict_scores(features, own[:, tf.newaxis])
        for name, metric in metrics.items():
            if name in ("rmse", "mae"):
                metric.update_state(labels[f.RATING], found.rating[:, 0])
            else:
                metric.update_state(labels[f.POSITIVE], tf.sigmoid(found.preference[:, 0]))

    for batch in queries.in_order(data.eval, _EVAL_BATCH):
        rows = data.catalogue.rows(batch.pop(f.ITEM_KEY).numpy())
        update(batch, tf.constant(rows))
    return {name: float(metric.result()) for name, metric in metrics.items()}


def run(job: training.Job) -> None:
    """Trains, validates and exports."""
    config, data, model = training.made(job, Ranking, RankingModel)
    with model.distribute_strategy.scope():
        begun = training.begin(model, data, job, "ranking")
        run_dir, model_dir = map(training.kept_by_chief, (job.run_dir, job.model_dir))

    fitted = training.fit(model, data, config, run_dir, begun)

    result = validate(model, data)
    if result:
        training.progress.info("validation: %s", ", ".join(f"{name} {value:.4f}" for name, value in result.items()))
    training.write_validation(result | fitted | {"warm_start": begun.figures()}, run_dir)
    tf.saved_model.save(RankingServable(model, data, config), model_dir)
    if job.split:
        warm_start.keep(model, data, job.split, warm_start.path(model_dir, "ranking"))


def refit(job: training.Job) -> None:
    """Goes on from what `job.begin_with` keeps of the same data, for one pass over the eval rows, and exports."""
    config, data, model = training.made(job, Ranking, RankingModel)
    training.refit(model, data, config, job, "ranking")
    tf.saved_model.save(RankingServable(model, data, config), job.model_dir)
