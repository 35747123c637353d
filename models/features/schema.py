"""The curated schema, derived from the declared features."""

from __future__ import annotations

from collections.abc import Collection

from tensorflow_metadata.proto.v0 import schema_pb2

from models.features.declared import Feature, Kind

_TYPES = {
    Kind.NUMBER: schema_pb2.FLOAT,
    Kind.RATING: schema_pb2.FLOAT,
    Kind.TIMESTAMP: schema_pb2.INT,
    Kind.HISTORY_TIMES: schema_pb2.INT,
}
_LISTS = (Kind.TAGS, Kind.HISTORY_IDS, Kind.HISTORY_TIMES)


def build_schema(features: Collection[Feature]) -> schema_pb2.Schema:
    """What every raw example has to look like.

    Scalars are present in every row, exactly once, unless the feature is optional; lists may be empty. Timestamps are
    positive.
    """
    schema = schema_pb2.Schema()
    for feature in features:
        entry = schema.feature.add(name=feature.name, type=_TYPES.get(feature.kind, schema_pb2.BYTES))
        if feature.kind in (Kind.TIMESTAMP, Kind.HISTORY_TIMES):
            entry.int_domain.min = 1
        if feature.kind in _LISTS:
            entry.value_count.min = 0
        elif feature.optional:
            entry.value_count.max = 1
        else:
            entry.presence.min_fraction = 1.0
            entry.shape.SetInParent()  # A scalar.
    return schema
