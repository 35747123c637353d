"""The kinds of features. One small class knows all about a kind: how it is read, stored, transformed and embedded.

Those that a configuration may declare are in `Declared`; the others are of every data set. Arrow and TensorFlow are
imported only where they are used, as the configuration imports this module.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, PlainValidator, field_validator, model_validator

from models.features import names as n
from models.features.texts import trim, unescaped
from models.settings import Settings, Transform

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf
    from tensorflow_metadata.proto.v0 import schema_pb2

_EmbeddedAs = Literal["index", "list", "number", "vector"]

_MAX_WORDS = 16  # Words kept of a text.
_WORD_SEPARATOR = r"[^\pL\pN]+"
_BAND, _LAST_BAND = 10, 90  # Width of the bands that numbers are sliced into, and where the last one begins.
_BLANKS_OR_COMMA = r"[\s,;|\[\]]+"  # Between the components of a vector, and around them.
_FLOAT32_MAX = 3.4e38
_LINE_END = "\x1e"  # Stands for one in a vocabulary.
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def _to_column(value: Any) -> str | int:
    if (isinstance(value, str) and value) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError(f"{value!r} is not a column: give its name, or its position from 0")


Column = Annotated[str | int, PlainValidator(_to_column)]


class Feature(Settings):
    """A feature of some kind; by default a text that every row has.

    Attributes:
      arrow_type: pyarrow's name of a value's type.
      is_list: whether an entity has any number of values, not one.
      optional: whether it may have none.
      missing: what stands for a missing value where there has to be one.
      embedded_as: the layer from the model feature, as `models.layers` knows it.
    """

    model_config = ConfigDict(frozen=True)

    arrow_type: ClassVar[str] = "string"
    schema_type: ClassVar[str] = "BYTES"
    is_list: ClassVar[bool] = False
    optional: ClassVar[bool] = False
    missing: ClassVar[Any] = ""
    embedded_as: ClassVar[_EmbeddedAs] = "index"

    def parse(self, texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
        """Fields as [n] texts to [n] values, null where missing, and whether each is a text that cannot be read.

        Numbers may be numbers already, and lists be lists.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        values = pc.if_else(pc.equal(texts, ""), pa.scalar(None, texts.type), texts)
        return values, np.zeros(len(texts), bool)

    def describe(self, entry: schema_pb2.Feature, in_list: bool) -> None:
        """Says in the schema what raw examples look like; `in_list`: with an entry for each interaction."""
        from tensorflow_metadata.proto.v0 import schema_pb2

        entry.type = getattr(schema_pb2, self.schema_type)
        if in_list:
            entry.presence.min_fraction = 1.0
            entry.value_count.min = 1
        elif self.is_list:
            entry.value_count.min = 0
        elif self.optional:
            entry.value_count.max = 1
        else:
            entry.presence.min_fraction = 1.0
            entry.shape.SetInParent()  # A scalar.

    def preprocess(self, name: str, values: Any, counted: Any, settings: Transform) -> dict[str, Any]:
        """What Transform makes of it: model features by name; itself by default.

        Args:
          name: the feature's.
          values: a SparseTensor of lists, or a [B] tensor with `missing` in it.
          counted: those of them that vocabularies and statistics are made of.
          settings: the section `transform`.
        """
        return {name: values}

    def dtype(self) -> tf.DType:
        """Of a raw value."""
        import tensorflow as tf

        return tf.as_dtype(self.arrow_type)

    def slices(self, values: list[Any]) -> list[str]:
        """The names under which a row with these raw values is evaluated."""
        return [value.decode() for value in values if value]


class Category(Feature):
    """One text of not too many, to an embedding."""

    kind: Literal["category"] = "category"
    column: Column | None = None  # Where it is not the feature's name.
    min_count: int = Field(1, ge=1)  # Values that fewer items, users or train rows have are unknown ones.
    filter: bool = False  # Of items: whether a request may say which values it wants.
    optional: ClassVar[bool] = True

    def preprocess(self, name: str, values: Any, counted: Any, settings: Transform) -> dict[str, Any]:
        return {name: _vocabulary(name, values, counted, self.min_count)}


