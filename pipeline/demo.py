"""The end of the demo: a real server, asked over both protocols."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from pipeline.errors import RunError
from serving.client import Client

_KNOWN_USER = "42"


def show_answers(model_dir: str, console: Console) -> None:
    """Starts a server on free ports, prints recommendations over REST and over gRPC, and stops it.

    Raises:
      RunError: the server did not start, or the protocols disagree.
    """
    with (
        running_server(model_dir) as (grpc_port, rest_port),
        Client("127.0.0.1", rest_port, use_grpc=False) as rest,
        Client("127.0.0.1", grpc_port, use_grpc=True) as grpc,
    ):
        known = [client.recommend([_KNOWN_USER])[0] for client in (rest, grpc)]
        history = [movie.movie_id for movie in known[0][:3]]
        visitor = [client.recommend([""], [history])[0] for client in (rest, grpc)]
    for title, lists in (
        (f"User {_KNOWN_USER}", known),
        (f"An anonymous visitor who has just seen {', '.join(history)}", visitor),
    ):
        table = Table("REST", "score", "gRPC", "score", title=title, title_justify="left")
        for over_rest, over_grpc in zip(*lists, strict=True):
            table.add_row(over_rest.title, f"{over_rest.score:.3f}", over_grpc.title, f"{over_grpc.score:.3f}")
        console.print(table)
        if [movie.movie_id for movie in lists[0]] != [movie.movie_id for movie in lists[1]]:
            raise RunError(f"{title}: REST and gRPC gave different answers")


@contextlib.contextmanager
def running_server(model_dir: str) -> Iterator[tuple[int, int]]:
    """A `recommender serve` process on free loopback ports; yields its gRPC and REST ports once it is ready."""
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "serve",
        "--model-dir",
        model_dir,
        "--port",
        "0",
        "--rest-port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            for line in server.stdout:
                ports = re.search(r"gRPC on \S+:(\d+), REST on \S+:(\d+)", line)
                if ports:
                    yield int(ports[1]), int(ports[2])
                    return
            raise RunError(f"the server on {model_dir} did not start (exit status {server.wait()})")
        finally:
            server.terminate()
