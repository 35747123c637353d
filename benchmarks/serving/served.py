"""The model and the server that are measured."""

from __future__ import annotations

import os

import psutil

from serving.errors import ServingError
from serving.process import Ports
from serving.server.versions import versions_below

USERS = [str(n) for n in range(1, 501)]  # Who is asked about.
PROTOCOLS = ("gRPC", "REST")  # As `Ports` has them.


def newest(model_dir: str) -> str:
    """The directory of the newest version. Raises ServingError if there is none."""
    versions = versions_below(model_dir)
    if not versions:
        raise ServingError(f"{model_dir}: no version of a model. Run the pipeline first, or give another --model-dir")
    return os.path.join(model_dir, versions[max(versions)])


def process_of(ports: Ports) -> psutil.Process:
    """The process of a server that `running_server` has started; others may run beside it."""
    (server,) = [child for child in psutil.Process().children() if str(ports.grpc) in child.cmdline()]
    return server
