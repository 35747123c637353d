"""The kinds of features. One small class knows all about a kind: how it is read, stored, transformed and embedded.

Those that a configuration may declare are in `Declared`; the others are of every data set. TensorFlow is imported only
where it is used, as the configuration imports this module.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, PlainValidator, model_validator

from models.features import names as n
from models.settings import Settings, Transform

if TYPE_CHECKING:
    import tensorflow as tf
    from tensorflow_metadata.proto.v0 import schema_pb2

Raw = dict[str, Any]  # Tensors and SparseTensors by name.
_EmbeddedAs = Literal["index", "list", "number"]

_MAX_WORDS = 16  # Words kept of a text.
_WORD_SEPARATOR = r"[^\pL\pN]+"
_BAND, _LAST_BAND = 10, 90  # Width of the bands that numbers are sliced into, and where the last one begins.
_FLOAT32_MAX = 3.4e38


def _to_column(value: Any) -> str | int:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError(f"{value!r} is not a column: give its name, or its position from 0")


Column = Annotated[str | int, PlainValidator(_to_column)]


class Feature(Settings):
    """A feature of some kind; by default a text that every row has.

    Attributes:
      arrow_type: pyarrow's name of a value's type.
      is_list: whether a row has any number of values, not one.
      optional: whether a row may have none.
      missing: placeholder for a missing value.
      embedded_as: the layer from the model feature, as `models.layers` knows it: one index, a list of them, a number.
    """

    model_config = ConfigDict(frozen=True)

    arrow_type: ClassVar[str] = "binary"
    schema_type: ClassVar[str] = "BYTES"
    is_list: ClassVar[bool] = False
    optional: ClassVar[bool] = False
    missing: ClassVar[Any] = ""
    embedded_as: ClassVar[_EmbeddedAs] = "index"

    def parse(self, text: str) -> Any:
        """The value of a field's text; None where it is missing. Raises ValueError for one that cannot be."""
        return text or None

    def describe(self, entry: schema_pb2.Feature) -> None:
        """Says in the schema what raw examples look like."""
        from tensorflow_metadata.proto.v0 import schema_pb2

        entry.type = getattr(schema_pb2, self.schema_type)
        if self.is_list:
            entry.value_count.min = 0
        elif self.optional:
            entry.value_count.max = 1
        else:
            entry.presence.min_fraction = 1.0
            entry.shape.SetInParent()  # A scalar.

    def preprocess(self, name: str, raw: Raw, settings: Transform) -> Raw:
        """What Transform makes of it: model features by name; none by default."""
        return {}

    def raw_spec(self) -> Any:
        """How raw examples are parsed for Transform's graph."""
        import tensorflow as tf

        varies = self.is_list or self.optional
        return tf.io.VarLenFeature(self.dtype()) if varies else self.scalar_spec()

    def scalar_spec(self) -> Any:
        """How raw examples are parsed to one value each, `missing` where there is none."""
        import tensorflow as tf

        return tf.io.FixedLenFeature([], self.dtype(), self.missing)

    def dtype(self) -> tf.DType:
        """Of a raw value."""
        import tensorflow as tf

        return tf.string if self.arrow_type == "binary" else tf.as_dtype(self.arrow_type)

    def slices(self, values: list[Any]) -> list[str]:
        """The names under which a row with these raw values is evaluated."""
        return [value.decode() for value in values]


class Category(Feature):
    """One text of not too many, to an embedding."""

    kind: Literal["category"] = "category"
    column: Column | None = None  # Where it is not the feature's name.
    min_count: int = Field(1, ge=1)  # Values in fewer train rows are out of vocabulary.
    optional: ClassVar[bool] = True

    def preprocess(self, name: str, raw: Raw, settings: Transform) -> Raw:
        return {name: _vocabulary(name, _scalar(raw[name], ""), self.min_count)}


class Tags(Feature):
    """Any number of texts, to the mean of their embeddings."""

    kind: Literal["tags"] = "tags"
    column: Column | None = None
    separator: str = Field("|", min_length=1)  # Between the tags in one field.
    empty: list[str] = []  # Tags that mean "none".
    flags: dict[str, Column] = {}  # Instead of `column`: tag -> column that holds 1 where the row has it.
    min_count: int = Field(1, ge=1)
    is_list: ClassVar[bool] = True
    embedded_as: ClassVar[_EmbeddedAs] = "list"

    @model_validator(mode="after")
    def _flags_or_column(self) -> Tags:
        if self.flags and self.column is not None:
            raise ValueError("give flags or column, not both")
        return self

    def parse(self, text: str) -> list[str]:
        tags = [tag.strip() for tag in text.split(self.separator)]
        return [tag for tag in tags if tag and tag not in self.empty]

    def preprocess(self, name: str, raw: Raw, settings: Transform) -> Raw:
        return {name: _vocabulary(name, raw[name], self.min_count)}


class Text(Feature):
    """Words, to the mean of their embeddings."""

    kind: Literal["text"] = "text"
    column: Column | None = None
    min_count: int = Field(2, ge=1)
    embedded_as: ClassVar[_EmbeddedAs] = "list"

    def parse(self, text: str) -> str:
        return text

    def preprocess(self, name: str, raw: Raw, settings: Transform) -> Raw:
        import tensorflow as tf

        lowered = tf.strings.lower(raw[name], encoding="utf-8")
        words = tf.strings.split(tf.strings.strip(tf.strings.regex_replace(lowered, _WORD_SEPARATOR, " ")))
        return {name: _vocabulary(name, words[:, :_MAX_WORDS].to_sparse(), self.min_count)}


