"""Joins trained parts into one SavedModel."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx.types import artifact, artifact_utils

from components.artifacts import split_files
from components.drift_validator import kept
from components.files import BUILD_FILE, ITEMS_SPLIT, SPLITS, TRAIN_SPLIT
from components.recommender_builder import explored, item_values
from components.recommender_builder.index import build_index, describe, of_catalogue
from components.recommender_builder.recommender import Recommender
from components.recommender_builder.rules import hide
from components.recommender_builder.settings import Index
from components.recommender_builder.stages import fit_weights
from components.recommender_builder.users import Known, join
from components.recommender_builder.vectors import CandidateVectors
from models.catalogue import Catalogue, load_catalogue
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.features.preprocessing import unknown_user
from models.queries import Queries, model_batch
from models.timelines import TEXT, Layout, read_timelines, transformed_layout

_DESCRIBED_K = 100
_QUERIES = 256
_OF_RETRIEVAL, _OF_RANKING = ("query", "again"), ("score",)  # What requests call.


def write_servable(
    inputs: dict[str, list[artifact.Artifact]],
    exec_properties: Mapping[str, Any],
    trained: Mapping[str, str],
    model_dir: str,
) -> None:
    """Builds index and servable; queries of the eval split tune the index.

    Args:
      inputs, exec_properties: RecommenderBuilder's, but for the models.
      trained: where the models `retrieval` and `ranking` are.
      model_dir: where the servable goes.
    """
    config = Index.model_validate_json(exec_properties["index"])
    transform = tft.TFTransformOutput(artifact_utils.get_single_uri(inputs["transform_graph"]))
    features = FeatureSet.model_validate_json(exec_properties["features"])
    item_files = split_files(inputs["items"], ITEMS_SPLIT)
    catalogue = load_catalogue(item_files, features, transform)
    values = item_values.read(
        item_files, {name: features.items[name] for name in config.raw_features(features)}, catalogue
    )
    rules = hide(config.never, values, catalogue)
    train, held_out = (_known(inputs, split, features, transform, catalogue) for split in SPLITS)
    users = join([train, held_out], unknown_user(features, transform))
    retrieval, ranking = (tf.saved_model.load(trained[name]) for name in ("retrieval", "ranking"))
    vectors = CandidateVectors(catalogue, users, retrieval, ranking)
    asked = Queries(train.timelines, features.histories, held_out.timelines)
    sample = model_batch(asked.at(tf.range(min(_QUERIES, asked.rows), dtype=tf.int64)))
    queries = retrieval.query({name: sample[name] for name in features.query_names()}).numpy()
    embeddings = tf.gather(vectors.retrieval, rules.rows).numpy()
    directions = vectors.directions(rules.rows).numpy()
    built = build_index(config, embeddings, queries)
    of_directions = build_index(config, directions, directions[:: max(1, len(directions) // _QUERIES)])
    index, similar_index = (of_catalogue(one, rules.rows, len(catalogue)) for one in (built, of_directions))
    weights = fit_weights(
        train.timelines, features, catalogue, retrieval, ranking, vectors, index, config.candidates, rules.hidden
    )
    rules = rules.following(config, features.filters(), values, vectors, queries)
    models = ForRequests(retrieval, _OF_RETRIEVAL), ForRequests(ranking, _OF_RANKING)
    recommender = Recommender(
        config, catalogue, users, features, transform, *models, vectors, index, similar_index, weights, rules
    )

    options = tf.saved_model.SaveOptions(namespace_whitelist=["Scann"])
    tf.saved_model.save(recommender, model_dir, signatures=recommender.signatures(), options=options)

    described = describe(built, embeddings, queries, _DESCRIBED_K)
    described |= {"candidates": min(config.candidates, len(embeddings)), "never": len(catalogue) - len(embeddings)}
    build = {"origin": exec_properties["origin"], "index": described, "weights": weights._asdict()}
    build |= rules.described(catalogue, features.filters(), values)
    path = os.path.join(model_dir, BUILD_FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(json.dumps(build, indent=2))
    delivery = kept.of_artifacts(inputs)
    kept.write(delivery, model_dir)
    explored.write(model_dir, catalogue, users, features, item_files, delivery.interactions)


class ForRequests(tf.Module):
    """Some functions of a trained model, with the variables that they read and no others.

    What a model makes of the candidates is in the servable already, and the tables for it are a quarter of what an item
    takes in a server's memory.

    Args:
      loaded: a SavedModel whose variables are in `_weights`.
      functions: names, of which it may have some.
    """

    def __init__(self, loaded: Any, functions: Collection[str]):
        super().__init__()
        read: set[int] = set()
        for name in functions:
            if hasattr(loaded, name):
                function = getattr(loaded, name)
                setattr(self, name, function)
                read |= {id(tensor) for tensor in function.captured_inputs}
        self.read = [variable for variable in loaded._weights if id(variable.handle) in read]


def _known(
    inputs: dict, split: str, features: FeatureSet, transform: tft.TFTransformOutput, catalogue: Catalogue
) -> Known:
    raw = read_timelines(split_files(inputs["examples"], split), Layout({f.USER_ID: TEXT}, {}))
    layout = transformed_layout(features, transform, with_keys=split != TRAIN_SPLIT)
    timelines = read_timelines(split_files(inputs["transformed_examples"], split), layout)
    # What is in train is in the vocabulary, whose order is the catalogue's.
    items = timelines.rows[f.ITEM_ID] if split == TRAIN_SPLIT else catalogue.rows(timelines.rows[f.ITEM_KEY])
    return Known(raw.users[f.USER_ID], timelines, items)
