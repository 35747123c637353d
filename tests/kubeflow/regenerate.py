"""Writes the golden file again, after a change of the pipeline that is meant: `make golden`, and read the diff."""

import re
from pathlib import Path

from kubeflow.compile import Locations, compile_pipeline, to_yaml
from pipeline.config import load_config

GOLDEN = Path(__file__).parent / "golden" / "pipeline.yaml"


def compiled() -> str:
    """A pipeline with every option in use, and names in place of the digests that change with each edit of the code."""
    overrides = [
        "kubeflow.gpus=1",
        "kubeflow.resources.Evaluator={cpu: 4, memory_gb: 16}",
        "kubeflow.retries=3",
        "kubeflow.secrets={recommender-store: [AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY]}",
        "kubeflow.config_maps={recommender-store: [AWS_ENDPOINT_URL]}",
    ]
    config = load_config("movielens-csv", overrides, kubeflow__image="registry.example/recommender-pipeline:1")
    text = to_yaml(compile_pipeline(config, Locations("s3://shop/{span}", "s3://models/recommender")))
    return re.sub(r"\b[0-9a-f]{16}\b", "CODE", text)


if __name__ == "__main__":
    GOLDEN.write_text(compiled(), encoding="utf-8")
