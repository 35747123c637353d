"""Measures the servable on the eval split and blesses or refuses it."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_model_analysis as tfma
import tensorflow_transform as tft
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.artifacts import live_model_dir, split_files, trained_models
from components.beam_args import ONE_WORKER
from components.evaluator import outputs as o
from components.evaluator import shards, slices
from components.evaluator.figures import LIVE, Kind, Measured, build_eval_config, gated_length
from components.evaluator.parity import Parity
from components.evaluator.predictions import ASKING, Predict, can_be_asked
from components.evaluator.samples import sample_users
from components.evaluator.settings import Evaluation
from components.evaluator.verdict import INDEX_RECALL, PARITY, check_thresholds, refusals
from components.files import BEFORE_REFIT, BUILD_FILE, EVALUATION_FILE, ITEMS_SPLIT
from models import inputs
from models.catalogue import load_catalogue
from models.errors import UserError
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.files import VALIDATION_FILE
from models.joining import Weights
from models.settings import TOP_KS

_FEW_QUERIES = 25_000  # For more, it pays that each of several workers loads the servables.


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs TFMA over the servable's signatures; writes TFMA's results, `evaluation.json` and the blessing."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        features = FeatureSet.model_validate_json(exec_properties["features"])
        limits = _limits(exec_properties["limits"], exec_properties["threshold_changes"], features)
        output = artifact_utils.get_single_uri(output_dict["evaluation"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        transform = tft.TFTransformOutput(artifact_utils.get_single_uri(input_dict["transform_graph"]))
        catalogue = load_catalogue(split_files(input_dict["items"], ITEMS_SPLIT), features, transform)

        notes: list[str] = []
        kind = Kind.of(features)
        model_dirs = {"": path_utils.serving_model_path(model.uri)}
        live = live_model_dir(artifact_utils.get_single_uri(input_dict["live_model"]))
        if live and not can_be_asked(live, model_dirs[""]):
            notes.append(f"the live version {os.path.basename(live)} has other inputs or outputs: it was not compared")
            live = None
        if live:
            before_refit = os.path.join(live, BEFORE_REFIT)
            # What has learnt from eval rows cannot be measured on them.
            model_dirs[o.LIVE] = before_refit if fileio.exists(before_refit) else live
        build = json.loads(io_utils.read_string_file(os.path.join(model_dirs[""], BUILD_FILE)))
        index, weights = build["index"], Weights(**build["weights"])
        hidden = catalogue.are_in(build["never"])
        if hidden.any():
            notes.append(f"{hidden.sum():,} items are never recommended, and eval rows about them are not asked")
        if weights.counts_nothing:
            tried = f"it did not help on {weights.queries:,} train rows that were kept out"
            why = tried if weights.queries else "there are too few train rows to try it on"
            notes.append(f"the second stage leaves the first one's order as it is: {why}")
        trained_items = inputs.oov_index(transform, f.ITEM_ID)
        k = gated_length(trained_items, index["candidates"])
        if k < max(TOP_KS):
            reason = (
                f"{trained_items:,} items have train interactions, and a request has {index['candidates']} candidates"
            )
            notes.append(f"the gate compares lists of {k}, as {reason}")
        sliced = slices.sliced_features(features, transform)
        sliceable = features.sliced()
        for name, threshold in limits.active_thresholds().items():
            feature = (threshold.slice or "").partition("=")[0]
            if feature in sliceable and feature not in sliced:
                notes.append(f"the threshold {name} does not apply: {feature} has too many values to slice by")
        splits = shards.splits_of(input_dict)
        loaded = shards.load(*splits, catalogue, hidden, features.histories.repeats, limits.max_queries, k)
        item_files = split_files(input_dict["items"], ITEMS_SPLIT)
        items = slices.of_items(item_files, features, sliced, catalogue, loaded.item_counts)
        eval_config = build_eval_config(int((~hidden).sum()), with_live=bool(live), kind=kind)
        predict = Predict(model_dirs, features, sliced, items)

        def compare() -> tuple[dict[str, float | None], list[dict[str, Any]]]:
            models = map(tf.saved_model.load, trained_models(input_dict).values())
            rows = limits.parity_rows
            with ASKING:
                servable = predict.servable("")
                parity = Parity(servable, *models, features, transform, catalogue, hidden, *splits, rows, weights)
                checks = {INDEX_RECALL: parity.index_recall(), PARITY: parity.score_difference()}
                return checks, sample_users(parity, catalogue)

        if sum(len(shard.rows) for shard in loaded.shards) <= _FEW_QUERIES:
            self._beam_pipeline_args = [*self._beam_pipeline_args, ONE_WORKER]
        # The Beam job leaves a processor idle while it is built and while its workers load the servable.
        with ThreadPoolExecutor() as beside:
            compared = beside.submit(compare)
            with self._make_beam_pipeline() as pipeline:
                (
                    pipeline
                    | "Shards" >> beam.Create(loaded.shards)
                    | "Predictions" >> beam.ParDo(predict)
                    | "Evaluate"
                    >> tfma.ExtractEvaluateAndWriteResults(
                        eval_config=eval_config, extractors=[slices.by_slice()], writers=_writers(output, eval_config)
                    )
                )
            checks, samples = compared.result()
        measured = Measured(tfma.load_eval_result(output), with_live=bool(live), kind=kind, k=k)

        run_uri = artifact_utils.get_single_uri(input_dict["retrieval_run"])
        validation = json.loads(io_utils.read_string_file(os.path.join(run_uri, VALIDATION_FILE)))
        unfiltered = {name: value for name, value in validation.items() if name.startswith("top_")}
        metrics = _metrics(measured, unfiltered, index, checks, limits, live)
        metrics["baselines"][o.RECENT_POPULARITY]["days"] = loaded.days
        metrics["joining"] = weights._asdict()
        report = {
            "metrics": metrics,
            "not_blessed_because": refusals(measured, checks, limits),
            "notes": notes,
            "samples": samples,
        }
        io_utils.write_string_file(os.path.join(output, EVALUATION_FILE), json.dumps(report, indent=2))
        _bless(artifact_utils.get_single_instance(output_dict["blessing"]), model, not report["not_blessed_because"])


def _writers(output: str, eval_config: tfma.EvalConfig) -> list[tfma.writers.Writer]:
    """What `tfma.load_eval_result` reads: the defaults without plots, attributions and validations, which are empty."""
    metrics = {tfma.METRICS_KEY: os.path.join(output, tfma.METRICS_KEY)}
    return [
        tfma.writers.EvalConfigWriter(output, eval_config),
        tfma.writers.MetricsPlotsAndValidationsWriter(metrics, eval_config),
    ]


def _limits(section: str, changes: str, features: FeatureSet) -> Evaluation:
    limits = Evaluation.model_validate_json(section)
    try:
        limits = limits.changed(json.loads(changes))
    except (ValueError, AttributeError) as error:  # No JSON, a wrong threshold; or no mapping.
        raise UserError(
            f"thresholds {changes}: {error}. Give a JSON mapping by name, as in "
            '{"rating_error": {"at_most": 0.9}, "lists_kept": null}'
        ) from error
    check_thresholds(limits, features)
    return limits


def _metrics(measured: Measured, unfiltered, index, checks, limits: Evaluation, live: str | None) -> dict[str, Any]:
    """The `metrics` section of report.json."""
    sections = measured.sections()
    baselines: dict[str, Any] = {name: measured.figures(reference=name) for name in measured.kind.baselines()}
    if live:
        baselines[LIVE] = {"version": os.path.basename(live)} | measured.figures(reference=LIVE)
    return sections | {
        "retrieval": unfiltered | sections["retrieval"],
        "index": index | {INDEX_RECALL: checks[INDEX_RECALL]},
        "parity": {PARITY: checks[PARITY]},
        "baselines": baselines,
        "slices": measured.report_slices(limits.min_slice_queries),
    }


def _bless(blessing, model, blessed: bool) -> None:
    """Marks the model as TFX's own Evaluator does, so that every pusher understands it."""
    name = "BLESSED" if blessed else "NOT_BLESSED"
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    blessing.set_int_custom_property("blessed", int(blessed))
