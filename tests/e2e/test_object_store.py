"""Data, pipeline root and push destination in an S3-compatible store; what was pushed is mirrored and served."""

import os
import subprocess
import sys

import fsspec
import numpy as np
import tensorflow as tf

from pipeline.config import load_config
from pipeline.generated import write_generated
from serving.client import Client
from tests.e2e.conftest import ROOT, SMALL
from tests.serving.conftest import serving


def run_module(*arguments):
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-5000:]


def test_a_model_goes_from_data_in_the_store_through_the_store_to_a_server(tmp_path, store):
    config = load_config("demo", [argument.removeprefix("--set=") for argument in SMALL])
    write_generated(config.data.generated, str(tmp_path / "data"))
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    s3.put(f"{tmp_path}/data/", f"{store}/whole/data/", recursive=True)
    config.data.generated, config.data.directory = None, f"{store}/whole/data"

    run_module("tests.e2e.store_run", config.model_dump_json(), f"{store}/whole", tmp_path)
    (archive,) = s3.ls(f"{store}/whole/models/recommender", detail=False)
    assert s3.find(f"{store}/whole/rejected_rows")

    run_module("serving.sync", f"{store}/whole/models/recommender", tmp_path / "models", "--seconds", 0)
    (version,) = (tmp_path / "models").iterdir()
    assert f"{version.name}.tar" == os.path.basename(archive)
    (pushed,) = s3.ls(f"{store}/whole/pipeline/Pusher/pushed_model", detail=False)
    files = {path.removeprefix(f"{pushed}/"): s3.cat(path) for path in s3.find(pushed)}
    mirrored = {str(path.relative_to(version)): path.read_bytes() for path in version.rglob("*") if path.is_file()}
    assert mirrored == files

    import scann  # noqa: F401

    expected = tf.saved_model.load(str(version)).signatures["serving_default"](user_id=tf.constant(["1", "2"]))
    with serving(tmp_path / "models") as (_, grpc_port, _), Client("127.0.0.1", grpc_port, True, "toy") as client:
        found = client.recommend(["1", "2"])
    assert [[movie.movie_id.encode() for movie in row] for row in found] == expected["movie_id"].numpy().tolist()
    np.testing.assert_allclose([[movie.score for movie in row] for row in found], expected["score"], rtol=1e-5)
