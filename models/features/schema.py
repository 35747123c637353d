"""The curated schema, derived from the features."""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow_metadata.proto.v0 import schema_pb2

from models.features.kinds import Feature


def build_schema(features: Mapping[str, Feature]) -> schema_pb2.Schema:
    """What every raw example has to look like."""
    schema = schema_pb2.Schema()
    for name, feature in features.items():
        feature.describe(schema.feature.add(name=name))
    return schema
