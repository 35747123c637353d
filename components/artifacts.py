"""Artifact types that TFX has no standard one for."""

from tfx.types import artifact


class DataSummary(artifact.Artifact):
    """`summary.json`: counts of a data set's interactions, users, movies and rejected rows."""

    TYPE_NAME = "recommender.DataSummary"
