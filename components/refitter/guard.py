"""Whether a refitted servable may take the place of the one that was blessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tfx.types import artifact, artifact_utils

from components.artifacts import read_json, split_files
from components.evaluator.parity import Parity
from components.evaluator.predictions import load
from components.evaluator.settings import Evaluation
from components.evaluator.shards import splits_of
from components.evaluator.verdict import INDEX_RECALL, PARITY
from components.files import BUILD_FILE, ITEMS_SPLIT
from components.queries import ask
from models.catalogue import load_catalogue
from models.features.feature_set import FeatureSet
from models.joining import Weights

_LISTS_KEPT = "lists_kept"


def compare(
    inputs: dict[str, list[artifact.Artifact]],
    features_json: str,
    trained: Mapping[str, str],
    before: str,
    after: str,
    limits: Evaluation,
) -> dict[str, Any]:
    """Asks both servables, and the refitted one's models.

    Args:
      inputs: the Refitter's.
      features_json: the FeatureSet of the data.
      trained: where the refitted models are.
      before, after: where the servables are.
      limits: what the Evaluator holds a model to.

    Returns:
      `recall_at_100` of the index, `train_serve_difference`, `lists_kept`, the mean share of the ten items that both
      recommend; and `because`, a sentence for each of them that is not within its limit.
    """
    features = FeatureSet.model_validate_json(features_json)
    transform = tft.TFTransformOutput(artifact_utils.get_single_uri(inputs["transform_graph"]))
    catalogue = load_catalogue(split_files(inputs["items"], ITEMS_SPLIT), features, transform)
    build = read_json(after, BUILD_FILE)
    weights, hidden = Weights(**build["weights"]), catalogue.are_in(build["never"])
    models = (tf.saved_model.load(trained[name]) for name in ("retrieval", "ranking"))
    splits, rows = splits_of(inputs), limits.parity_rows
    parity = Parity(load(after), *models, features, transform, catalogue, hidden, *splits, rows, weights)
    lists = [ask(load(model), "recommend", parity.inputs)["item_id"] for model in (before, after)]
    figures = {
        INDEX_RECALL: parity.index_recall(),
        PARITY: parity.score_difference(),
        _LISTS_KEPT: kept_share(*lists),
    }
    because = [
        f"{threshold.metric} is {figures[threshold.metric]:.4g}"
        for threshold in limits.active_thresholds().values()
        if threshold.metric in (INDEX_RECALL, PARITY) and not threshold.admits(figures[threshold.metric])
    ]
    if figures[_LISTS_KEPT] < limits.refit_lists_kept:
        because.append(f"{_LISTS_KEPT} is {figures[_LISTS_KEPT]:.2f}, and has to be {limits.refit_lists_kept:g}")
    return figures | {"because": because}


def kept_share(before: np.ndarray, after: np.ndarray) -> float:
    """Mean share of the items of [B, K] lists that the other lists have, too; "" fills up short ones."""
    shares = [
        len({*one.tolist()} & {*other.tolist()} - {b""}) / max(len({*one.tolist()} - {b""}), 1)
        for one, other in zip(before, after, strict=True)
    ]
    return float(np.mean(shares)) if shares else 1.0
