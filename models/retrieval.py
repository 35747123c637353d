"""The retrieval model: two towers trained with sampled softmax."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models import inputs, layers, losses, training
from models.catalogue import Catalogue, load_catalogue
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.settings import TOP_KS, Retrieval

_EVAL_BATCH = 1024
EVAL_ROWS = 20_480  # Every item is scored for each: enough to tell how it went. The Evaluator takes all.
_EVAL_SCORES = 2**26  # At once: 256 MB.


class QueryTower(tf.keras.Model):
    """User, moment and history to a query embedding [B, D + 1], whose last component multiplies an item's bias."""

    def __init__(self, config: Retrieval, features: FeatureSet, transform: tft.TFTransformOutput):
        super().__init__(name="query_tower")
        buckets, dim = inputs.bucket_counts(transform), config.embedding_dim
        self._unknown = inputs.unknown_user(features, transform)
        self._user = layers.EntityEmbedding(f.USER_ID, features.users, transform, dim, config.user_dropout)
        self._moment = layers.MomentEmbedding(buckets[f.TIMESTAMP], dim, config.moment_buckets)
        self._history = layers.HistoryEmbedding(
            buckets[f.ITEM_ID], dim, config.history_decay_seconds, config.history_dropout
        )
        self._layers = layers.hidden_layers(dim, config.query_layers, dim, "query_layers")
        self._query_dropout = config.query_dropout

    def call(self, features: inputs.Batch, training: bool = False) -> tf.Tensor:
        if training:
            features = self._with_unknown_queries(features)
        summed = (
            self._user(features, training=training)
            + self._moment(features[f.TIMESTAMP])
            + self._history(features[f.HISTORY_ITEM_ID], features[f.HISTORY_GAP], training=training)
        )
        output = self._layers(summed)
        return tf.concat([output, tf.ones_like(output[:, :1])], axis=1)

    def _with_unknown_queries(self, features: inputs.Batch) -> inputs.Batch:
        """Hides user and history of some rows, so that what is left learns to answer for an unknown user."""
        history = features[f.HISTORY_ITEM_ID]
        unknown = tf.random.uniform(tf.shape(features[f.USER_ID])) < self._query_dropout
        hidden = {
            name: tf.where(unknown, tf.cast(value, features[name].dtype), features[name])
            for name, value in self._unknown.items()
        }
        none = tf.cast(f.PADDING, history.dtype)
        return features | hidden | {f.HISTORY_ITEM_ID: tf.where(unknown[:, tf.newaxis], none, history)}


class CandidateTower(tf.keras.Model):
    """Item id and features to a candidate embedding [B, D + 1], whose last component is a bias."""

    def __init__(self, config: Retrieval, features: FeatureSet, transform: tft.TFTransformOutput):
        super().__init__(name="candidate_tower")
        buckets, dim = inputs.bucket_counts(transform), config.embedding_dim
        self._item = layers.EntityEmbedding(f.ITEM_ID, features.items, transform, dim, config.item_dropout)
        self._layers = layers.hidden_layers(dim, config.candidate_layers, dim, "candidate_layers")
        self._bias = layers.embedding(buckets[f.ITEM_ID], 1, "item_bias", initial_stddev=0.0)

    def call(self, features: inputs.Batch, training: bool = False) -> tf.Tensor:
        output = self._layers(self._item(features, training=training))
        return tf.concat([output, self._bias(features[f.ITEM_ID])], axis=1)


class RetrievalModel(training.TrainedModel):
    """Trains the towers so that softmax over the catalogue of q·c / temperature is P(item | query).

    Negatives are the other rows of the batch and, mixed in, uniform samples of the catalogue. Sampling-bias correction
    subtracts from each logit the log of the candidate's probability to be sampled (Yi et al., RecSys 2019; with the
    mixture of Yang et al., WWW 2020).

    Args:
      config: the configuration's section.
      features: of the data set.
      transform: what Transform made.
      catalogue: source of the uniform negatives.
      rows: what the training rows are like.
    """

    def __init__(
        self,
        config: Retrieval,
        features: FeatureSet,
        transform: tft.TFTransformOutput,
        catalogue: Catalogue,
        rows: training.TrainingRows,
    ):
        super().__init__()
        self.query_tower = QueryTower(config, features, transform)
        self.candidate_tower = CandidateTower(config, features, transform)
        self._config = config
        self._catalogue = {name: tf.constant(value) for name, value in catalogue.features.items()}
        self._catalogue_size = len(catalogue)
        self._frequency = tf.constant(rows.item_counts / max(rows.rows, 1), tf.float32)

    def compute_loss(self, batch: inputs.Batch, training: bool = False) -> tf.Tensor:
        queries = self.query_tower(batch, training=training)
        own = {name: batch[name] for name in self._catalogue}
        ids, vectors = own[f.ITEM_ID], self.candidate_tower(own, training=training)
        ids, vectors = losses.of_all_replicas(ids), losses.of_all_replicas(vectors)
        in_batch = tf.shape(ids)[0]
        if self._config.uniform_negatives:
            extra = self._uniform_negatives()
            ids = tf.concat([ids, extra[f.ITEM_ID]], axis=0)
            vectors = tf.concat([vectors, self.candidate_tower(extra, training=training)], axis=0)
        probability = self._sampling_probability(ids, in_batch) if self._config.sampling_bias_correction else None
        return tf.reduce_mean(losses.sampled_softmax(queries, vectors, ids, probability, self._config))

    def _uniform_negatives(self) -> inputs.Batch:
        rows = tf.random.uniform([self._config.uniform_negatives], 0, self._catalogue_size, tf.int32)
        return {name: tf.gather(values, rows) for name, values in self._catalogue.items()}

    def _sampling_probability(self, ids: tf.Tensor, batch_size: tf.Tensor) -> tf.Tensor:
        in_batch = tf.cast(batch_size, tf.float32)
        uniform = float(self._config.uniform_negatives)
        return (in_batch * tf.gather(self._frequency, ids) + uniform / self._catalogue_size) / (in_batch + uniform)


