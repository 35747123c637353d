"""Records what every signature of a SavedModel answers, or compares with what another process recorded.

Runs with TensorFlow, ScaNN and NumPy alone, so that it works with the versions inside google/tf-serving-scann.

    python serving_answers.py record  VERSION_DIR ANSWERS.npz
    python serving_answers.py compare VERSION_DIR ANSWERS.npz
"""

import importlib.metadata
import json
import os
import sys

import numpy as np
import scann  # noqa: F401  Registers the ops that an index needs.
import tensorflow as tf

_TOLERANCE = 1e-4


def answers(version_dir):
    """Outputs of every signature by `signature/output`, for known, unknown and anonymous users.

    Filters want the most frequent value, nothing, that value or one that there is not, and that one alone.
    """
    call = tf.saved_model.load(version_dir).signatures
    users = tf.constant(["1", "42", "nobody", ""])
    found = call["serving_default"](user_id=users)
    known = found["item_id"][:, :3]
    query = {
        "user_id": users,
        "timestamp": tf.constant([0, 1_000_000_000, 0, 0], tf.int64),
        "history_item_id": tf.where(known == "", "no such item", known),
        "history_timestamp": tf.constant([[0, 0, 0], [999_999_990, 999_999_000, 0], [0, 0, 0], [0, 0, 0]], tf.int64),
    }
    specs = call["recommend"].structured_input_signature[1]
    for name in specs.keys() - query.keys():  # The context, which is not known.
        query[name] = tf.constant([""] * 4) if specs[name].dtype == tf.string else tf.fill([4], float("nan"))
    filters = {"exclude_item_id": known[:, :2]}
    with open(os.path.join(version_dir, "assets.extra", "build.json"), encoding="utf-8") as file:
        most_frequent = json.load(file)["filters"]
    for name, values in most_frequent.items():
        first = values[0] if values else ""
        filters[name] = tf.constant([[first, ""], ["", ""], [first, "no such value"], ["no such value", ""]])
    outputs = {
        "serving_default": found,
        "recommend": call["recommend"](**query),
        "recommend_filtered": call["recommend_filtered"](**query, **filters),
        "retrieve": call["retrieve"](**query),
        "rank": call["rank"](**query, item_id=tf.constant([["1", "2", "no such item"]] * 4)),
        "similar": call["similar"](item_id=tf.constant(["1", "no such item"])),
    }
    return {f"{name}/{key}": value.numpy() for name, found in outputs.items() for key, value in found.items()}


def differences(ours, theirs):
    """Names of the outputs that are not the same."""
    for name, array in ours.items():
        if array.dtype.kind == "f":
            same = np.allclose(array, theirs[name], rtol=_TOLERANCE, atol=_TOLERANCE)
        else:
            same = np.array_equal(array.astype("S"), theirs[name])
        if not same:
            yield name


def main():
    action, version_dir, file = sys.argv[1:]
    found = answers(version_dir)
    versions = f"TensorFlow {tf.__version__} with ScaNN {importlib.metadata.version('scann')}"
    if action == "record":
        np.savez(
            file, **{name: array if array.dtype.kind == "f" else array.astype("S") for name, array in found.items()}
        )
        print(f"recorded {len(found)} outputs with {versions}")
        return
    with np.load(file) as theirs:
        missing = sorted(set(theirs) ^ set(found))
        wrong = missing or list(differences(found, theirs))
    if wrong:
        sys.exit(f"{versions} answers differently: {', '.join(wrong)}")
    print(f"{versions} gives the same {len(found)} outputs")


main()
