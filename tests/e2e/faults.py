"""Ways to break the pipeline. Each takes what sets an attribute, as a MonkeyPatch does."""

import signal

import numpy as np
import pytest
import tensorflow as tf

from components.interaction_gen.shard import ToExamples
from components.recommender_builder import recommender, search
from components.recommender_builder import servable as builder
from models import training


def timestamps_in_milliseconds(patch):
    features = recommender.Recommender._features

    def in_milliseconds(self, query):
        return features(self, query | {name: query[name] * 1000 for name in ("timestamp", "history_timestamp")})

    patch.setattr(recommender.Recommender, "_features", in_milliseconds)


def stale_index(patch):
    fresh = builder.build_index

    def stale(config, vectors, queries):
        return fresh(config, np.random.default_rng(0).permutation(vectors), queries)

    patch.setattr(builder, "build_index", stale)


def nothing_seen(patch):
    patch.setattr(search.LeftOut, "has", lambda self, queries, items: tf.zeros_like(items, tf.bool))


def worse_on_the_tail(patch):
    fit = training.fit

    def fit_without_tail(model, *rest):
        seconds = fit(model, *rest)
        (bias,) = (weight for weight in model.trainable_weights if "item_bias" in weight.name)
        tail = np.arange(bias.shape[0]) >= 150  # Vocabularies are ordered by frequency.
        bias.assign_sub(0.6 * tail[:, np.newaxis].astype(np.float32))
        return seconds

    patch.setattr(training, "fit", fit_without_tail)


def killed_trainer(patch):
    """As the system does where memory runs out."""
    patch.setattr(training, "fit", lambda *_: signal.raise_signal(signal.SIGKILL))


def killed_beam_worker(patch):
    patch.setattr(ToExamples, "start_bundle", lambda _: signal.raise_signal(signal.SIGKILL))


def run_with(fault, target, *arguments):
    """`target(*arguments)`, with one of these broken until the process ends."""
    globals()[fault](pytest.MonkeyPatch())
    target(*arguments)
