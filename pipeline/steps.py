"""The steps of the pipeline by name, and what an orchestrator has to know of each."""

from __future__ import annotations

import enum


class Step(str, enum.Enum):
    """A component's id in the DAG."""

    INTERACTION_GEN = "InteractionGen"
    ITEM_GEN = "ItemGen"
    STATISTICS_GEN = "StatisticsGen"
    SCHEMA_GEN = "ImportSchemaGen"
    EXAMPLE_VALIDATOR = "ExampleValidator"
    ITEM_STATISTICS_GEN = "StatisticsGen.items"
    ITEM_SCHEMA_GEN = "ImportSchemaGen.items"
    ITEM_EXAMPLE_VALIDATOR = "ExampleValidator.items"
    LIVE_MODEL = "LiveModel"
    DRIFT_VALIDATOR = "DriftValidator"
    TRANSFORM = "Transform"
    RETRIEVAL_TRAINER = "Trainer.retrieval"
    RANKING_TRAINER = "Trainer.ranking"
    RECOMMENDER_BUILDER = "RecommenderBuilder"
    EVALUATOR = "Evaluator"
    REFITTER = "Refitter"  # Where the configuration asks for it.
    INFRA_VALIDATOR = "InfraValidator"
    PUSHER = "Pusher"
    REPORTER = "Reporter"

    def __str__(self) -> str:
        return self.value


TRAINERS = (Step.RETRIEVAL_TRAINER, Step.RANKING_TRAINER)
ON_BEAM = (
    Step.INTERACTION_GEN,
    Step.ITEM_GEN,
    Step.STATISTICS_GEN,
    Step.ITEM_STATISTICS_GEN,
    Step.TRANSFORM,
    Step.EVALUATOR,
)
# Those on Beam where several workers write the same as one, or nothing that is trained on. StatisticsGen stays at one
# worker: it runs beside Transform, and is not what the run waits for.
PARALLEL = (Step.INTERACTION_GEN, Step.ITEM_GEN, Step.TRANSFORM, Step.EVALUATOR)
# They look at the world outside the pipeline, which no cache can see.
NEVER_CACHED = (Step.INTERACTION_GEN, Step.ITEM_GEN, Step.LIVE_MODEL, Step.PUSHER)
# They want more of a node than the others.
LARGE = (
    Step.INTERACTION_GEN,
    Step.STATISTICS_GEN,
    Step.TRANSFORM,
    *TRAINERS,
    Step.RECOMMENDER_BUILDER,
    Step.EVALUATOR,
    Step.REFITTER,
    Step.INFRA_VALIDATOR,
)
