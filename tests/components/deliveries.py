"""What is kept of a delivery, made by the pipeline's own components."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx.components.statistics_gen import executor as statistics_gen
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts import DataSummary
from components.beam_args import IN_PROCESS
from components.drift_validator import kept
from components.drift_validator.kept import Delivery
from components.interaction_gen import executor as interaction_gen
from components.item_gen import executor as item_gen
from pipeline.config import Config
from pipeline.data import checks


def made(kind: type, path: Path) -> list:
    """A new artifact."""
    artifact = kind()
    artifact.uri = str(path)
    return [artifact]


def run(executor, inputs: dict, outputs: dict, properties: dict, beam_args: Sequence[str] | None = None) -> None:
    """Runs a component's executor, in this process unless Beam's arguments say otherwise."""
    executor(executor.Context(beam_pipeline_args=list(beam_args or IN_PROCESS))).Do(inputs, outputs, properties)


def tables(config: Config) -> dict[str, Any]:
    """The parameters that both ExampleGens have."""
    return {
        "data": config.data.layout().model_dump_json(),
        "features": checks.features(config).model_dump_json(),
        "directory": config.data.directory,
        "fingerprint": "rows",
    }


def read_interactions(config: Config, directory: Path, beam_args: Sequence[str] | None = None) -> dict[str, list]:
    """Runs InteractionGen; returns its outputs, beside which is the list of rows in `rejected/`."""
    properties = {
        "split": config.split.model_dump_json(),
        "span": config.data.span,
        "window": config.data.window,
        "missing_spans": config.data.missing_spans,
        "rejected_rows_dir": str(directory / "rejected"),
    }
    outputs = {
        "examples": made(standard_artifacts.Examples, directory / "examples"),
        "summary": made(DataSummary, directory / "summary"),
    }
    run(interaction_gen.Executor, {}, outputs, tables(config) | properties, beam_args)
    return outputs


def artifacts(config: Config, directory: Path) -> dict[str, list]:
    """Summary and statistics of a configuration's data, as the DriftValidator has them."""
    read = read_interactions(config, directory)
    examples, items = read["examples"], made(standard_artifacts.Examples, directory / "items")
    inputs = {"interactions": examples, "summary": read["summary"]}
    run(item_gen.Executor, inputs, {"examples": items}, tables(config))
    found = {"summary": read["summary"]}
    for name, of in (("statistics", examples), ("item_statistics", items)):
        found[name] = made(standard_artifacts.ExampleStatistics, directory / name)
        run(
            statistics_gen.Executor,
            {"examples": of},
            {"statistics": found[name]},
            {"exclude_splits": "[]", "sharded_stats_output": 0},
        )
        assert artifact_utils.decode_split_names(found[name][0].split_names)
    return found


def delivery(config: Config) -> Delivery:
    """What is kept of a configuration's data."""
    with tempfile.TemporaryDirectory() as scratch:
        return kept.of_artifacts(artifacts(config, Path(scratch)))
