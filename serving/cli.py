"""The commands of a served model. What takes long to import is imported inside the command that needs it."""

from __future__ import annotations

import os
import re
import sys
import warnings
from typing import Any

import click

from serving.errors import ServingError
from serving.serve_flags import serve_options
from serving.texts import one_line


class _OfUser(click.Command):
    """A command for a user, whose id may be a negative number; another id that begins with a dash goes after `--`."""

    _NEGATIVE = re.compile(r"-[0-9]")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, [*args])
        except click.NoSuchOption as error:
            if not self._NEGATIVE.match(error.option_name):
                hint = "A user id that begins with a dash goes after `--`, as in `predict -- -abc`"
                raise click.UsageError(f"{error.format_message()} {hint}", ctx) from error
        ctx.ignore_unknown_options = True  # What is no option is an argument, of which there is one.
        return super().parse_args(ctx, args)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Serve a pushed model, ask it, and look at it."""


@cli.command()
@serve_options
def serve(**options: Any) -> None:
    """Serve a model over TensorFlow Serving's REST and gRPC protocol, until interrupted.

    Options with underscores are those of `tensorflow_model_server`, and mean the same; `--max_…` and
    `--enable_config_reload` are not among them. The REST port says at / what is served, and at
    /monitoring/prometheus/metrics what was asked; gRPC's standard health service says whether every model can answer.
    """
    from serving.server.main import serve_forever
    from serving.server.options import ServerOptions

    serve_forever(ServerOptions(**options))


@cli.command(cls=_OfUser)
@click.argument("user_id")
@click.option("--k", type=click.IntRange(min=1), help="Number of recommendations.  [default: the model's, 10]")
@click.option("--history", metavar="ID,ID,…", help="Items the user has had, most recent first.")
@click.option("--history-times", metavar="T,T,…", help="When, in Unix seconds.  [default: just now]")
@click.option("--context", metavar="NAME=VALUE", multiple=True, help="What is known of the moment, as device=phone.")
@click.option("--wanted", metavar="NAME=VALUE", multiple=True, help="What items must have; of each NAME one value.")
@click.option("--exclude", metavar="ID,ID,…", help="Items that are not to be recommended.")
@click.option("--grpc", "use_grpc", is_flag=True, help="Ask over gRPC instead of REST.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8500, show_default=True, help="gRPC port.")
@click.option("--rest-port", default=8501, show_default=True, help="REST port.")
@click.option("--model-name", default="recommender", show_default=True)
def predict(
    user_id: str,
    k: int | None,
    history: str | None,
    history_times: str | None,
    context: tuple[str, ...],
    wanted: tuple[str, ...],
    exclude: str | None,
    use_grpc: bool,
    host: str,
    port: int,
    rest_port: int,
    model_name: str,
) -> None:
    """Ask a running server what to recommend to USER_ID ("" is an unknown user)."""
    from serving.client import Recommender

    asked: dict[str, Any] = {"context": dict(_pairs(context, "--context")), "wanted": {}}
    for name, value in _pairs(wanted, "--wanted"):
        asked["wanted"].setdefault(name, []).append(value)
    address = f"{host}:{port}" if use_grpc else f"http://{host}:{rest_port}"
    with Recommender(address, model_name) as client:
        entries, excluded = _history(history, history_times), exclude.split(",") if exclude else []
        recommendations = client.recommend(user_id, entries, exclude=excluded, k=k, **asked)
    for place, item in enumerate(recommendations, 1):
        click.echo(f"{place:3d}  {item.score:8.3f}  {one_line(item.title)}  ({one_line(item.item_id)})")


def _pairs(given: tuple[str, ...], option: str) -> list[tuple[str, str]]:
    pairs = [one.partition("=") for one in given]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise click.BadParameter(f"{wrong[0]!r}: expected NAME=VALUE", param_hint=option)
    return [(name, value) for name, _, value in pairs]


def _history(items: str | None, times: str | None) -> list[Any] | None:
    """The entries; blanks around an id are the model's to take away."""
    ids = items.split(",") if items else []
    if times is None:
        return ids or None
    seconds = [one.strip() for one in times.split(",")]
    if len(seconds) != len(ids) or not all(one.isdecimal() for one in seconds):
        expected = f"expected a time in Unix seconds for each of the {len(ids)} items of --history"
        raise click.BadParameter(f"{times!r}: {expected}", param_hint="--history-times")
    return [(item, int(one)) for item, one in zip(ids, seconds, strict=True)]


def main() -> None:
    """Entry point: an error that was foreseen is one line on stderr."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reports missing GPUs as errors.
    warnings.filterwarnings("ignore", module=r"google\.")  # Warns of this Python and this gRPC in every process.
    try:
        cli(standalone_mode=False)
    except ServingError as error:
        click.echo(f"error: {one_line(str(error))}", err=True)  # A server's message may have several lines.
        sys.exit(1)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