class RetrievalServable(tf.Module):
    """What the Trainer exports: both towers on dense model features, without dropout.

    The queries are divided by the temperature, so that q·c is a log-probability up to a constant.
    """

    def __init__(
        self, model: RetrievalModel, features: FeatureSet, transform: tft.TFTransformOutput, temperature: float
    ):
        super().__init__()

        def query(features: inputs.Batch) -> tf.Tensor:
            return model.query_tower(features) / temperature

        def candidate(features: inputs.Batch) -> tf.Tensor:
            return model.candidate_tower(features)

        # Not the layers: each of them would be traced and saved with functions of its own.
        self._weights = [*model.query_tower.variables, *model.candidate_tower.variables]
        self.query, self.candidate = (
            tf.function(call, input_signature=[inputs.signature(transform, names)], autograph=False)
            for call, names in (
                (query, features.query_names()),
                (candidate, features.candidate_names()),
            )
        )


def validation_batches(files: Collection[str], transform: tft.TFTransformOutput, items: int) -> tf.data.Dataset:
    """What `validate` takes of these eval files, given as patterns: some 20,000 rows at most."""
    rows = max(1, min(_EVAL_BATCH, _EVAL_SCORES // items))
    return inputs.dataset(files, transform, rows).take(EVAL_ROWS // rows)


def validate(
    servable: RetrievalServable, catalogue: Catalogue, eval_batches: tf.data.Dataset, features: FeatureSet
) -> dict[str, float]:
    """Top-k accuracy over the whole catalogue, seen items included. Equal scores count as above the true item's.

    It is what TFRS's FactorizedTopK measures, which sorts the best hundred of every query to find this one rank, and
    so takes twice as long.
    """
    names = features.query_names()
    candidates = servable.candidate(_constants(catalogue.features))
    row_of = {item: row for row, item in enumerate(catalogue.ids)}

    @tf.function(reduce_retracing=True, autograph=False)
    def ranks(query: inputs.Batch, true_rows: tf.Tensor) -> tf.Tensor:
        scores = tf.matmul(servable.query(query), candidates, transpose_b=True)
        own = tf.gather(scores, true_rows, batch_dims=1)
        return tf.math.count_nonzero(scores >= own[:, tf.newaxis], axis=1)

    found = []
    for batch in eval_batches:
        true_rows = [row_of[item] for item in batch[f.ITEM_KEY].numpy()]
        found.append(ranks({name: batch[name] for name in names}, tf.constant(true_rows)).numpy())
    return {f"top_{k}_categorical_accuracy": float((np.concatenate(found) <= k).mean()) for k in TOP_KS}


def _constants(features: dict[str, np.ndarray]) -> inputs.Batch:
    return {name: tf.constant(value) for name, value in features.items()}


def run(job: training.Job) -> None:
    """Trains, validates and exports."""
    config = Retrieval.model_validate_json(job.settings)
    features = FeatureSet.model_validate_json(job.features)
    with training.strategy(config).scope():
        tf.keras.utils.set_random_seed(config.seed)
        transform = tft.TFTransformOutput(job.transform_graph)
        catalogue = load_catalogue(job.item_files, features, transform)
        rows = training.training_rows(job.train_files, transform)
        model = RetrievalModel(config, features, transform, catalogue, rows)
        run_dir, model_dir = map(training.kept_by_chief, (job.run_dir, job.model_dir))

    batch_size = training.fitting_batch_size(config, rows.rows)
    train = inputs.dataset(job.train_files, transform, batch_size, shuffle_seed=config.seed)
    fitted = training.fit(model, train, config, rows.rows, run_dir)

    servable = RetrievalServable(model, features, transform, config.temperature)
    eval_batches = validation_batches(job.eval_files, transform, len(catalogue))
    result = validate(servable, catalogue, eval_batches, features)
    training.progress.info(
        "validation, seen items included: %s",
        ", ".join(f"top-{k} {result[f'top_{k}_categorical_accuracy']:.4f}" for k in TOP_KS),
    )
    training.write_validation(result | fitted, run_dir)
    tf.saved_model.save(servable, model_dir)
