"""Trains on the tests' rows, without anything random, as one process of a strategy; TF_CONFIG tells of the others.

Arguments: which model, strategy, the job as JSON, directory for model and run.
"""

import json
import sys

import tensorflow as tf

from models import ranking, retrieval, training
from models.settings import Ranking, Retrieval

COMMON = {"epochs": 6, "batch_size": 6, "learning_rate": 0.02, "weight_decay": 0.5}
NO_DROPOUT = dict.fromkeys(("user_dropout", "item_dropout"), 0.0)
SECTIONS = {
    "retrieval": Retrieval(**COMMON, **NO_DROPOUT, query_dropout=0.0, moment_dropout=0.0, uniform_negatives=0),
    "ranking": Ranking(**COMMON, **NO_DROPOUT, dropout=0.0, negatives=3),
}
MODULES = {"retrieval": retrieval, "ranking": ranking}


def train(kind: str, strategy: str, job: str, output: str) -> None:
    """Trains a model."""
    settings = SECTIONS[kind].model_copy(update={"strategy": strategy}).model_dump_json()
    own = {"settings": settings, "run_dir": f"{output}/run", "model_dir": f"{output}/model"}
    MODULES[kind].run(training.Job(**json.loads(job) | own))


def main(kind: str, strategy: str, *arguments: str) -> None:
    if strategy == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    train(kind, strategy, *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
