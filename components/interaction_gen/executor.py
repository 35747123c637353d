"""Reads interactions, joins the catalogue, splits, and attaches histories, as Beam transforms."""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from tfx.components.example_gen import base_example_gen_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.interaction_gen import histories
from components.interaction_gen.records import (
    REJECTED,
    FirstRows,
    ReadTable,
    Rejected,
    seed_shuffle,
    to_csv_line,
    to_example,
    with_splits,
)
from pipeline import spans, tables
from pipeline.config import Data, Split
from pipeline.errors import UserError

SPLITS = ("train", "eval")
SUMMARY_FILE = "summary.json"
_HOUR = 3600
_SHOWN_REASONS = 3


class Executor(base_example_gen_executor.BaseExampleGenExecutor):
    """Writes the splits `train` and `eval`, a summary of the data, and the rejected rows."""

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:
        raise TypeError("InteractionGen overrides GenerateExamplesByBeam: users are grouped before they are split")

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        """Generates the examples.

        Raises:
          UserError: more rows were rejected than the configuration allows, or a split is empty.
        """
        summary_uri = artifact_utils.get_single_uri(output_dict["summary"])
        directory, span = spans.resolve(exec_properties["directory"], exec_properties["span"])
        exec_properties = with_splits(exec_properties, *SPLITS) | {
            "directory": directory,
            "summary_uri": summary_uri,
            "rejected_rows_file": os.path.join(
                exec_properties["rejected_rows_dir"] or summary_uri, f"{span or exec_properties['fingerprint']}.csv"
            ),
        }
        super().Do(input_dict, output_dict, exec_properties)
        _check(exec_properties)

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        data, directory = Data.model_validate_json(exec_properties["data"]), exec_properties["directory"]
        split = Split.model_validate_json(exec_properties["split"])

        read = pipeline | "Interactions" >> ReadTable(directory, data.interactions, tables.interaction)
        catalogue = pipeline | "Catalogue" >> ReadTable(
            directory, data.catalogue, lambda values: tables.movie(values, data.catalogue)
        )
        movies = catalogue.rows | "Movies" >> FirstRows()
        user_rows = {"rows": read.rows | "ByUser" >> beam.Map(_by_user)}
        if data.users and tables.table_files(directory, data.users):
            users = pipeline | "Users" >> ReadTable(directory, data.users, _user)
            user_rows["users"] = users.rows | beam.Map(lambda row: row[2])
        # The catalogue is a side input, and not joined by key: popular movies make no hot keys, and rows keep their
        # order, by which the same data gives the same model. Every worker holds it, as every server does.
        sides = [beam.pvalue.AsDict(movies)]
        if split.kind == "global_temporal":
            hours = read.rows | beam.Map(lambda row: row[2][3] // _HOUR) | beam.combiners.Count.PerElement()
            cut = hours | beam.combiners.ToList() | beam.Map(_cut, split.test_share)
            sides.append(beam.pvalue.AsSingleton(cut))
        examples = (
            user_rows
            | "GroupByUser" >> beam.CoGroupByKey()
            | "Examples"
            >> beam.ParDo(_ToExamples(split, data.interactions.delimiter), *sides).with_outputs(
                REJECTED, "summary", *SPLITS
            )
        )
        rejected = (read[REJECTED], examples[REJECTED]) | "Rejected" >> beam.Flatten()
        _write_rejected(rejected, exec_properties["rejected_rows_file"])
        _write_summary(rejected, examples.summary, movies, exec_properties["summary_uri"])
        return {name: examples[name] for name in SPLITS}


def _by_user(row: tuple[str, int, tuple]) -> tuple[str, tuple]:
    """A read row as its user and the rest: a plain tuple, which Beam encodes many times faster than a named one."""
    file, line, (user_id, movie_id, rating, timestamp) = row
    return user_id, (timestamp, file, line, movie_id, rating)


def _user(values: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """A user row's id and optional features; a field that cannot be read counts as missing."""
    fields = {name: value for name, value in values.items() if name != "user_id" and value}
    try:
        fields["raw_user_age"] = float(fields["raw_user_age"])
    except (KeyError, ValueError):
        fields.pop("raw_user_age", None)
    return values["user_id"], fields


def _cut(hours: list[tuple[int, int]], test_share: float) -> int:
    """The second, on the hour, from which on about `test_share` of the rows lie."""
    remaining = sum(count for _, count in hours) * test_share
    for hour, count in sorted(hours, reverse=True):
        remaining -= count
        if remaining <= 0:
            return hour * _HOUR
    return 0


class _ToExamples(beam.DoFn):
    """A user's interactions, joined with the catalogue, to the examples of both splits."""

    def __init__(self, split: Split, delimiter: str):
        self._split = split
        self._delimiter = delimiter

    def process(
        self, element: tuple[str, dict[str, Any]], movies: dict[str, tuple], cut: int | None = None
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        user_id, groups = element
        seed_shuffle(user_id)
        known = []
        for timestamp, file, line, movie_id, rating in groups["rows"]:
            if movie_id in movies:
                _, _, (_, title, genres) = movies[movie_id]
                known.append(histories.Interaction(timestamp, file, line, movie_id, rating, title, genres))
            else:
                row = histories.Interaction(timestamp, file, line, movie_id, rating, "", [])
                yield self._rejected(user_id, row, f"movie {movie_id!r} is not in the catalogue")
        rows, duplicates = histories.without_duplicates(known)
        for row, first in duplicates:
            yield self._rejected(user_id, row, f"duplicate of line {first}")
        if not rows:
            return
        fields = next(iter(groups.get("users", ())), {})
        encoded = {row.movie_id: row.movie_id.encode() for row in rows}  # Once, not for each history.
        test = histories.is_test(user_id, rows, self._split, cut)
        for row, held_out, history in histories.with_history(rows, test, self._split):
            example = to_example(
                fields
                | {
                    "user_id": user_id,
                    "movie_id": row.movie_id,
                    "movie_title": row.movie_title,
                    "movie_genres": row.movie_genres,
                    "user_rating": row.rating,
                    "timestamp": row.timestamp,
                    "history_movie_id": [encoded[other.movie_id] for other in history],
                    "history_timestamp": [other.timestamp for other in history],
                }
            )
            yield beam.pvalue.TaggedOutput(SPLITS[held_out], example.SerializeToString(deterministic=True))
        counts = {"users": 1, "interactions": len(rows), "train": len(rows) - sum(test), "eval": sum(test)}
        yield beam.pvalue.TaggedOutput("summary", counts)

    def _rejected(self, user_id: str, row: histories.Interaction, reason: str) -> beam.pvalue.TaggedOutput:
        text = self._delimiter.join(map(str, (user_id, row.movie_id, row.rating, row.timestamp)))
        return beam.pvalue.TaggedOutput(REJECTED, Rejected(row.file, row.line, reason, text))


def _write_rejected(rejected: beam.PCollection, path: str) -> None:
    """Writes the reject file, whole, sorted by line."""

    def write(rows: list[Rejected]) -> None:
        fileio.makedirs(os.path.dirname(path))
        with fileio.open(path, "w") as file:
            for row in [Rejected._fields, *sorted(rows)]:
                file.write(to_csv_line(row) + "\n")

    rejected | "Collect" >> beam.combiners.ToList() | "WriteRejected" >> beam.Map(write)


def _write_summary(rejected, counts, movies, uri: str) -> None:
    """Writes the counts of the data set as JSON."""

    def write(_, counts: list[dict], reasons: list[str], movies: int) -> None:
        total = collections.Counter(rejected_rows=len(reasons), movies=movies)
        for one in counts:
            total.update(one)
        fileio.makedirs(uri)
        with fileio.open(os.path.join(uri, SUMMARY_FILE), "w") as file:
            shown = [reason for _, reason in sorted(reasons)[:_SHOWN_REASONS]]
            file.write(json.dumps(total | {"first_rejected": shown}, indent=2))

    (
        counts.pipeline
        | "Once" >> beam.Create([None])
        | "WriteSummary"
        >> beam.Map(
            write,
            beam.pvalue.AsList(counts),
            beam.pvalue.AsList(rejected | beam.Map(lambda r: (r.line, f"line {r.line}: {r.reason}"))),
            beam.pvalue.AsSingleton(movies | beam.combiners.Count.Globally()),
        )
    )


def _check(exec_properties: dict[str, Any]) -> None:
    with fileio.open(os.path.join(exec_properties["summary_uri"], SUMMARY_FILE)) as file:
        summary = json.load(file)
    data = Data.model_validate_json(exec_properties["data"])
    rejected, accepted = summary["rejected_rows"], summary["interactions"]
    if rejected > data.max_rejected_share * (rejected + accepted):
        raise UserError(
            f"{rejected} of {rejected + accepted} rows of "
            f"{os.path.join(exec_properties['directory'], data.interactions.file)} were rejected, more than the "
            f"allowed {data.max_rejected_share:.2%}: {'; '.join(summary['first_rejected'])}. "
            f"All are listed in {exec_properties['rejected_rows_file']}; mend them, or raise data.max_rejected_share"
        )
    for split in SPLITS:
        if not summary[split]:
            raise UserError(
                f"the split leaves no {split} interactions of {accepted}: give more data, or change split.test_share"
            )
