"""The ranking model: predicts rating and preference of a query for a candidate."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tensorflow_transform as tft

from pipeline import features as f
from pipeline import inputs, layers, training
from pipeline.config import Ranking

_DECAY_SECONDS = (600.0, 86_400.0)
_EVAL_BATCH = 4096


class RankingModel(tfrs.Model):
    """Rating regression and preference classification over shared embeddings.

    The rating is its mean in training, plus biases of user and movie, plus the inner product of their embeddings
    (biased matrix factorisation; Koren, Bell and Volinsky 2009), plus what layers add from the products of the movie
    with user and history.

    Args:
      config: the configuration's section.
      transform: what Transform made.
      rating_range: the lowest and the highest rating in training, which predictions are kept within.
      mean_rating: of the training rows.
      mean_preference: share of the training rows that are liked.
    """

    def __init__(
        self,
        config: Ranking,
        transform: tft.TFTransformOutput,
        rating_range: tuple[float, float],
        mean_rating: float,
        mean_preference: float,
    ):
        super().__init__()
        buckets, dim = inputs.bucket_counts(transform), config.embedding_dim
        self._config = config
        self._rating_range = rating_range
        self._user = layers.UserEmbedding(
            inputs.query_names(transform), buckets, inputs.oov_index(transform, f.USER_ID.name), dim + 1, 0.05
        )
        movie_oov = inputs.oov_index(transform, f.MOVIE_ID.name)
        self._movie = layers.CandidateEmbedding(buckets, movie_oov, dim + 1, 0.05)
        self._history = layers.HistoryEmbedding(buckets[f.MOVIE_ID.name], dim, _DECAY_SECONDS, config.dropout)
        self._dropout = tf.keras.layers.Dropout(config.dropout)
        self._layers = layers.hidden_layers(config.layers, 2, "layers")
        self._rating_bias = self.add_weight("rating_bias", [], initializer=_constant(mean_rating))
        share = np.clip(mean_preference, 0.01, 0.99)
        self._preference_bias = self.add_weight(
            "preference_bias", [], initializer=_constant(np.log(share / (1 - share)))
        )
        self._preference_scale = self.add_weight("preference_scale", [], initializer=_constant(1.0))
        self._rating_loss = tfrs.tasks.Ranking(loss=tf.keras.losses.MeanSquaredError())
        self._preference_loss = tfrs.tasks.Ranking(loss=tf.keras.losses.BinaryCrossentropy(from_logits=True))

    def candidate_vectors(self, features: inputs.Batch, training: bool = False) -> tf.Tensor:
        """Candidate features [M] to vectors [M, D + 1]; the last component is the movie's bias."""
        return self._movie(features, training=training)

    def score(self, query: inputs.Batch, candidates: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Query features [B] and candidate vectors [B, M, D + 1] to ratings [B, M] and preference logits [B, M]."""
        user = self._user(query, training=training)
        history = self._history(query[f.HISTORY_MOVIE_ID.name], query[f.HISTORY_GAP], training=training)
        user_vector, user_bias = user[:, tf.newaxis, :-1], user[:, tf.newaxis, -1]
        movie_vector, movie_bias = candidates[:, :, :-1], candidates[:, :, -1]
        products = tf.concat([user_vector * movie_vector, history[:, tf.newaxis] * movie_vector, movie_vector], axis=2)
        deep = self._layers(self._dropout(products, training=training))
        effect = user_bias + movie_bias + tf.reduce_sum(user_vector * movie_vector, axis=2)
        rating = self._rating_bias + effect + deep[:, :, 0]
        preference = self._preference_bias + self._preference_scale * (effect + deep[:, :, 1])
        return rating, preference

    def predict_scores(self, query: inputs.Batch, candidates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """As `score`, with the ratings kept within the range of the training rows."""
        rating, preference = self.score(query, candidates)
        return tf.clip_by_value(rating, *self._rating_range), preference

    def compute_loss(self, batch: inputs.Batch, training: bool = False) -> tf.Tensor:
        features, labels = inputs.split_labels(batch)
        candidates = self.candidate_vectors(features, training=training)
        rating, preference = self.score(features, candidates[:, tf.newaxis], training=training)
        loss = self._config.rating_weight * self._rating_loss(labels[f.USER_RATING.name][:, tf.newaxis], rating)
        loss += self._config.preference_weight * self._preference_loss(labels[f.PREFERENCE][:, tf.newaxis], preference)
        used = tf.concat([candidates, self._user(features)], axis=1)
        return loss + self._config.embedding_l2 * tf.reduce_mean(tf.reduce_sum(used**2, axis=1))


def _constant(value: float) -> tf.keras.initializers.Initializer:
    return tf.keras.initializers.Constant(float(value))


class RankingServable(tf.Module):
    """What the Trainer exports, on dense model features and without dropout."""

    def __init__(self, model: RankingModel, transform: tft.TFTransformOutput, embedding_dim: int):
        super().__init__()
        self._model = model
        vectors = tf.TensorSpec([None, None, embedding_dim + 1], tf.float32)
        self.candidate = tf.function(
            self._candidate, input_signature=[inputs.signature(transform, inputs.candidate_names(transform))]
        )
        self.score = tf.function(
            self._score, input_signature=[inputs.signature(transform, inputs.query_names(transform)), vectors]
        )

    def _candidate(self, features: inputs.Batch) -> tf.Tensor:
        return self._model.candidate_vectors(features)

    def _score(self, query: inputs.Batch, candidates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._model.predict_scores(query, candidates)


def validate(model: RankingModel, eval_batches: tf.data.Dataset) -> dict[str, float]:
    """Errors of the ratings, and quality of the preference, on the eval split."""
    rmse, mae = tf.keras.metrics.RootMeanSquaredError(), tf.keras.metrics.MeanAbsoluteError()
    auc, accuracy = tf.keras.metrics.AUC(), tf.keras.metrics.BinaryAccuracy()

    @tf.function(reduce_retracing=True)
    def update(batch: inputs.Batch) -> None:
        features, labels = inputs.split_labels(batch)
        rating, preference = model.predict_scores(features, model.candidate_vectors(features)[:, tf.newaxis])
        for metric in (rmse, mae):
            metric.update_state(labels[f.USER_RATING.name], rating[:, 0])
        for metric in (auc, accuracy):
            metric.update_state(labels[f.PREFERENCE], tf.sigmoid(preference[:, 0]))

    for batch in eval_batches:
        update(batch)
    named = {"rmse": rmse, "mae": mae, "auc": auc, "binary_accuracy": accuracy}
    return {name: float(metric.result()) for name, metric in named.items()}


def run_fn(fn_args) -> None:
    """Trains, validates and exports; called by TFX's Trainer."""
    config = Ranking.model_validate_json(fn_args.custom_config["model"])
    tf.keras.utils.set_random_seed(config.seed)
    transform = tft.TFTransformOutput(fn_args.transform_output)
    labels = training.label_summary(fn_args.train_files, transform)
    rows = labels.rows

    model = RankingModel(config, transform, labels.rating_range, labels.mean_rating, labels.mean_preference)
    batch_size = training.fitting_batch_size(config, rows)
    train = inputs.dataset(fn_args.train_files, transform, batch_size, shuffle_seed=config.seed)
    seconds = training.fit(model, train, config, rows, fn_args.model_run_dir)

    result = validate(model, inputs.dataset(fn_args.eval_files, transform, _EVAL_BATCH))
    training.progress.info("validation: %s", ", ".join(f"{name} {value:.4f}" for name, value in result.items()))
    training.write_validation({**result, "train_seconds": seconds}, fn_args.model_run_dir)
    tf.saved_model.save(RankingServable(model, transform, config.embedding_dim), fn_args.serving_model_dir)
