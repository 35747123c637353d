"""The retrieval model: two towers trained with sampled softmax."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from models import inputs, layers, losses, queries, training, warm_start
from models.features import names as f
from models.repeats import Repeats
from models.settings import TOP_KS, Retrieval

_HISTORY = (f.HISTORY_ITEM_ID, f.HISTORY_GAP)
_CUT_AT_MOST = 0.3  # Of a history, the part that a row forgets.
_EVAL_BATCH = 4096
_NORMALISER_WEIGHT = 0.1  # Of the squared error of the learnt normaliser, beside the cross-entropy.
EVAL_ROWS = 20_480  # Every item is scored for each: enough to tell how it went. The Evaluator takes all.
_EVAL_SCORES = 2**26  # At once: 256 MB, and as much for how they compare.


class QueryTower(tf.keras.Model):
    """User, moment, history and context to a query embedding [B, D + 1], whose last component is the bias's.

    Of a moment after the train rows it knows nothing; `future` is its bucket.
    """

    def __init__(self, config: Retrieval, data: training.TrainingData):
        super().__init__(name="query_tower")
        features, transform, dim = data.features, data.transform, config.embedding_dim
        buckets, users = inputs.bucket_counts(transform), data.train.users
        self._unknown = data.unknown_user
        self._length = features.histories.length
        self.future = buckets[f.MOMENT] - 1
        self._user = layers.EntityEmbedding(f.USER_ID, features.users, transform, users, dim, config.user_dropout)
        self._moment = layers.MomentEmbedding(self.future, dim, config.moment_buckets)
        self._history = layers.HistoryEmbedding(buckets[f.ITEM_ID], dim, config.history_decay_seconds)
        self._context = layers.of_features(features.context, transform, {}, dim)
        self._layers = layers.hidden_layers(dim, config.query_layers, dim, "query_layers")
        self._query_dropout, self._history_cut = config.query_dropout, config.history_cut

    def call(self, features: inputs.Batch, training: bool = False) -> tf.Tensor:
        summed = (
            self._user(features, training=training)
            + self._moment(features[f.MOMENT])
            + self._history(*(features[name][:, : self._length] for name in _HISTORY))
        )
        for name, layer in self._context.items():
            summed += layer(features[name])
        output = self._layers(summed)
        return tf.concat([output, tf.ones_like(output[:, :1])], axis=1)

    def with_unknown_queries(self, features: inputs.Batch) -> inputs.Batch:
        """Hides user and history of some rows, so that what is left learns to answer for an unknown user."""
        history = features[f.HISTORY_ITEM_ID]
        unknown = tf.random.uniform(tf.shape(features[f.USER_ID])) < self._query_dropout
        hidden = {}
        for name, value in self._unknown.items():
            where = unknown if features[name].shape.rank == 1 else unknown[:, tf.newaxis]
            hidden[name] = tf.where(where, tf.cast(value, features[name].dtype), features[name])
        none = tf.cast(f.PADDING, history.dtype)
        return features | hidden | {f.HISTORY_ITEM_ID: tf.where(unknown[:, tf.newaxis], none, history)}

    def with_shorter_histories(self, features: inputs.Batch) -> inputs.Batch:
        """Some rows forget the latest part of their history: a request may come long after what is known of the user.

        Else a model learns from baskets that are half known.
        """
        history = features[f.HISTORY_ITEM_ID]
        length = tf.math.count_nonzero(history >= 0, axis=1, keepdims=True, dtype=tf.float32)
        forgets, share = tf.unstack(tf.random.uniform([2, *tf.unstack(tf.shape(length))]))
        forgotten = tf.where(forgets < self._history_cut, share * _CUT_AT_MOST * length, 0.0)
        kept = tf.range(tf.shape(history)[1]) >= tf.cast(forgotten, tf.int32)
        return features | {f.HISTORY_ITEM_ID: tf.where(kept, history, tf.cast(f.PADDING, history.dtype))}


class CandidateTower(tf.keras.Model):
    """Item id and features to a candidate embedding [B, D + 1], whose last component is a bias."""

    def __init__(self, config: Retrieval, data: training.TrainingData):
        super().__init__(name="candidate_tower")
        transform, dim, items = data.transform, config.embedding_dim, data.catalogue.features
        buckets = inputs.bucket_counts(transform)
        self._item = layers.EntityEmbedding(f.ITEM_ID, data.features.items, transform, items, dim, config.item_dropout)
        self._layers = layers.hidden_layers(dim, config.candidate_layers, dim, "candidate_layers")
        self._bias = layers.Table(buckets[f.ITEM_ID], 1, "item_bias", f.ITEM_ID, initial_stddev=0.0)

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
      data: what is trained on.
    """

    def __init__(self, config: Retrieval, data: training.TrainingData):
        super().__init__()
        self.query_tower = QueryTower(config, data)
        self.candidate_tower = CandidateTower(config, data)
        self._config = config
        self._items = data.item_table()
        self._catalogue_size = len(data.catalogue)
        self._frequency = tf.constant(data.item_counts / max(len(data.train), 1), tf.float32)
        self.repeats = None
        if data.features.histories.repeats:
            self.repeats = Repeats(config.embedding_dim, len(data.catalogue))
        forecast = data.forecast
        self.popular_now = tf.constant(np.append(forecast.now, np.float32(0)))  # The last is an unknown item.
        self.forecast_weights = tf.constant(forecast.weights)
        # By item, as a step reads few items at many moments.
        self._forecasts, self._merged = tf.constant(forecast.of_moments.T), forecast.merged

    def compute_loss(self, batch: inputs.Batch, training: bool = False) -> tf.Tensor:
        moments = batch[f.MOMENT]
        hidden = 0  # Rows that hide their moment: the first ones, as a batch is in an order of chance.
        if training:
            hidden = tf.cast(self._config.moment_dropout * tf.cast(tf.size(moments), tf.float32) + 0.5, tf.int32)
            future = tf.fill([hidden], tf.cast(self.query_tower.future, moments.dtype))
            batch = batch | {f.MOMENT: tf.concat([future, moments[hidden:]], axis=0)}
            batch = self.query_tower.with_unknown_queries(batch)
            if self.repeats:
                batch = self.query_tower.with_shorter_histories(batch)
        asked = self.query_tower(batch, training=training)
        rows = [tf.size(moments), self._config.uniform_negatives]
        places = tf.random.uniform([rows[1]], 0, self._catalogue_size, tf.int32)
        items = inputs.gathered(self._items, tf.concat([tf.cast(batch[f.ITEM_ID], tf.int32), places], axis=0))
        own_ids, other_ids = tf.split(items[f.ITEM_ID], rows)
        own, others = tf.split(self.candidate_tower(items, training=training), rows)
        ids = tf.concat([losses.of_all_replicas(own_ids), other_ids], axis=0)
        vectors = tf.concat([losses.of_all_replicas(own), others], axis=0)
        probability = self._sampling_probability(ids) if self._config.sampling_bias_correction else None
        forecast = self._forecast(moments[:hidden], ids)
        found = losses.sampled_softmax(asked, vectors, forecast, ids, probability, self._config)
        if self.repeats:
            logits = tf.reduce_sum(asked * own, axis=1) / self._config.temperature
            logits += losses.filled_up(tf.linalg.diag_part(forecast), tf.size(moments))
            found = self._with_repeats(self.repeats, batch, asked, own_ids, logits, found, probability)
        return losses.weighted_mean(found, batch)

    def _with_repeats(
        self,
        repeats: Repeats,
        batch: inputs.Batch,
        asked: tf.Tensor,
        items: tf.Tensor,
        logits: tf.Tensor,
        losses_of_towers: tf.Tensor,
        probability: tf.Tensor | None,
    ) -> tf.Tensor:
        """[B] losses of the mixture. `probability`, of all sampled, begins with that of the queries' own items."""
        expected = 1.0  # Times that the item is sampled.
        if probability is not None:
            expected = probability[: tf.shape(asked)[0]] * tf.cast(tf.shape(probability)[0], tf.float32)
        towers = tf.math.log(expected) - losses_of_towers  # Its part of the sum over the catalogue, as estimated.
        query, history = asked[:, :-1], batch[f.HISTORY_ITEM_ID]
        error = repeats.normaliser(tf.stop_gradient(query))[:, 0] - tf.stop_gradient(logits - towers)
        own_share = repeats.own(history, batch[f.HISTORY_GAP], items[:, tf.newaxis])
        mixed = repeats.mixed(query, history, own_share, towers[:, tf.newaxis])[:, 0]
        return _NORMALISER_WEIGHT * tf.square(error) - mixed

    def _forecast(self, moments: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """[B, C] logs of what was popular before [B] moments, of [C] items."""
        places = tf.minimum(moments // self._merged, self._forecasts.shape[1] - 1)
        return tf.transpose(tf.gather(tf.gather(self._forecasts, ids), places, axis=1))

    def _sampling_probability(self, ids: tf.Tensor) -> tf.Tensor:
        """[C] probabilities of the candidates to be sampled, by the batches of all replicas or as one of the others."""
        uniform = float(self._config.uniform_negatives)
        in_batch = tf.cast(tf.size(ids), tf.float32) - uniform
        return (in_batch * tf.gather(self._frequency, ids) + uniform / self._catalogue_size) / (in_batch + uniform)


class RetrievalServable(tf.Module):
    """What the Trainer exports of a model as it is: both towers on dense model features, without dropout.

    The queries are divided by the temperature, so that q·c is a log-probability up to a constant. One component more
    than in training adds what is popular now to the scores of queries from after the train rows. The last one is 0:
    it is for what is popular by more rows than those of train, with `forecast_weights`.
    """

    def __init__(self, model: RetrievalModel, data: training.TrainingData, temperature: float):
        super().__init__()
        popular_now = tf.Variable(model.popular_now, trainable=False)
        self.forecast_weights = tf.Variable(model.forecast_weights, trainable=False)

        def query(features: inputs.Batch) -> tf.Tensor:
            after = tf.cast(features[f.MOMENT] == model.query_tower.future, tf.float32)
            return tf.concat([model.query_tower(features) / temperature, _with_zero(after)], axis=1)

        def candidate(features: inputs.Batch) -> tf.Tensor:
            popular = tf.gather(popular_now, features[f.ITEM_ID])
            return tf.concat([model.candidate_tower(features), _with_zero(popular)], axis=1)

        # Not the layers: each of them would be traced and saved with functions of its own.
        with layers.exporting(model) as weights:
            self._weights = [*weights, popular_now]
            self.query = training.traced(query, data.query_spec())
            self.candidate = training.traced(candidate, data.candidate_spec())
            if repeats := model.repeats:

                def again(
                    vectors: tf.Tensor, history: tf.Tensor, gaps: tf.Tensor, items: tf.Tensor, logits: tf.Tensor
                ) -> tf.Tensor:
                    """[B, M] log P of items that may repeat, from queries, histories and the towers' products."""
                    query = vectors[:, : repeats.dim] * temperature
                    return repeats.mixed(
                        query, history, repeats.own(history, gaps, items), logits - repeats.normaliser(query)
                    )

                types = (tf.float32, tf.int64, tf.float32, tf.int64, tf.float32)
                self.again = training.traced(again, *(tf.TensorSpec([None, None], dtype) for dtype in types))


def _with_zero(values: tf.Tensor) -> tf.Tensor:
    return tf.stack([values, tf.zeros_like(values)], axis=1)


def validate(servable: RetrievalServable, data: training.TrainingData) -> dict[str, float]:
    """Top-k accuracy over the whole catalogue, seen items included, for some 20,000 eval rows at most.

    Equal scores count as above the true item's. It is what TFRS's FactorizedTopK measures, which sorts the best hundred
    of every query to find this one rank.
    """
    names, catalogue = data.features.query_names(), data.catalogue
    candidates = servable.candidate({name: tf.constant(values[:-1]) for name, values in catalogue.features.items()})

    @tf.function(input_signature=[data.query_spec(), tf.TensorSpec([None], tf.int64)], autograph=False)
    def ranks(query: inputs.Batch, true_rows: tf.Tensor) -> tf.Tensor:
        scores = tf.matmul(servable.query(query), candidates, transpose_b=True)
        own = tf.gather(scores, true_rows, batch_dims=1)
        # Floats, as count_nonzero makes eight bytes of each comparison.
        return tf.reduce_sum(tf.cast(scores >= own[:, tf.newaxis], tf.float32), axis=1)

    found = [np.zeros(0)]
    rows = max(1, min(_EVAL_BATCH, _EVAL_SCORES // len(catalogue)))
    for batch in queries.in_order(data.eval, rows, EVAL_ROWS):
        true_rows = catalogue.rows(batch[f.ITEM_KEY].numpy())
        found.append(ranks({name: batch[name] for name in names}, tf.constant(true_rows)).numpy())
    measured = np.concatenate(found)
    return {f"top_{k}_categorical_accuracy": float((measured <= k).mean()) for k in TOP_KS}


def run(job: training.Job) -> None:
    """Trains, validates and exports."""
    config, data, model = training.made(job, Retrieval, RetrievalModel)
    with model.distribute_strategy.scope():
        begun = training.begin(model, data, job, "retrieval")
        run_dir, model_dir = map(training.kept_by_chief, (job.run_dir, job.model_dir))

    fitted = training.fit(model, data, config, run_dir, begun)

    servable = RetrievalServable(model, data, config.temperature)
    result = validate(servable, data)
    training.progress.info(
        "validation, seen items included: %s",
        ", ".join(f"top-{k} {result[f'top_{k}_categorical_accuracy']:.4f}" for k in TOP_KS),
    )
    training.write_validation(result | fitted | {"warm_start": begun.figures()}, run_dir)
    tf.saved_model.save(servable, model_dir)
    if job.split:
        warm_start.keep(model, data, job.split, warm_start.path(model_dir, "retrieval"))


def refit(job: training.Job) -> None:
    """Goes on from what `job.begin_with` keeps of the same data, for one pass over the eval rows, and exports."""
    config, data, model = training.made(job, Retrieval, RetrievalModel)
    training.refit(model, data, config, job, "retrieval")
    tf.saved_model.save(RetrievalServable(model, data, config.temperature), job.model_dir)
