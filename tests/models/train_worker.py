"""Trains on the tests' rows, without anything random, as one process of a strategy; TF_CONFIG tells of the others.

Arguments: which model, strategy, Transform's graph, transformed rows, raw rows, directory for model and run.
"""

import sys

import tensorflow as tf

from models import ranking, retrieval, training
from models.settings import Ranking, Retrieval
from tests.models.conftest import FEATURES


def main(kind: str, strategy: str, graph: str, rows: str, raw_rows: str, output: str) -> None:
    if strategy == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    common = {"strategy": strategy, "epochs": 6, "batch_size": 4, "learning_rate": 0.02, "weight_decay": 0.5}
    if kind == "retrieval":
        run = retrieval.run
        off = dict.fromkeys(("history_dropout", "user_dropout", "item_dropout", "query_dropout"), 0.0)
        config = Retrieval(**common, **off, uniform_negatives=0)
    else:
        run = ranking.run
        config = Ranking(**common, dropout=0.0, user_dropout=0.0, item_dropout=0.0, negatives=3)
    run(
        training.Job(
            settings=config.model_dump_json(),
            features=FEATURES.model_dump_json(),
            transform_graph=graph,
            train_files=[rows],
            eval_files=[rows],
            item_files=[raw_rows],
            run_dir=f"{output}/run",
            model_dir=f"{output}/model",
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
