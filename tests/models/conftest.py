"""Transform's real output on a few timelines and items."""

import math

import pyarrow as pa
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tfx.types import artifact_utils, standard_artifacts

from components.beam_args import IN_PROCESS
from components.files import EVAL_SPLIT, ITEMS_SPLIT, TRAIN_SPLIT
from components.tables.records import to_examples
from components.transform.executor import Executor
from models import training
from models.features.feature_set import FeatureSet
from models.features.kinds import Category, Number, Tags, Text, Vector
from models.features.schema import build_schema
from models.queries import model_batch
from models.ranking import RankingModel
from models.retrieval import RetrievalModel
from models.settings import Ranking, Retrieval, Transform

FEATURES = FeatureSet(
    items={"title": Text(min_count=1), "tags": Tags(), "price": Number(scale="log"), "image": Vector()},
    users={"age": Number(), "clubs": Tags()},
    context={"device": Category(), "volume": Number()},
    positive=4.0,
)
# Lists of item, time, rating and context. In train, item n is seen 4 - n times.
TRAIN = [
    {
        "user_id": "a",
        "age": 20.0,
        "clubs": ["chess", "film"],
        "rows": [("1", 1_000, 5.0, "phone", 1.0), ("2", 2_000, 3.0, "phone", 3.0)],
    },
    {"user_id": "b", "clubs": [], "rows": [("2", 2_940, 3.5, "tv", math.nan), ("1", 3_000, 4.0, "", 1.0)]},
    {
        "user_id": "c",
        "age": 40.0,
        "clubs": ["film"],
        "rows": [("1", 3_970, 4.5, "phone", 3.0), ("3", 4_000, 2.0, "tv", 2.0)],
    },
]
EVAL = [
    {"user_id": "a", "age": 20.0, "clubs": ["chess", "film"], "rows": [("3", 5_000, 4.0, "phone", 2.0)]},
    {
        "user_id": "d",
        "age": 30.0,
        "clubs": ["golf"],
        "rows": [("2", 6_000, 1.0, "radio", 2.0), ("9", 6_500, 5.0, "tv", 2.0)],
    },
]
ITEMS = [
    {"item_id": "9", "title": "Star", "tags": ["Action"]},
    {"item_id": "3", "title": "Alone", "tags": [], "price": math.e**3 - 1, "image": [0.0, 1.0]},
    {"item_id": "2", "title": "Star Trek: Amélie", "tags": ["Sci-Fi"]},
    {
        "item_id": "1",
        "title": "Star Wars (1977)",
        "tags": ["Action", "Sci-Fi"],
        "price": math.e - 1,
        "image": [3.0, 4.0],
    },
]

# Without ratings; Ann's second example repeats the last entry of the first.
SHOP = FeatureSet(rated=False, events={"view": 1.0, "buy": 3.0}, positive=["buy"])
SHOP_TRAIN = [
    {"user_id": "ann", "rows": [("x", 1_000, "view"), ("y", 2_000, "buy")]},
    {"user_id": "ann", "overlap": 1, "rows": [("y", 2_000, "buy"), ("x", 3_000, "view")]},
    {"user_id": "bob", "rows": [("z", 2_500, "view")]},
]
SHOP_EVAL = [{"user_id": "bob", "rows": [("x", 9_000, "buy")]}]
SHOP_ITEMS = [{"item_id": item} for item in "xyz"]


def write(path, rows, features, lists=()):
    """A file of examples; `features`: the raw ones by name, of which `lists` have an entry for each interaction."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {}
    for name, feature in features.items():
        value = pa.type_for_alias(feature.arrow_type)
        of = pa.list_(value) if feature.is_list or name in lists else value
        columns[name] = pa.array([row.get(name) for row in rows], of)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for example in to_examples(columns):
            writer.write(example)


def write_timelines(path, timelines, features):
    """As InteractionGen does, from dictionaries as above."""
    lists = [*features.of_interactions()]
    rows = [
        {"overlap": 0, **one, **dict(zip(lists, map(list, zip(*one["rows"], strict=True)), strict=True))}
        for one in timelines
    ]
    write(path, rows, features.of_timelines(), lists)


def transform(directory, features, train, held_out, items):
    """Runs the component; returns what a model is trained on."""
    for split, timelines in ((TRAIN_SPLIT, train), (EVAL_SPLIT, held_out)):
        write_timelines(directory / "examples" / f"Split-{split}" / "data.gz", timelines, features)
    write(directory / "items" / f"Split-{ITEMS_SPLIT}" / "data.gz", items, features.of_items())
    schemas = {
        "schema": build_schema(features.of_timelines(), features.of_interactions()),
        "item_schema": build_schema(features.of_items()),
    }
    inputs = {
        "examples": _artifact(standard_artifacts.Examples, directory / "examples", TRAIN_SPLIT, EVAL_SPLIT),
        "items": _artifact(standard_artifacts.Examples, directory / "items", ITEMS_SPLIT),
    }
    for name, schema in schemas.items():
        inputs[name] = _artifact(standard_artifacts.Schema, directory / name)
        (directory / name).mkdir()
        (directory / name / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    outputs = {
        "transform_graph": _artifact(standard_artifacts.TransformGraph, directory / "graph"),
        "transformed_examples": _artifact(standard_artifacts.Examples, directory / "transformed"),
    }
    settings = {"settings": Transform(timestamp_buckets=2).model_dump_json(), "features": features.model_dump_json()}
    context = Executor.Context(beam_pipeline_args=list(IN_PROCESS), tmp_dir=str(directory))
    Executor(context).Do(inputs, outputs, settings)
    return training.Job(
        settings="",
        features=features.model_dump_json(),
        transform_graph=str(directory / "graph"),
        train_files=[f"{directory}/transformed/Split-{TRAIN_SPLIT}/*"],
        eval_files=[f"{directory}/transformed/Split-{EVAL_SPLIT}/*"],
        item_files=[f"{directory}/items/Split-{ITEMS_SPLIT}/*"],
        run_dir=str(directory / "run"),
        model_dir=str(directory / "model"),
    )


def _artifact(kind, path, *splits):
    artifact = kind()
    artifact.uri = str(path)
    if splits:
        artifact.split_names = artifact_utils.encode_split_names(list(splits))
    return [artifact]


@pytest.fixture(scope="session")
def job(tmp_path_factory):
    """Of FEATURES."""
    return transform(tmp_path_factory.mktemp("transform"), FEATURES, TRAIN, EVAL, ITEMS)


@pytest.fixture(scope="session")
def data(job):
    return training.TrainingData(job)


@pytest.fixture(scope="session")
def rows(data):
    """All train rows as one batch: users a, a, b, b, c, c."""
    return model_batch(data.queries.at(tf.range(6, dtype=tf.int64)))


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Of SHOP: three rows of ann, one of bob."""
    return training.TrainingData(transform(tmp_path_factory.mktemp("shop"), SHOP, SHOP_TRAIN, SHOP_EVAL, SHOP_ITEMS))


def retrieval_model(data, **values):
    """A small model that hides nothing."""
    return RetrievalModel(Retrieval(embedding_dim=4, user_dropout=0, item_dropout=0, **values), data)


def ranking_model(data, **values):
    """A small model."""
    return RankingModel(Ranking(embedding_dim=4, layers=[8], dropout=0, **values), data)