class Tags(Feature):
    """Any number of texts, to the mean of their embeddings."""

    kind: Literal["tags"] = "tags"
    column: Column | None = None
    separator: str = Field("|", min_length=1)  # Between the tags in one field.
    empty: list[str] = []  # Tags that mean "none".
    flags: dict[str, Column] = {}  # Instead of `column`: tag -> column that holds 1 where the row has it.
    min_count: int = Field(1, ge=1)
    filter: bool = False
    is_list: ClassVar[bool] = True
    optional: ClassVar[bool] = True
    embedded_as: ClassVar[_EmbeddedAs] = "list"

    @field_validator("separator")
    @classmethod
    def _as_given(cls, given: str) -> str:
        return unescaped(given)

    @model_validator(mode="after")
    def _flags_or_column(self) -> Tags:
        if self.flags and self.column is not None:
            raise ValueError("give flags or column, not both")
        return self

    def parse(self, texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        lists = texts if pa.types.is_list(texts.type) else pc.split_pattern(texts, self.separator)
        tags = trim(lists.values)
        kept = pc.invert(pc.is_in(tags, pa.array(["", *self.empty], tags.type)))
        return _kept_of_lists(lists, tags, kept), np.zeros(len(texts), bool)

    def preprocess(self, name: str, values: Any, counted: Any, settings: Transform) -> dict[str, Any]:
        return {name: _vocabulary(name, values, counted, self.min_count)}


class Text(Feature):
    """Words, to the mean of their embeddings."""

    kind: Literal["text"] = "text"
    column: Column | None = None
    min_count: int = Field(1, ge=1)
    optional: ClassVar[bool] = True
    embedded_as: ClassVar[_EmbeddedAs] = "list"

    def preprocess(self, name: str, values: Any, counted: Any, settings: Transform) -> dict[str, Any]:
        import tensorflow as tf

        lowered = tf.strings.lower(values, encoding="utf-8")
        split = tf.strings.split(tf.strings.strip(tf.strings.regex_replace(lowered, _WORD_SEPARATOR, " ")))
        words = split[:, :_MAX_WORDS].to_sparse()
        return {name: _vocabulary(name, words, words, self.min_count)}


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

    def parse(self, texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
        import pyarrow as pa

        numbers, unreadable = parse_numbers(texts)
        return numbers.cast(pa.float32()), unreadable

    def preprocess(self, name: str, values: Any, counted: Any, settings: Transform) -> dict[str, Any]:
        import tensorflow as tf
        import tensorflow_transform as tft

        numbers, seen = self._scaled(values), self._scaled(counted)
        present = tf.boolean_mask(seen, seen == seen)  # NaN is not itself.
        scores = tf.math.divide_no_nan(numbers - tft.mean(present), tf.sqrt(tft.var(present)))
        scores = tf.where(numbers == numbers, scores, 0.0)
        return {name: values.with_values(scores) if isinstance(values, tf.SparseTensor) else scores}

    def _scaled(self, values: Any) -> tf.Tensor:
        import tensorflow as tf

        numbers = values.values if isinstance(values, tf.SparseTensor) else values
        return tf.math.sign(numbers) * tf.math.log1p(tf.abs(numbers)) if self.scale == "log" else numbers

    def slices(self, values: list[Any]) -> list[str]:
        return [_band(value) for value in values if value == value]


class Vector(Feature):
    """Floats of one length, as an embedding that is there already, to a learnt projection; zeros where missing."""

    kind: Literal["vector"] = "vector"
    column: Column | None = None
    arrow_type: ClassVar[str] = "float32"
    schema_type: ClassVar[str] = "FLOAT"
    is_list: ClassVar[bool] = True
    optional: ClassVar[bool] = True
    missing: ClassVar[Any] = math.nan
    embedded_as: ClassVar[_EmbeddedAs] = "vector"

    def parse(self, texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
        """As of the base, in lists; one with a component that is no number cannot be read."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_list(texts.type):
            lists, missing = texts, pc.equal(pc.fill_null(pc.list_value_length(texts), 0), 0)
        else:
            spaced = pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, _BLANKS_OR_COMMA, " "))
            lists, missing = pc.split_pattern(spaced, " "), pc.equal(spaced, "")
        missing = missing.to_numpy(zero_copy_only=False)
        numbers, bad = parse_numbers(lists.values)
        bad |= numbers.is_null().to_numpy(zero_copy_only=False)
        row = np.repeat(np.arange(len(lists)), np.diff(lists.offsets.to_numpy()))
        unreadable = np.zeros(len(lists), bool)
        unreadable[row[bad]] = True
        unreadable &= ~missing
        kept = ~(missing | unreadable)[row]
        return _kept_of_lists(lists, numbers.cast(pa.float32()), pa.array(kept), missing | unreadable), unreadable

    def preprocess(self, name: str, values: Any, counted: Any, settings: Transform) -> dict[str, Any]:
        import tensorflow as tf
        import tensorflow_transform as tft

        norms = tf.sqrt(tf.sparse.reduce_sum(values.with_values(tf.square(values.values)), axis=1))
        norms = tf.ensure_shape(norms, [None])
        mean = tft.mean(tf.boolean_mask(norms, norms > 0))  # So that the scale of the components does not matter.
        return {name: values.with_values(tf.math.divide_no_nan(values.values, mean))}


FILTERABLE = (Category, Tags)  # By their values a request may filter.
Declared = Annotated[Category | Tags | Text | Number | Vector, Field(discriminator="kind")]


class UserId(Feature):
    """Of a user, to an index of the vocabulary."""

    def preprocess(self, name: str, values: Any, counted: Any, settings: Transform) -> dict[str, Any]:
        return {name: _vocabulary(name, values, counted, 1)}


class ItemId(Feature):
    """Of an item, to an index of the vocabulary, which holds those of the train interactions."""

    def preprocess(self, name: str, values: Any, counted: Any, settings: Transform) -> dict[str, Any]:
        return {name: _vocabulary(name, values, counted, 1), n.ITEM_KEY: values}


class Timestamp(Feature):
    """Unix seconds, to themselves and a quantile bucket, of which the last comes after the train rows."""

    arrow_type: ClassVar[str] = "int64"
    schema_type: ClassVar[str] = "INT"
    missing: ClassVar[Any] = 0

    def describe(self, entry: schema_pb2.Feature, in_list: bool) -> None:
        super().describe(entry, in_list)
        entry.int_domain.min = 1

    def preprocess(self, name: str, values: Any, counted: Any, settings: Transform) -> dict[str, Any]:
        import tensorflow as tf
        import tensorflow_transform as tft

        error = min(0.01, 1 / settings.timestamp_buckets)  # Of a boundary's place among the values.
        boundaries = tft.quantiles(counted.values, settings.timestamp_buckets, epsilon=error)
        # A bucket of its own for what comes after all that is known; as quantiles, of single precision.
        latest = tf.reshape(tf.cast(tft.max(counted.values), boundaries.dtype), [1, 1])
        return {name: values, n.MOMENT: tft.apply_buckets(values, tf.concat([boundaries, latest], axis=1))}


class Rating(Feature):
    """A rating, to itself."""

    arrow_type: ClassVar[str] = "float32"
    schema_type: ClassVar[str] = "FLOAT"
    missing: ClassVar[Any] = math.nan


class Event(Feature):
    """A kind of interaction; what Transform makes of it is in `preprocessing`, as it is the FeatureSet that weighs."""

    def preprocess(self, name: str, values: Any, counted: Any, settings: Transform) -> dict[str, Any]:
        return {}


class Overlap(Feature):
    """A small count."""

    arrow_type: ClassVar[str] = "int64"
    schema_type: ClassVar[str] = "INT"
    missing: ClassVar[Any] = 0


def parse_numbers(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """[n] texts, or numbers, to [n] finite float64, null where missing or none, and whether it is none."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(texts.type):
        empty, numbers = texts.is_null().to_numpy(zero_copy_only=False), texts.cast(pa.float64(), safe=False)
    else:
        empty = pc.equal(texts, "").to_numpy(zero_copy_only=False)
        try:
            numbers = texts.cast(pa.float64())
        except pa.ArrowInvalid:  # Slower, but it tells which.
            plain = pc.if_else(pc.match_substring_regex(texts, _NUMBER), texts, None)
            numbers = pc.utf8_ltrim(plain, "+").cast(pa.float64())
    values = numbers.to_numpy(zero_copy_only=False)
    fits = np.abs(values) <= _FLOAT32_MAX  # Neither is NaN.
    return pa.array(values, mask=~fits), ~fits & ~empty


def _kept_of_lists(
    lists: pa.ListArray, values: pa.Array, kept: pa.Array, missing: np.ndarray | None = None
) -> pa.Array:
    """Lists of those of their `values` that are kept; null where `missing`."""
    import numpy as np
    import pyarrow as pa

    flags = kept.to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(flags)])[lists.offsets.to_numpy()].astype(np.int32)
    mask = None if missing is None else np.append(missing, False)
    return pa.ListArray.from_arrays(pa.array(offsets, mask=mask), values.filter(kept))


def _band(value: float) -> str:
    if value < 0:
        return "below 0"
    band = int(min(value // _BAND * _BAND, _LAST_BAND + _BAND))
    return f"{band}-{band + _BAND - 1}" if band <= _LAST_BAND else f"{band} and more"


def _vocabulary(name: str, values: Any, counted: Any, min_count: int) -> Any:
    import tensorflow_transform as tft

    threshold = min_count if min_count > 1 else None
    vocabulary = tft.vocabulary(_on_one_line(counted), frequency_threshold=threshold, vocab_filename=name)
    return tft.apply_vocabulary(_on_one_line(values), vocabulary, num_oov_buckets=1)


def _on_one_line(values: Any) -> Any:
    """Texts as a line of a vocabulary holds them: TFT's would leave out one that has line ends in it."""
    import tensorflow as tf

    if isinstance(values, tf.SparseTensor):
        return values.with_values(_on_one_line(values.values))
    return tf.strings.regex_replace(values, "[\n\r]", _LINE_END)
