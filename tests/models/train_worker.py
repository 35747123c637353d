"""Trains on the tests' rows, without anything random, as one process of a strategy; TF_CONFIG tells of the others.

Arguments: which model, strategy, Transform's graph, transformed rows, raw rows, directory for model and run.
"""

import sys
from types import SimpleNamespace

import tensorflow as tf

from models import ranking, retrieval
from models.files import ITEM_FILES
from models.settings import Ranking, Retrieval


def main(kind: str, strategy: str, graph: str, rows: str, raw_rows: str, output: str) -> None:
    if strategy == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    common = {"strategy": strategy, "epochs": 6, "batch_size": 4, "learning_rate": 0.02, "weight_decay": 0.5}
    if kind == "retrieval":
        run_fn = retrieval.run_fn
        off = dict.fromkeys(("history_dropout", "user_dropout", "item_dropout", "query_dropout"), 0.0)
        config = Retrieval(**common, **off, uniform_negatives=0)
    else:
        run_fn = ranking.run_fn
        config = Ranking(**common, dropout=0.0, user_dropout=0.0, item_dropout=0.0, negatives=3)
    run_fn(
        SimpleNamespace(
            custom_config={"model": config.model_dump_json(), ITEM_FILES: [raw_rows]},
            transform_output=graph,
            train_files=[rows],
            eval_files=[rows],
            model_run_dir=f"{output}/run",
            serving_model_dir=f"{output}/model",
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
