"""The curated schemas, derived from the features."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tensorflow_metadata.proto.v0 import schema_pb2

from models.features.kinds import Feature


def build_schema(features: Mapping[str, Feature], lists: Collection[str] = ()) -> schema_pb2.Schema:
    """What every raw example has to look like; the features named in `lists` have an entry for each interaction."""
    schema = schema_pb2.Schema()
    for name, feature in features.items():
        feature.describe(schema.feature.add(name=name), name in lists)
    return schema


def joint_schema(schemas: Collection[schema_pb2.Schema]) -> schema_pb2.Schema:
    """One for examples of several schemas together: any of them may lack any feature."""
    joint = schema_pb2.Schema()
    types = {entry.name: entry.type for schema in schemas for entry in schema.feature}
    for name, kind in types.items():
        joint.feature.add(name=name, type=kind)
    return joint
