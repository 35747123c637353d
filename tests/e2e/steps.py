"""Components' executors, run here on the artifacts of a finished run."""

from pathlib import Path

from tfx.orchestration import metadata

from components.base import BeamComponent
from components.beam_args import IN_PROCESS
from pipeline.outputs import PIPELINE_NAME, Outputs, connection
from pipeline.steps import Step


def artifacts(run):
    """A run's artifacts, by the names of the components' inputs, each a list of one."""
    found = Outputs(connection(str(run)))
    keys = {
        "examples": (Step.INTERACTION_GEN, "examples"),
        "items": (Step.ITEM_GEN, "examples"),
        "transformed_examples": (Step.TRANSFORM, "transformed_examples"),
        "transform_graph": (Step.TRANSFORM, "transform_graph"),
        "retrieval_model": (Step.RETRIEVAL_TRAINER, "model"),
        "retrieval_run": (Step.RETRIEVAL_TRAINER, "model_run"),
        "ranking_model": (Step.RANKING_TRAINER, "model"),
        "summary": (Step.INTERACTION_GEN, "summary"),
        "statistics": (Step.STATISTICS_GEN, "statistics"),
        "item_statistics": (Step.ITEM_STATISTICS_GEN, "statistics"),
        "model": (Step.RECOMMENDER_BUILDER, "model"),
        "model_blessing": (Step.EVALUATOR, "blessing"),
    }
    return {name: [found.artifact(*key)] for name, key in keys.items()}


class Steps:
    """Runs components' executors here, with the parameters of a finished run and other inputs.

    Args:
      run: the run's output directory.
      directory: for outputs.
    """

    def __init__(self, run, directory):
        self._connection, self._directory = connection(str(run)), directory

    def execute(self, step, component, given, **changed):
        """The outputs by key, each a list of one artifact."""
        outputs = {}
        for key, kind in component.SPEC_CLASS.OUTPUTS.items():
            outputs[key] = [kind.type()]
            outputs[key][0].uri = str(self._directory / step / key)
            Path(outputs[key][0].uri).mkdir(parents=True)
        on_beam = {"beam_pipeline_args": list(IN_PROCESS)} if issubclass(component, BeamComponent) else {}
        executor = component.EXECUTOR_SPEC.executor_class
        context = executor.Context(tmp_dir=str(self._directory / step), unique_id="1", **on_beam)
        executor(context).Do(given, outputs, self._parameters(step) | changed)
        return outputs

    def _parameters(self, step):
        with metadata.Metadata(self._connection) as handle:
            node = handle.store.get_context_by_type_and_name("node", f"{PIPELINE_NAME}.{step}")
            (execution,) = handle.store.get_executions_by_context(node.id)
        values = execution.custom_properties.items()
        return {name: getattr(value, value.WhichOneof("value")) for name, value in values}
