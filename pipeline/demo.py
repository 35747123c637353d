"""The end of the demo: a real server, asked over both protocols."""

from __future__ import annotations

import time

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.errors import RunError
from serving.client import Recommender
from serving.process import running_server
from serving.texts import one_line

_KNOWN_USER = "42"


def show_answers(model_dir: str, console: Console) -> None:
    """Starts a server on free ports, prints recommendations over REST and over gRPC, and stops it.

    Raises:
      ServingError: the server did not start.
      RunError: the protocols disagree.
    """
    with (
        running_server({1: model_dir}) as (grpc_port, rest_port),
        Recommender(f"http://127.0.0.1:{rest_port}") as rest,
        Recommender(f"127.0.0.1:{grpc_port}") as grpc,
    ):
        known = [client.recommend(_KNOWN_USER) for client in (rest, grpc)]
        history, now = [item.item_id for item in known[0][:3]], int(time.time())
        had = [(item, now) for item in history]
        unknown = [client.recommend("", had, timestamp=now) for client in (rest, grpc)]
    for title, lists in (
        (f"User {_KNOWN_USER}", known),
        (f"An unknown user who has just seen {', '.join(history)}", unknown),
    ):
        table = Table("REST", "score", "gRPC", "score", title=_shown(title), title_justify="left")
        for pair in zip(*lists, strict=True):
            table.add_row(*(cell for item in pair for cell in (_shown(item.title), f"{item.score:.3f}")))
        console.print(table)
        if [item.item_id for item in lists[0]] != [item.item_id for item in lists[1]]:
            raise RunError(f"{title}: REST and gRPC gave different answers")


def _shown(text: str) -> Text:
    """As it stands: brackets in it are no markup."""
    return Text(one_line(text))
