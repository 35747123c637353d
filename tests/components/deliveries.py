"""What is kept of a delivery, made by the pipeline's own components."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tfx.components.statistics_gen import executor as statistics_gen
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts import DataSummary
from components.drift_validator import kept
from components.drift_validator.kept import Delivery
from components.interaction_gen import executor as interaction_gen
from components.item_gen import executor as item_gen
from pipeline.beam_args import IN_PROCESS
from pipeline.config import Config
from pipeline.data import checks


def made(kind: type, path: Path) -> list:
    """A new artifact."""
    artifact = kind()
    artifact.uri = str(path)
    return [artifact]


def run(executor, inputs: dict, outputs: dict, properties: dict) -> None:
    """Runs a component's executor in this process."""
    executor(executor.Context(beam_pipeline_args=list(IN_PROCESS))).Do(inputs, outputs, properties)


def artifacts(config: Config, directory: Path) -> dict[str, list]:
    """Summary and statistics of a configuration's data, as the DriftValidator has them."""
    tables = {
        "data": config.data.layout().model_dump_json(),
        "features": checks.features(config).model_dump_json(),
        "directory": config.data.directory,
        "fingerprint": "rows",
    }
    examples, items = (made(standard_artifacts.Examples, directory / name) for name in ("examples", "items"))
    summary = made(DataSummary, directory / "summary")
    properties = {
        "split": config.split.model_dump_json(),
        "span": config.data.span,
        "window": config.data.window,
        "missing_spans": config.data.missing_spans,
        "rejected_rows_dir": "",
    }
    run(interaction_gen.Executor, {}, {"examples": examples, "summary": summary}, tables | properties)
    run(item_gen.Executor, {"interactions": examples, "summary": summary}, {"examples": items}, tables)
    found = {"summary": summary}
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
