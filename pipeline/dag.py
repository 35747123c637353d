"""The DAG. It does not know what orchestrates it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components import StatisticsGen
from tfx.dsl.components.base import base_node
from tfx.orchestration import metadata, pipeline
from tfx.types import BaseChannel

from components.atomic_pusher.component import AtomicPusher
from components.base import IntParameter, Parameter
from components.curated_schema.component import CuratedSchema
from components.drift_validator.component import DriftValidator
from components.evaluator.component import RecommenderEvaluator
from components.evaluator.verdict import check_thresholds
from components.infra_validator.component import ServedModelValidator
from components.interaction_gen.component import InteractionGen
from components.item_gen.component import ItemGen
from components.live_model.component import LiveModel
from components.recommender_builder.component import RecommenderBuilder
from components.recommender_trainer.component import RecommenderTrainer
from components.refitter.component import Refitter
from components.reporter.component import Reporter
from components.strict_example_validator.component import StrictExampleValidator
from components.transform.component import Transform
from models.features.feature_set import FeatureSet
from models.features.schema import build_schema
from pipeline.config import Config
from pipeline.fingerprints import code_fingerprint
from pipeline.steps import Step


class Parameters(NamedTuple):
    """What differs from run to run: values, or TFX's RuntimeParameters where the orchestrator fills them in."""

    data: Parameter  # The tables' directory; `{span}` in it stands for the span.
    span: Parameter
    window: IntParameter  # How many spans are read together.
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
    features: FeatureSet,
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
      features: of the data.
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
    check_thresholds(config.evaluation, features)
    feature_set = features.model_dump_json()
    # A filter is of no concern to what reads and learns, so that setting one repeats neither.
    learnt = features.model_dump_json(exclude={"items": {"__all__": {"filter"}}})
    tables = config.data.layout().model_dump_json(exclude={"items": {"features": {"__all__": {"filter"}}}})

    def source(component: type) -> str:
        return f"{data_fingerprint}-{code_fingerprint(component.__module__)}".removeprefix("-")

    interactions = InteractionGen(
        data=tables,
        features=learnt,
        directory=parameters.data,
        span=parameters.span,
        window=parameters.window,
        missing_spans=config.data.missing_spans,
        split=config.split.model_dump_json(),
        fingerprint=source(InteractionGen),
        rejected_rows_dir=parameters.rejected_rows,
    ).with_id(Step.INTERACTION_GEN)
    items = ItemGen(
        interactions=interactions.outputs["examples"],
        summary=interactions.outputs["summary"],
        data=tables,
        features=learnt,
        directory=parameters.data,
        fingerprint=source(ItemGen),
    ).with_id(Step.ITEM_GEN)

    def looked_at(examples: BaseChannel, schema: schema_pb2.Schema, ids: Sequence[Step]) -> list[base_node.BaseNode]:
        """Statistics, schema and validator of examples."""
        statistics = StatisticsGen(examples=examples).with_id(ids[0])
        curated = CuratedSchema(text=text_format.MessageToString(schema)).with_id(ids[1])
        validator = StrictExampleValidator(
            statistics=statistics.outputs["statistics"],
            schema=curated.outputs["schema"],
            fingerprint=code_fingerprint(StrictExampleValidator.__module__),
        ).with_id(ids[2])
        return [statistics, curated, validator]

    of_interactions = looked_at(
        interactions.outputs["examples"],
        build_schema(features.of_timelines(), features.of_interactions()),
        (Step.STATISTICS_GEN, Step.SCHEMA_GEN, Step.EXAMPLE_VALIDATOR),
    )
    of_items = looked_at(
        items.outputs["examples"],
        build_schema(features.of_items()),
        (Step.ITEM_STATISTICS_GEN, Step.ITEM_SCHEMA_GEN, Step.ITEM_EXAMPLE_VALIDATOR),
    )
    live = LiveModel(push_destination=parameters.push_destination, origin=origin, as_of=live_as_of).with_id(
        Step.LIVE_MODEL
    )
    delivery = {
        "summary": interactions.outputs["summary"],
        "statistics": of_interactions[0].outputs["statistics"],
        "item_statistics": of_items[0].outputs["statistics"],
    }
    drift = DriftValidator(
        **delivery,
        live_model=live.outputs["model"],
        settings=config.drift.model_dump_json(),
        fingerprint=code_fingerprint(DriftValidator.__module__),
    ).with_id(Step.DRIFT_VALIDATOR)
    transform = Transform(
        examples=interactions.outputs["examples"],
        items=items.outputs["examples"],
        schema=of_interactions[1].outputs["schema"],
        item_schema=of_items[1].outputs["schema"],
        features=learnt,
        settings=config.transform.model_dump_json(),
        fingerprint=code_fingerprint(Transform.__module__),
    ).with_id(Step.TRANSFORM)

    # What a Trainer does not go on from must not make its cached model stale.
    warm = {"live_model": live.outputs["model"]} if config.warm_start else {}
    split = config.split.model_dump_json() if config.warm_start or config.refit else ""

    def trainer(step: Step, module: str, settings: str, epochs: IntParameter) -> RecommenderTrainer:
        component = RecommenderTrainer(
            module=module,
            features=learnt,
            settings=settings,
            epochs=epochs,
            examples=transform.outputs["transformed_examples"],
            transform_graph=transform.outputs["transform_graph"],
            items=items.outputs["examples"],
            split=split,
            fingerprint=code_fingerprint(RecommenderTrainer.__module__, module),
            **warm,
        ).with_id(step)
        for node in (of_interactions[-1], of_items[-1], drift):
            component.add_upstream_node(node)  # Anomalies and drift stop the training.
        return component

    retrieval = trainer(
        Step.RETRIEVAL_TRAINER, "models.retrieval", config.retrieval.model_dump_json(), parameters.retrieval_epochs
    )
    ranking = trainer(
        Step.RANKING_TRAINER, "models.ranking", config.ranking.model_dump_json(), parameters.ranking_epochs
    )
    parts = {
        "examples": interactions.outputs["examples"],
        "transformed_examples": transform.outputs["transformed_examples"],
        "items": items.outputs["examples"],
        "transform_graph": transform.outputs["transform_graph"],
        "retrieval_model": retrieval.outputs["model"],
        "ranking_model": ranking.outputs["model"],
        **delivery,
        "features": feature_set,
        "index": config.index.model_dump_json(),
        "origin": origin,
    }
    builder = RecommenderBuilder(**parts, fingerprint=code_fingerprint(RecommenderBuilder.__module__)).with_id(
        Step.RECOMMENDER_BUILDER
    )
    evaluator = RecommenderEvaluator(
        examples=interactions.outputs["examples"],
        transformed_examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        items=items.outputs["examples"],
        model=builder.outputs["model"],
        live_model=live.outputs["model"],
        retrieval_model=retrieval.outputs["model"],
        ranking_model=ranking.outputs["model"],
        retrieval_run=retrieval.outputs["model_run"],
        features=learnt,
        limits=config.evaluation.model_dump_json(),
        threshold_changes=parameters.thresholds,
        fingerprint=code_fingerprint(RecommenderEvaluator.__module__),
    ).with_id(Step.EVALUATOR)
    candidate = builder
    if config.refit:
        candidate = Refitter(
            **parts,
            blessed_model=builder.outputs["model"],
            model_blessing=evaluator.outputs["blessing"],
            retrieval=config.retrieval.model_dump_json(),
            ranking=config.ranking.model_dump_json(),
            split=split,
            limits=config.evaluation.model_dump_json(),
            fingerprint=code_fingerprint(Refitter.__module__, "models.retrieval", "models.ranking"),
        ).with_id(Step.REFITTER)
    infra_validator = ServedModelValidator(
        model=candidate.outputs["model"],
        examples=interactions.outputs["examples"],
        items=items.outputs["examples"],
        features=feature_set,
        settings=config.infra_validator.model_dump_json(),
        fingerprint=code_fingerprint(ServedModelValidator.__module__, "serving.cli"),
    ).with_id(Step.INFRA_VALIDATOR)
    pusher = AtomicPusher(
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_validator.outputs["blessing"],
        push_destination=parameters.push_destination,
        lost_versions=lost_versions,
    ).with_id(Step.PUSHER)
    reporter = Reporter(
        **delivery,
        anomalies=of_interactions[-1].outputs["anomalies"],
        drift=drift.outputs["drift"],
        retrieval_run=retrieval.outputs["model_run"],
        ranking_run=ranking.outputs["model_run"],
        evaluation=evaluator.outputs["evaluation"],
        infra_blessing=infra_validator.outputs["blessing"],
        pushed_model=pusher.outputs["pushed_model"],
        name=config.name,
        split=config.split.kind,
        generated=int(config.data.generated is not None),
        warm_start=int(config.warm_start),
        push_destination=parameters.push_destination,
        fingerprint=code_fingerprint(Reporter.__module__),
        **({"refitted_model": candidate.outputs["model"]} if config.refit else {}),
    ).with_id(Step.REPORTER)
    return pipeline.Pipeline(
        pipeline_name=pipeline_name,
        pipeline_root=pipeline_root,
        components=[
            interactions,
            items,
            *of_interactions,
            *of_items,
            live,
            drift,
            transform,
            retrieval,
            ranking,
            builder,
            evaluator,
            *([candidate] if config.refit else []),
            infra_validator,
            pusher,
            reporter,
        ],
        enable_cache=enable_cache,
        beam_pipeline_args=list(beam_pipeline_args),
        metadata_connection_config=metadata_connection_config,
    )
