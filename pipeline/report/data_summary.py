"""What TFDV found out about the data, in short, for the report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from components.files import ITEMS_SPLIT, STATISTICS_FILE, TRAIN_SPLIT
from models.features import names as f

_ANOMALIES_FILE = "SchemaDiff.pb"
_CHARTED = (f.RATING, f.TIMESTAMP)


def summarise(statistics_uri: str, anomalies_uri: str, item_statistics_uri: str, rows: int) -> dict[str, Any]:
    """The features of train rows and of items, histograms of ratings and times, and anomalies by feature."""
    of_train = _by_name(statistics_uri, TRAIN_SPLIT)
    anomalies = _anomalies(os.path.join(anomalies_uri, f"Split-{TRAIN_SPLIT}", _ANOMALIES_FILE))
    by_name = _by_name(item_statistics_uri, ITEMS_SPLIT) | of_train
    return {
        "rows": rows,
        "features": {name: _feature(feature) for name, feature in sorted(by_name.items())},
        "histograms": {name: _histogram(of_train[name]) for name in _CHARTED if name in of_train},
        "anomalies": {name: info.description for name, info in anomalies.anomaly_info.items()},
    }


def _by_name(statistics_uri: str, split: str) -> dict[str, statistics_pb2.FeatureNameStatistics]:
    (dataset,) = tfdv.load_stats_binary(os.path.join(statistics_uri, f"Split-{split}", STATISTICS_FILE)).datasets
    return {feature.path.step[0]: feature for feature in dataset.features}


def _anomalies(path: str) -> anomalies_pb2.Anomalies:
    return anomalies_pb2.Anomalies.FromString(Path(path).read_bytes())


def _feature(feature: statistics_pb2.FeatureNameStatistics) -> dict[str, Any]:
    if feature.HasField("string_stats"):
        found = feature.string_stats
        common = found.common_stats
        most = found.top_values[0].value if found.top_values else ""
        values = {"distinct": found.unique, "most_frequent": most}
    else:
        found = feature.num_stats
        common = found.common_stats
        values = {"min": found.min, "median": found.median, "mean": found.mean, "max": found.max}
    rows = common.num_non_missing + common.num_missing
    return {"missing_share": common.num_missing / max(rows, 1), "values_per_row": common.avg_num_values, **values}


def _histogram(feature: statistics_pb2.FeatureNameStatistics) -> list[list[float]]:
    """Low end, high end and count of each bucket."""
    standard = next(h for h in feature.num_stats.histograms if h.type == statistics_pb2.Histogram.STANDARD)
    return [[bucket.low_value, bucket.high_value, bucket.sample_count] for bucket in standard.buckets]
