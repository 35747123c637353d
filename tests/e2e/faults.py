"""Ways to break the pipeline, in the processes of its components."""

import signal
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.evaluator import executor as evaluator
from components.evaluator import predictions
from components.recommender_builder import executor as builder
from components.recommender_builder import recommender
from models import training


def timestamps_in_milliseconds():
    features = recommender.Recommender._features

    def in_milliseconds(self, user_id, timestamp, history_item_id, history_timestamp):
        return features(self, user_id, timestamp * 1000, history_item_id, history_timestamp * 1000)

    recommender.Recommender._features = in_milliseconds


def stale_index():
    fresh = builder.build_index

    def stale(config, vectors, queries):
        return fresh(config, np.random.default_rng(0).permutation(vectors), queries)

    builder.build_index = stale


def worse_on_the_tail():
    fit = training.fit

    def fit_without_tail(model, *rest):
        seconds = fit(model, *rest)
        (bias,) = (weight for weight in model.trainable_weights if "item_bias" in weight.name)
        tail = np.arange(bias.shape[0]) >= 150  # Vocabularies are ordered by frequency.
        bias.assign_sub(1.25 * tail[:, np.newaxis].astype(np.float32))
        return seconds

    training.fit = fit_without_tail


def nothing_seen():
    seen = recommender.Recommender._seen

    def of_nobody(self, user_id, history_item_id):
        return seen(self, tf.zeros_like(user_id), history_item_id[:, :0])

    recommender.Recommender._seen = of_nobody


def damaged_after_blessing():
    bless = evaluator._bless

    def bless_and_damage(blessing, model, blessed):
        bless(blessing, model, blessed)
        (weights,) = Path(model.uri).rglob("variables.data-*")
        weights.write_bytes(weights.read_bytes()[: 1 << 10])

    evaluator._bless = bless_and_damage


def killed_trainer():
    """As the system does where memory runs out."""
    training.fit = lambda *_: signal.raise_signal(signal.SIGKILL)


def killed_beam_worker():
    predictions.Predict.process = lambda self, element, popularity: signal.raise_signal(signal.SIGKILL)


def run_with(fault, target, *arguments):
    """`target(*arguments)`, with one of these broken."""
    globals()[fault]()
    target(*arguments)