class Number(Feature):
    """A number, to its z-score times a learnt vector; a missing one counts as the mean."""

    kind: Literal["number"] = "number"
    column: Column | None = None
    scale: Literal["linear", "log"] = "linear"  # log: of 1 plus the number, as for prices and counts.
    arrow_type: ClassVar[str] = "float32"
    schema_type: ClassVar[str] = "FLOAT"
    optional: ClassVar[bool] = True
    missing: ClassVar[Any] = math.nan
    embedded_as: ClassVar[_EmbeddedAs] = "number"

    def parse(self, text: str) -> float | None:
        return parse_number(text) if text else None

    def preprocess(self, name: str, raw: Raw, settings: Transform) -> Raw:
        import tensorflow as tf
        import tensorflow_transform as tft

        values = raw[name]
        if self.scale == "log":
            logs = tf.math.sign(values.values) * tf.math.log1p(tf.abs(values.values))
            values = tf.SparseTensor(values.indices, logs, values.dense_shape)
        return {name: _scalar(tft.scale_to_z_score(values), 0.0)}

    def slices(self, values: list[Any]) -> list[str]:
        return [_band(value) for value in values]


Declared = Annotated[Category | Tags | Text | Number, Field(discriminator="kind")]


class Id(Feature):
    """Of a user or an item, to an index of its vocabulary."""

    def preprocess(self, name: str, raw: Raw, settings: Transform) -> Raw:
        import tensorflow_transform as tft

        vocabulary = tft.vocabulary(raw[name], vocab_filename=name)
        indexed = {name: raw[name]}
        if name == n.ITEM_ID and n.HISTORY_ITEM_ID in raw:
            indexed[n.HISTORY_ITEM_ID] = raw[n.HISTORY_ITEM_ID]
        return {key: tft.apply_vocabulary(ids, vocabulary, num_oov_buckets=1) for key, ids in indexed.items()}


class HistoryIds(Feature):
    """Ids of the items of a history, whose indices `Id` makes, in the items' own vocabulary."""

    is_list: ClassVar[bool] = True


class Timestamp(Feature):
    """Unix seconds, to a quantile bucket."""

    arrow_type: ClassVar[str] = "int64"
    schema_type: ClassVar[str] = "INT"

    def describe(self, entry: schema_pb2.Feature) -> None:
        super().describe(entry)
        entry.int_domain.min = 1

    def preprocess(self, name: str, raw: Raw, settings: Transform) -> Raw:
        import tensorflow_transform as tft

        return {name: tft.bucketize(raw[name], settings.timestamp_buckets)}


class HistoryTimes(Timestamp):
    """Unix seconds of the entries of a history, to the log of their distances to the row's own."""

    is_list: ClassVar[bool] = True

    def preprocess(self, name: str, raw: Raw, settings: Transform) -> Raw:
        import tensorflow as tf

        history = raw[name]
        moment = tf.gather(raw[n.TIMESTAMP], history.indices[:, 0])
        # In double precision, as the last bit of a logarithm depends on where a value lies in memory.
        gap = tf.cast(tf.math.log1p(tf.cast(tf.abs(moment - history.values), tf.float64)), tf.float32)
        gap = tf.where(history.values > 0, gap, n.UNKNOWN_GAP)
        return {n.HISTORY_GAP: tf.SparseTensor(history.indices, gap, history.dense_shape)}


class Rating(Feature):
    """A rating, to itself and the preference."""

    arrow_type: ClassVar[str] = "float32"
    schema_type: ClassVar[str] = "FLOAT"

    def preprocess(self, name: str, raw: Raw, settings: Transform) -> Raw:
        import tensorflow as tf

        liked = raw[name] >= settings.preference_threshold
        return {name: raw[name], n.PREFERENCE: tf.cast(liked, tf.float32)}


def parse_number(text: str) -> float:
    """A finite number. Raises ValueError for what is none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) <= _FLOAT32_MAX:  # Neither is NaN.
        raise ValueError(f"{text!r} is not a number")
    return number


def _band(value: float) -> str:
    if value < 0:
        return "below 0"
    band = min(int(value // _BAND) * _BAND, _LAST_BAND + _BAND) if value < 1e9 else _LAST_BAND + _BAND
    return f"{band}-{band + _BAND - 1}" if band <= _LAST_BAND else f"{band} and more"


def _vocabulary(name: str, values: Any, min_count: int) -> Any:
    import tensorflow_transform as tft

    threshold = min_count if min_count > 1 else None
    return tft.compute_and_apply_vocabulary(
        values, num_oov_buckets=1, frequency_threshold=threshold, vocab_filename=name
    )


def _scalar(sparse: tf.SparseTensor, default: Any) -> tf.Tensor:
    """[B] from a SparseTensor with at most one value a row."""
    import tensorflow as tf

    one_column = tf.SparseTensor(sparse.indices, sparse.values, [sparse.dense_shape[0], 1])
    return tf.squeeze(tf.sparse.to_dense(one_column, default_value=default), axis=1)
