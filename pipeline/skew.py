"""`recommender skew`: are the requests like what the live model was trained on?"""

from __future__ import annotations

import glob
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from components.drift_validator import kept
from components.drift_validator.distances import Distance, skew
from components.drift_validator.executor import STOP, level_of
from components.drift_validator.settings import Drift
from components.interaction_gen.profile import hours_of
from components.push_destination import destination
from components.tables.ids import of_ids
from models.errors import UserError
from models.features import names as f

_NOT_CONTEXT = {f.USER_ID, f.ITEM_ID, f.TIMESTAMP, f.HISTORY_ITEM_ID, f.HISTORY_TIMESTAMP}

Request = dict[str, Any]


def run(requests: str, model_dir: str, limits: Drift, console: Console) -> bool:
    """Says what differs, with the limits of `drift`; returns whether anything reaches `stop`.

    Args:
      requests: a file of them, or a pattern as `log-*.tfrecord`: TensorFlow Serving's request log, TFRecords
        of PredictionLog, or JSON lines, of which each is an instance or the body of a REST request.
      model_dir: directory of the pushed versions.
      limits: from where on a distance is said.
      console: for what was found.

    Raises:
      UserError: no version, or one of an older edition; a file that cannot be read, or without requests.
    """
    served = destination(model_dir)
    versions = served.versions()
    if not versions:
        raise UserError(f"--model-dir {model_dir}: no version there")
    was = kept.read(served.place(versions[-1]))
    if was is None:
        raise UserError(f"{served.place(versions[-1])} keeps nothing of its data: an older edition has pushed it")
    asked = [*read_requests(requests)]
    if not asked:
        raise UserError(f"{requests}: no request in it")
    found = [(one, level) for one in _distances(asked, was) if (level := level_of(one, limits))]
    console.print(f"{len(asked):,} requests against version {versions[-1]}", soft_wrap=True)
    for distance, level in found:
        colour = "red" if level == STOP else "yellow"
        console.print(f"[{colour}]{level}[/] {distance} (drift.limits.{distance.kind}.{distance.name})", soft_wrap=True)
    if not found:
        console.print("[green]No skew[/green]")
    return any(level == STOP for _, level in found)


def read_requests(pattern: str) -> Iterator[Request]:
    """The requests of a file or of several, a row each. Raises UserError that names the file and the line or record."""
    for path in sorted(glob.glob(pattern)) or [pattern]:
        yield from _read(path)


def _read(path: str) -> Iterator[Request]:
    try:
        with open(path, "rb") as file:
            is_json = file.read(64).lstrip()[:1] in (b"{", b"[", b'"')
    except OSError as error:
        raise UserError(f"--requests {path}: {error.strerror}") from error
    return _of_json(path) if is_json else _of_records(path)


def _of_json(path: str) -> Iterator[Request]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                body = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}, line {number}: no JSON ({error})") from None
            if not isinstance(body, dict):
                raise UserError(f"{path}, line {number}: give an object, as a request or one of its instances is")
            if "inputs" in body and isinstance(body["inputs"], dict):
                yield from _rows(body["inputs"])
            else:
                for instance in body.get("instances", [body]):
                    yield instance if isinstance(instance, dict) else {f.USER_ID: instance}


def _of_records(path: str) -> Iterator[Request]:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    try:
        for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            tensors = log.predict_log.request.inputs
            yield from _rows({name: tf.make_ndarray(tensor).tolist() for name, tensor in tensors.items()})
    except Exception as error:  # TensorFlow's, and protobuf's.
        raise UserError(f"{path}: neither JSON lines nor TFRecords of PredictionLog ({error})") from error


def _rows(inputs: dict[str, Any]) -> Iterator[Request]:
    columns = {name: values if isinstance(values, list) else [values] for name, values in inputs.items()}
    for values in zip(*columns.values(), strict=False):
        yield dict(zip(columns, values, strict=True))


def _distances(asked: list[Request], was: kept.Delivery) -> list[Distance]:
    import pandas as pd
    import tensorflow_data_validation as tfdv

    users, items = (pa.array(sorted({*_texts(asked, name)}), pa.string()) for name in (f.USER_ID, f.HISTORY_ITEM_ID))
    times = np.array([int(one[f.TIMESTAMP]) for one in asked if one.get(f.TIMESTAMP)], np.int64)
    profile = {"users": of_ids(users), "items": of_ids(items), "hours": hours_of(times)}
    names = sorted({name for one in asked for name in one} - _NOT_CONTEXT)
    frame = pd.DataFrame({name: [_value(one.get(name)) for one in asked] for name in names})
    statistics = tfdv.generate_statistics_from_dataframe(frame) if names else None
    return skew(profile, statistics, was)


def _texts(asked: list[Request], name: str) -> Iterator[str]:
    for one in asked:
        values = one.get(name, ())
        for value in values if isinstance(values, list) else [values]:
            if text := _text(value):
                yield text


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _value(value: Any) -> Any:
    """A context's value; None where it is unknown."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return (_text(value) or None) if isinstance(value, str | bytes) else value
