"""A small run of the compiled pipeline in an object store, and a step of it that is killed half-way."""

import contextlib
import threading

import fsspec
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from kubeflow.compile import Locations, compile_pipeline, to_yaml
from pipeline.config import load_config
from pipeline.data.generator import write_generated
from tests.kubeflow.backend import Backend

USERS = 60
SIZE = f"data.generated={{users: {USERS}, items: 150, interactions: 2500}}"
SMALL = ["retrieval.batch_size=256", "infra_validator.batch=100", "warm_start=true", "kubeflow.backoff_seconds=1"]
ENVIRONMENT = [
    "kubeflow.secrets={recommender-store: [AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY]}",
    "kubeflow.config_maps={recommender-store: [AWS_ENDPOINT_URL, AWS_DEFAULT_REGION]}",
]
EPOCHS = {"retrieval_epochs": 2, "ranking_epochs": 1}  # Fewer than compiled.
# So little data makes no good model: how good one has to be is not what is tested here.
NO_QUALITY = '{"better_than_popularity": null, "rating_error": null, "rmse": null}'


def write_tables(directory):
    """Tables that are small and real enough to learn from."""
    write_generated(load_config("demo", [SIZE]).data.generated, str(directory))


def write_spec(path):
    """The pipeline, compiled without knowing where the data will be."""
    path.write_text(to_yaml(compile_pipeline(load_config("movielens-csv", SMALL + ENVIRONMENT), Locations())))


def in_containers(store, directory, containers, push_destination):
    """A run of its own data, whose steps run in these containers; it has not run any step."""
    write_tables(directory / "tables")
    fsspec.filesystem("s3").put(f"{directory}/tables/", f"{store}/data/10/", recursive=True)
    write_spec(directory / "pipeline.yaml")
    pods = directory / "pods"
    pods.mkdir()
    return Backend(
        directory / "pipeline.yaml",
        f"{store}/runs/1",
        pods,
        containers=containers,
        data=f"{store}/data/{{span}}",
        push_destination=push_destination,
        thresholds=NO_QUALITY,
        **EPOCHS,
    )


class Stuck:
    """A store that takes one object under a prefix, is silent when a second one comes, and never takes that."""

    def __init__(self, prefix: str):
        self._prefix, self._taken = prefix, 0
        self._store = DomainDispatcherApplication(create_backend_app)
        self._lock, self._end = threading.Lock(), threading.Event()
        self.reached = threading.Event()

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] in ("PUT", "POST") and environ["PATH_INFO"].startswith(self._prefix):
            with self._lock:
                self._taken += 1
                held = self._taken > 1
            if held:
                self.reached.set()
                self._end.wait()
                start_response("503 Service Unavailable", [])
                return []
        return self._store(environ, start_response)

    @contextlib.contextmanager
    def serving(self, host="127.0.0.1"):
        """Yields its address."""
        server = make_server(host, 0, self, threaded=True)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{host}:{server.port}"
        finally:
            self._end.set()
            server.shutdown()


def left_by_killed(started, store):
    """What InteractionGen leaves that is killed between two files: its objects, and whether there is an output file."""
    outputs = f"{store}/runs/1/InteractionGen/".removeprefix("s3:/")
    stuck = Stuck(outputs)
    with stuck.serving() as address, pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", address)
        output_file = started.delete("InteractionGen", when=stuck.reached)
    objects = fsspec.filesystem("s3", use_listings_cache=False).find(outputs.lstrip("/"))
    return objects, output_file.exists()


def check_cleared(left, store):
    """That `left_by_killed` was no end, and that the next attempt took it away."""
    (left,), has_output_file = left
    assert not has_output_file, "KFP would take the step for finished"
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    assert not s3.exists(left)
    names = [path.rpartition("/")[2] for path in s3.find(f"{store}/runs/1/InteractionGen/examples")]
    assert sorted(names) == sorted(2 * [f"data_tfrecord-{shard:05d}-of-00008.gz" for shard in range(8)])
