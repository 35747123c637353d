"""What TFDV's statistics say, feature by feature."""

from __future__ import annotations

import os

import tensorflow as tf
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.files import STATISTICS_FILE

Statistics = statistics_pb2.DatasetFeatureStatisticsList
Feature = statistics_pb2.FeatureNameStatistics


def read_split(uri: str, split: str) -> Statistics:
    """Those of a split of StatisticsGen's artifact."""
    return read(os.path.join(uri, f"Split-{split}", STATISTICS_FILE))


def read(path: str) -> Statistics:
    """Those in a file, wherever it is."""
    with tf.io.gfile.GFile(path, "rb") as file:
        return Statistics.FromString(file.read())


def by_name(statistics: Statistics) -> dict[str, Feature]:
    """The features of statistics of one data set."""
    (dataset,) = statistics.datasets
    return {feature.path.step[0]: feature for feature in dataset.features}


def is_text(feature: Feature) -> bool:
    """Whether its values are texts; else they are numbers."""
    return feature.HasField("string_stats")


def common(feature: Feature) -> statistics_pb2.CommonStatistics:
    """What is counted of texts and of numbers alike."""
    return (feature.string_stats if is_text(feature) else feature.num_stats).common_stats


def missing_share(feature: Feature) -> float:
    """The share of the examples that lack it."""
    counts = common(feature)
    return counts.num_missing / max(counts.num_non_missing + counts.num_missing, 1)


def histogram(feature: Feature) -> list[list[float]]:
    """Of numbers: low end, high end and count of each bucket."""
    standard = next(h for h in feature.num_stats.histograms if h.type == statistics_pb2.Histogram.STANDARD)
    return [[bucket.low_value, bucket.high_value, bucket.sample_count] for bucket in standard.buckets]
