"""What TFDV found out about the data, in short, for the report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from models.features import names as f

_STATISTICS_FILE, _ANOMALIES_FILE = "FeatureStats.pb", "SchemaDiff.pb"
_CHARTED = (f.RATING, f.TIMESTAMP)


def summarise(statistics_uri: str, anomalies_uri: str, split: str = "train") -> dict[str, Any]:
    """A split's features with their statistics, histograms of ratings and times, and anomalies by feature."""
    statistics = tfdv.load_stats_binary(os.path.join(statistics_uri, f"Split-{split}", _STATISTICS_FILE))
    (dataset,) = statistics.datasets
    anomalies = _anomalies(os.path.join(anomalies_uri, f"Split-{split}", _ANOMALIES_FILE))
    by_name = {feature.path.step[0]: feature for feature in dataset.features}
    return {
        "rows": dataset.num_examples,
        "features": {name: _feature(feature) for name, feature in sorted(by_name.items())},
        "histograms": {name: _histogram(by_name[name]) for name in _CHARTED if name in by_name},
        "anomalies": {name: info.description for name, info in anomalies.anomaly_info.items()},
    }


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
