"""The ranking model: predicts rating, preference and choice of a query for a candidate."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models import inputs, layers, losses, training
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.settings import Ranking

_EVAL_BATCH = 4096


class Predictions(NamedTuple):
    """What the model says of B queries and M candidates each: [B, M] tensors."""

    choice: tf.Tensor  # Log of P(candidate | query), up to a constant of the query.
    rating: Any  # None where the data has no ratings.
    preference: Any  # Logit of P(liked | query, candidate); None, too, where it has none.


class RankingModel(training.TrainedModel):
    """Rating regression, preference classification and choice among candidates, over shared embeddings.

    The rating is its mean in training, plus biases of user and item, plus the inner product of their embeddings
    (biased matrix factorisation; Koren, Bell and Volinsky 2009), plus what layers add from the products of the item
    with user and history. Choice is learnt by softmax over the row's item and those of other rows, corrected for the
    sampling bias as in retrieval: the ranker's own view of what retrieval estimates. Of data without ratings the choice
    is all that is learnt.

    Args:
      config: the configuration's section.
      features: of the data set.
      transform: what Transform made.
      rows: what the training rows are like.
    """

    def __init__(
        self, config: Ranking, features: FeatureSet, transform: tft.TFTransformOutput, rows: training.TrainingRows
    ):
        super().__init__()
        buckets, dim = inputs.bucket_counts(transform), config.embedding_dim
        decay = config.history_decay_seconds
        self._config = config
        self._ratings = rows.ratings
        self._frequency = tf.constant(np.maximum(rows.item_counts, 1) / max(rows.rows, 1), tf.float32)
        self._user = layers.EntityEmbedding(f.USER_ID, features.users, transform, dim + 1, config.user_dropout)
        self._item = layers.EntityEmbedding(f.ITEM_ID, features.items, transform, dim + 1, config.item_dropout)
        self._history = layers.HistoryEmbedding(buckets[f.ITEM_ID], dim, decay, config.dropout)
        self._attention = layers.TargetAttention(buckets[f.ITEM_ID], dim, decay, config.dropout)
        # One draw for all candidates of a row: they are compared with each other, and drawing for each takes long.
        self._dropout = tf.keras.layers.Dropout(config.dropout, noise_shape=[None, 1, None])
        self._layers = layers.hidden_layers(4 * dim, config.layers, 3 if rows.ratings else 1, "layers")
        if rows.ratings:
            self._rating_bias = self.add_weight("rating_bias", [], initializer=_constant(rows.ratings.mean))
            probability = np.clip(rows.ratings.mean_preference, 0.01, 0.99)
            logit = np.log(probability / (1 - probability))
            self._preference_bias = self.add_weight("preference_bias", [], initializer=_constant(logit))
            self._preference_scale = self.add_weight("preference_scale", [], initializer=_constant(1.0))

    def candidate_vectors(self, features: inputs.Batch, training: bool = False) -> tf.Tensor:
        """Candidate features [M] to vectors [M, D + 1]; the last component is the item's bias."""
        return self._item(features, training=training)

    def score(self, query: inputs.Batch, candidates: tf.Tensor, training: bool = False) -> Predictions:
        """Query features [B] and candidate vectors [B, M, D + 1] to predictions; ratings are not yet kept in range."""
        user = self._user(query, training=training)[:, tf.newaxis]
        history = self._history(query[f.HISTORY_ITEM_ID], query[f.HISTORY_GAP], training=training)[:, tf.newaxis]
        user, user_bias = tf.split(user, [self._config.embedding_dim, 1], axis=2)
        item, item_bias = tf.split(candidates, [self._config.embedding_dim, 1], axis=2)
        attended = self._attention(query[f.HISTORY_ITEM_ID], query[f.HISTORY_GAP], item, training=training)
        agreement = user * item
        products = tf.concat([agreement, history * item, attended * item, item], axis=2)
        deep = self._layers(self._dropout(products, training=training))
        choice = tf.reduce_sum((history + attended) * item, axis=2) + deep[:, :, -1]
        if not self._ratings:
            return Predictions(choice, None, None)
        effect = tf.squeeze(user_bias + item_bias, 2) + tf.reduce_sum(agreement, axis=2)
        preference = self._preference_bias + self._preference_scale * (effect + deep[:, :, 1])
        return Predictions(choice, self._rating_bias + effect + deep[:, :, 0], preference)

    def predict_scores(self, query: inputs.Batch, candidates: tf.Tensor) -> Predictions:
        """As `score`, with the ratings kept within the range of the training rows."""
        found = self.score(query, candidates)
        if not self._ratings:
            return found
        return found._replace(rating=tf.clip_by_value(found.rating, self._ratings.low, self._ratings.high))

    def compute_loss(self, batch: inputs.Batch, training: bool = False) -> tf.Tensor:
        features, labels = inputs.split_labels(batch)
        own = self.candidate_vectors(features, training=training)
        candidates, ids = map(losses.of_all_replicas, (own, features[f.ITEM_ID]))
        # Column 0 is the row's own item; the others are those of the rows that follow it.
        others = tf.range(tf.shape(own)[0])[:, tf.newaxis] + tf.range(self._config.negatives + 1)
        others %= tf.shape(candidates)[0]
        found = self.score(features, tf.gather(candidates, others), training=training)
        config = self._config
        loss = config.choice_loss_weight * self._choice_loss(found.choice, tf.gather(ids, others))
        if self._ratings:
            rating_loss = tf.math.squared_difference(found.rating[:, 0], labels[f.RATING])
            preference_loss = tf.nn.sigmoid_cross_entropy_with_logits(labels[f.PREFERENCE], found.preference[:, 0])
            loss += config.rating_loss_weight * rating_loss + config.preference_loss_weight * preference_loss
        return tf.reduce_mean(loss)

    def _choice_loss(self, logits: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """[B] softmax cross-entropies of column 0 of [B, M], without further columns of the same item."""
        corrected = logits - tf.math.log(tf.gather(self._frequency, ids))
        repeated = tf.concat([tf.zeros_like(ids[:, :1], tf.bool), ids[:, 1:] == ids[:, :1]], axis=1)
        masked = tf.where(repeated, layers.NEVER, corrected)
        first = tf.zeros_like(ids[:, 0], tf.int32)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(first, masked)


def _constant(value: float) -> tf.keras.initializers.Initializer:
    return tf.keras.initializers.Constant(float(value))


class RankingServable(tf.Module):
    """What the Trainer exports, on dense model features and without dropout."""

    def __init__(self, model: RankingModel, features: FeatureSet, transform: tft.TFTransformOutput, config: Ranking):
        super().__init__()

        def candidate(features: inputs.Batch) -> tf.Tensor:
            return model.candidate_vectors(features)

        def score(query: inputs.Batch, candidates: tf.Tensor) -> dict[str, tf.Tensor]:
            """`added` to the retrieval scores to order by and, where there are ratings, `predicted_rating`: [B, M].

            What is added is a weighted sum of log P(liked | query, candidate), where there are ratings, and the
            ranker's own log P(candidate | query).
            """
            found = model.predict_scores(query, candidates)
            added = config.choice_score_weight * found.choice
            if found.rating is None:
                return {"added": added}
            liked = tf.math.log_sigmoid(found.preference)
            return {"added": config.preference_score_weight * liked + added, "predicted_rating": found.rating}

        # Not the layers: each of them would be traced and saved with functions of its own.
        self._weights = model.variables
        query, item = (
            inputs.signature(transform, names) for names in (features.query_names(), features.candidate_names())
        )
        vectors = tf.TensorSpec([None, None, config.embedding_dim + 1], tf.float32)
        self.candidate = tf.function(candidate, input_signature=[item], autograph=False)
        self.score = tf.function(score, input_signature=[query, vectors], autograph=False)


def validate(model: RankingModel, eval_batches: tf.data.Dataset) -> dict[str, float]:
    """Errors of the ratings, and quality of the preference, on the eval split."""
    rmse, mae = tf.keras.metrics.RootMeanSquaredError(), tf.keras.metrics.MeanAbsoluteError()
    auc, accuracy = tf.keras.metrics.AUC(), tf.keras.metrics.BinaryAccuracy()

    @tf.function(reduce_retracing=True, autograph=False)
    def update(batch: inputs.Batch) -> None:
        features, labels = inputs.split_labels(batch)
        found = model.predict_scores(features, model.candidate_vectors(features)[:, tf.newaxis])
        for metric in (rmse, mae):
            metric.update_state(labels[f.RATING], found.rating[:, 0])
        for metric in (auc, accuracy):
            metric.update_state(labels[f.PREFERENCE], tf.sigmoid(found.preference[:, 0]))

    for batch in eval_batches:
        update(batch)
    named = {"rmse": rmse, "mae": mae, "auc": auc, "binary_accuracy": accuracy}
    return {name: float(metric.result()) for name, metric in named.items()}


def run(job: training.Job) -> None:
    """Trains, validates and exports."""
    config = Ranking.model_validate_json(job.settings)
    features = FeatureSet.model_validate_json(job.features)
    with training.strategy(config).scope():
        tf.keras.utils.set_random_seed(config.seed)
        transform = tft.TFTransformOutput(job.transform_graph)
        rows = training.training_rows(job.train_files, transform)
        model = RankingModel(config, features, transform, rows)
        run_dir, model_dir = map(training.kept_by_chief, (job.run_dir, job.model_dir))

    batch_size = training.fitting_batch_size(config, rows.rows)
    train = inputs.dataset(job.train_files, transform, batch_size, shuffle_seed=config.seed)
    fitted = training.fit(model, train, config, rows.rows, run_dir)

    result = validate(model, inputs.dataset(job.eval_files, transform, _EVAL_BATCH)) if rows.ratings else {}
    if result:
        training.progress.info("validation: %s", ", ".join(f"{name} {value:.4f}" for name, value in result.items()))
    training.write_validation(result | fitted, run_dir)
    tf.saved_model.save(RankingServable(model, features, transform, config), model_dir)
