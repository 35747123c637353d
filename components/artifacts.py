"""Artifact types that TFX has no standard one for."""

from tfx.types import artifact


class DataSummary(artifact.Artifact):
    """`summary.json`: a data set's span, and counts of its interactions, users, movies and rejected rows."""

    TYPE_NAME = "recommender.DataSummary"
