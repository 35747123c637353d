"""Examples from a few rows, made by both ExampleGens for real."""

import csv
import json
import os

import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts import DataSummary, read_summary
from components.item_gen import executor as item_gen
from pipeline.config import load_config
from tests.components.deliveries import made, read_interactions, run, tables

ITEMS = 'movieId,title,genres\n1,"One, The (1999)",Drama|War\n2,Two,(no genres listed)\n2,Twice,Drama\n3,Three,War\n'
RATINGS = [f"a,{item},4,{100 * item}" for item in (1, 2, 3)] + [f"b,{item},3,{50 * item}" for item in (1, 2, 3)]
HEADER = "userId,movieId,rating,timestamp"
ALLOW = {"data.max_rejected_share": 0.9}
EVENTS = {  # Of a table without ratings, and without one of items.
    "data.items": "null",
    "data.interactions.file": "events.csv",
    "data.interactions.columns": "{user_id: u, item_id: i, timestamp: t, event: e}",
    "data.interactions.positive": "null",
}
SHOP = ["a,x,1,view,tv,1", "a,y,2,buy,,2", "a,z,3,view,web,", "b,w,1,buy,tv,x", "b,x,2,buy,tv,3", "b,y,3,view,,1"]


def write(directory, ratings):
    (directory / "movies.csv").write_text(ITEMS)
    (directory / "ratings.csv").write_text("\n".join([HEADER, *ratings]) + "\n")


def write_events(directory, rows=SHOP):
    (directory / "events.csv").write_text("\n".join(["u,i,t,e,device,hour", *rows]) + "\n")


def configured(directory, overrides):
    return load_config("movielens-csv", [f"{k}={v}" for k, v in overrides.items()], data__directory=str(directory))


def generate(directory, beam_args=None, **overrides):
    """Runs InteractionGen; returns the examples of both splits, by user and time."""
    read_interactions(configured(directory, overrides), directory, beam_args)
    splits = {split: read(directory / "examples" / f"Split-{split}") for split in ("train", "eval")}
    return {split: sorted(rows, key=lambda row: (row["user_id"], row["timestamp"])) for split, rows in splits.items()}


def generate_items(directory, span="", beam_args=None, **overrides):
    """Runs ItemGen after InteractionGen has read `span`; returns the examples by item id."""
    if span:
        (directory.parent / "summary").mkdir()
        (directory.parent / "summary" / "summary.json").write_text(json.dumps({"spans": [span]}))
    (interactions,) = made(standard_artifacts.Examples, directory / "examples")
    interactions.split_names = artifact_utils.encode_split_names(["train", "eval"])
    summary = directory.parent / "summary" if span else directory / "summary"
    inputs = {"interactions": [interactions], "summary": made(DataSummary, summary)}
    output = (directory.parent if span else directory) / "catalogue"
    outputs = {"examples": made(standard_artifacts.Examples, output)}
    run(item_gen.Executor, inputs, outputs, tables(configured(directory, overrides)), beam_args)
    rows = read(output / "Split-items")
    items = {row.pop("item_id")[0]: row for row in rows}
    assert len(items) == len(rows), "each once"
    return items


def read(directory):
    files = tf.io.gfile.glob(os.path.join(str(directory), "*"))
    rows = []
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        found = tf.train.Example.FromString(record).features.feature
        kinds = {name: value.WhichOneof("kind") for name, value in found.items()}
        rows.append({name: list(getattr(found[name], kind).value) for name, kind in kinds.items() if kind})
    return rows


def rejected(directory, outcome="rejected"):
    """File, line and reason of the rows in the list."""
    with (directory / "rejected" / "rows.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["outcome"] == outcome]
    return [(os.path.basename(row["file"]), int(row["line"]), row["reason"]) for row in rows]


def summary(directory, *names):
    found = read_summary(str(directory / "summary"))
    return {name: found[name] for name in names}


def interactions(splits):
    return sum(len(row["item_id"]) - row["overlap"][0] for rows in splits.values() for row in rows)
