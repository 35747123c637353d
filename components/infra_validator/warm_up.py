"""TensorFlow Serving's warm-up requests (tensorflow.org/tfx/serving/saved_model_warmup)."""

from __future__ import annotations

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
from tfx.utils import io_utils, path_utils

from components.infra_validator.asked import Asked, Recommendable
from models.features import names as f


def write_warm_up(model_dir: str, asked: Asked, recommendable: Recommendable) -> None:
    """Writes a request for each signature into the model's `assets.extra/`."""
    query, items = {name: values[:1] for name, values in asked.inputs.items()}, asked.items[:1]
    wanted = {one.feature: one.value for one in recommendable.filters}
    filters = {name: tf.constant(values) for name, values in recommendable.inputs(1, [], wanted).items()}
    requests = {
        "serving_default": {f.USER_ID: query[f.USER_ID]},
        "recommend": query,
        "recommend_filtered": query | filters,
        "retrieve": query,
        "rank": query | {f.ITEM_ID: items[:, tf.newaxis]},
        "similar": {f.ITEM_ID: items},
    }
    records = []
    for signature, tensors in requests.items():
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.name, request.model_spec.signature_name = "recommender", signature
        for name, tensor in tensors.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(tensor))
        records.append(log)
    io_utils.write_tfrecord_file(path_utils.warmup_file_path(model_dir), *records)
