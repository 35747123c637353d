"""The DAG. It does not know what orchestrates it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tfx.components import StatisticsGen
from tfx.orchestration import metadata, pipeline

from components.atomic_pusher.component import AtomicPusher
from components.canary.component import Canary
from components.catalogue_gen.component import CatalogueGen
from components.curated_schema.component import CuratedSchema
from components.evaluation.component import RecommenderEvaluator
from components.evaluation.verdict import check_thresholds
from components.interaction_gen.component import InteractionGen
from components.live_model.component import LiveModel
from components.parameters import IntParameter, Parameter
from components.recommender_builder.component import RecommenderBuilder
from components.recommender_trainer.component import RecommenderTrainer
from components.reproducible_transform.component import ReproducibleTransform
from components.strict_example_validator.component import StrictExampleValidator
from pipeline.config import Config
from pipeline.features import Kind, available
from pipeline.fingerprints import code_fingerprint
from pipeline.schema import build_schema

TRAINERS = ("Trainer.retrieval", "Trainer.ranking")
# On Beam, where several workers write the same as one, or nothing that is trained on. StatisticsGen, too, would be one,
# but has time enough beside Transform, which waits for a processor then.
PARALLEL = ("InteractionGen", "CatalogueGen", "Transform", "Evaluator")


class Parameters(NamedTuple):
    """What differs from run to run: values, or TFX's RuntimeParameters where the orchestrator fills them in."""

    data: Parameter  # The tables' directory; `{span}` in it stands for the span.
    span: Parameter
    push_destination: Parameter  # Directory of the served versions.
    rejected_rows: Parameter  # Directory of the lists of rows that are left out; "" keeps them with the artifacts.
    retrieval_epochs: IntParameter
    ranking_epochs: IntParameter
    thresholds: Parameter  # JSON mapping, merged over `evaluation.thresholds`.


def create_pipeline(
    *,
    config: Config,
    parameters: Parameters,
    data_fingerprint: str,
    user_fields: Collection[str],
    origin: str,
    live_as_of: str,
    lost_versions: str,
    pipeline_name: str,
    pipeline_root: str,
    beam_pipeline_args: Collection[str],
    metadata_connection_config: metadata.ConnectionConfigType | None = None,
    enable_cache: bool = True,
) -> pipeline.Pipeline:
    """Raw interactions to a pushed recommender.

    Args:
      config: the run's configuration.
      parameters: what differs from run to run.
      data_fingerprint: digest of the source files; "" where they are not known yet.
      user_fields: the optional features of users that the data has.
      origin: `fingerprints.model_origin`; "" where the data is not known yet.
      live_as_of: as LiveModel's `as_of`.
      lost_versions: as the Pusher's; "" where nothing is kept of earlier runs' pushes.
      pipeline_name: TFX's name of the pipeline.
      pipeline_root: where artifacts are kept.
      beam_pipeline_args: for every component that runs on Beam.
      metadata_connection_config: MLMD's database; None where the orchestrator has its own.
      enable_cache: reuse the outputs of components whose inputs, parameters and code are the same.

    Raises:
      UserError: a threshold on a figure that does not exist.
    """
    check_thresholds(config.evaluation)
    code = code_fingerprint("pipeline", "components")
    data = config.data.model_dump_json(exclude={"directory", "span"})
    source = f"{data_fingerprint}-{code}".removeprefix("-")

    interactions = InteractionGen(
        data=data,
        directory=parameters.data,
        span=parameters.span,
        split=config.split.model_dump_json(),
        fingerprint=source,
        rejected_rows_dir=parameters.rejected_rows,
    )
    catalogue = CatalogueGen(
        summary=interactions.outputs["summary"], data=data, directory=parameters.data, fingerprint=source
    )
    features = available(user_fields)
    # Without the histories' movies, which are those of other rows: they would take as long as all the rest.
    looked_at = [feature.name for feature in features if feature.kind is not Kind.HISTORY_IDS]
    statistics = StatisticsGen(
        examples=interactions.outputs["examples"], stats_options=tfdv.StatsOptions(feature_allowlist=looked_at)
    )
    schema_text = text_format.MessageToString(build_schema(features))
    schema = CuratedSchema(text=schema_text).with_id("ImportSchemaGen")
    validator = StrictExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])
    transform = ReproducibleTransform(
        examples=interactions.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="pipeline.preprocessing.preprocessing_fn",
        custom_config={"transform": config.transform.model_dump_json(), "code": code},
        disable_statistics=True,
        disable_analyzer_cache=True,
    ).with_id("Transform")

    def trainer(name: str, section: str, epochs: IntParameter) -> RecommenderTrainer:
        return RecommenderTrainer(
            run_fn=f"pipeline.{name}.run_fn",
            examples=transform.outputs["transformed_examples"],
            transform_graph=transform.outputs["transform_graph"],
            catalogue=catalogue.outputs["examples"],
            custom_config={"model": section, "code": code},
            epochs=epochs,
        ).with_id(f"Trainer.{name}")

    retrieval = trainer("retrieval", config.retrieval.model_dump_json(), parameters.retrieval_epochs)
    ranking = trainer("ranking", config.ranking.model_dump_json(), parameters.ranking_epochs)
    for one in (retrieval, ranking):
        one.add_upstream_node(validator)
    builder = RecommenderBuilder(
        examples=interactions.outputs["examples"],
        transformed_examples=transform.outputs["transformed_examples"],
        catalogue=catalogue.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        retrieval_model=retrieval.outputs["model"],
        ranking_model=ranking.outputs["model"],
        index=config.index.model_dump_json(),
        history_length=config.split.history_length,
        origin=origin,
    )
    live = LiveModel(push_destination=parameters.push_destination, origin=origin, as_of=live_as_of)
    evaluator = RecommenderEvaluator(
        examples=interactions.outputs["examples"],
        transformed_examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        catalogue=catalogue.outputs["examples"],
        model=builder.outputs["model"],
        live_model=live.outputs["model"],
        retrieval_model=retrieval.outputs["model"],
        ranking_model=ranking.outputs["model"],
        retrieval_run=retrieval.outputs["model_run"],
        limits=config.evaluation.model_dump_json(),
        threshold_changes=parameters.thresholds,
        preference_threshold=config.transform.preference_threshold,
        fingerprint=code,
    ).with_id("Evaluator")
    canary = Canary(
        model=builder.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        examples=interactions.outputs["examples"],
        catalogue=catalogue.outputs["examples"],
        canary=config.canary.model_dump_json(),
        fingerprint=code_fingerprint("pipeline", "components", "serving"),
    )
    pusher = AtomicPusher(
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=canary.outputs["blessing"],
        push_destination=parameters.push_destination,
        lost_versions=lost_versions,
    ).with_id("Pusher")
    return pipeline.Pipeline(
        pipeline_name=pipeline_name,
        pipeline_root=pipeline_root,
        components=[
            interactions,
            catalogue,
            statistics,
            schema,
            validator,
            transform,
            retrieval,
            ranking,
            builder,
            live,
            evaluator,
            canary,
            pusher,
        ],
        enable_cache=enable_cache,
        beam_pipeline_args=list(beam_pipeline_args),
        metadata_connection_config=metadata_connection_config,
    )
