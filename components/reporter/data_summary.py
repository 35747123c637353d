"""What TFDV found out about the data, in short, for the report."""

from __future__ import annotations

import os
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.io import fileio

from components.files import ITEMS_SPLIT, TRAIN_SPLIT
from components.statistics import Feature, by_name, common, histogram, is_text, missing_share, read_split
from models.features import names as f

_ANOMALIES_FILE = "SchemaDiff.pb"
_CHARTED = (f.RATING, f.TIMESTAMP)


def summarise(statistics_uri: str, anomalies_uri: str, item_statistics_uri: str, rows: int) -> dict[str, Any]:
    """The features of train rows and of items, histograms of ratings and times, and anomalies by feature."""
    of_train, of_items = (
        by_name(read_split(uri, split))
        for uri, split in ((statistics_uri, TRAIN_SPLIT), (item_statistics_uri, ITEMS_SPLIT))
    )
    anomalies = _anomalies(os.path.join(anomalies_uri, f"Split-{TRAIN_SPLIT}", _ANOMALIES_FILE))
    return {
        "rows": rows,
        "features": {name: _feature(feature) for name, feature in sorted((of_items | of_train).items())},
        "histograms": {name: histogram(of_train[name]) for name in _CHARTED if name in of_train},
        "anomalies": {name: info.description for name, info in anomalies.anomaly_info.items()},
    }


def _anomalies(path: str) -> anomalies_pb2.Anomalies:
    with fileio.open(path, "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())


def _feature(feature: Feature) -> dict[str, Any]:
    if is_text(feature):
        found = feature.string_stats
        most = found.top_values[0].value if found.top_values else ""
        values = {"distinct": found.unique, "most_frequent": most}
    else:
        found = feature.num_stats
        values = {"min": found.min, "median": found.median, "mean": found.mean, "max": found.max}
    return {"missing_share": missing_share(feature), "values_per_row": common(feature).avg_num_values, **values}
