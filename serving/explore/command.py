"""The command `explore`."""

from __future__ import annotations

import os
import signal
import sys

import click

from serving.serve_flags import DEFAULT_MODEL_DIR

_VERSIONS = 2  # That a server of the page's own has: the newest, to be compared with the one before.


@click.command()
@click.option(
    "--model-dir",
    metavar="DIR",
    help="Directory of numbered versions: the newest two are served; with --host, where that server's are found.  "
    f"[default: {DEFAULT_MODEL_DIR}, without --host]",
)
@click.option("--host", metavar="NAME", help="A model server that runs already, which is asked instead.")
@click.option("--rest-port", default=8501, show_default=True, help="Its REST port.")
@click.option("--model-name", default="recommender", show_default=True, help="Name in requests.")
@click.option("--page-port", default=8502, show_default=True, help="Port of the page, on this machine; 0: a free one.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def explore(
    model_dir: str | None, host: str | None, rest_port: int, model_name: str, page_port: int, opens: bool
) -> None:
    """A page in the browser that looks at a served model, until interrupted.

    Users with their histories, the lists of both stages and the reasons, visitors, context and filters, similar items,
    two versions side by side. What is shown of users and items beside the answers comes from --model-dir.
    """
    from serving.process import running_server

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # So that the model server ends, too.
    if host is not None:
        _serve(host, rest_port, model_name, model_dir, page_port, opens)
        return
    model_dir = model_dir or DEFAULT_MODEL_DIR
    versions = _newest(model_dir)
    click.echo(f"Loading {' and '.join(f'version {version}' for version in versions)} of {model_dir}")
    with running_server(versions, model_name=model_name) as ports:
        _serve("127.0.0.1", ports.rest, model_name, model_dir, page_port, opens)


def _newest(model_dir: str) -> dict[int, str]:
    from serving.errors import ServingError
    from serving.version_names import parse_versions

    versions = parse_versions(os.listdir(model_dir) if os.path.isdir(model_dir) else [])
    if not versions:
        raise ServingError(
            f"{model_dir}: no versions. Run the pipeline first, or see by `recommender report` why it pushed none; or "
            "give the directory that holds the numbered versions as --model-dir, or a running server's --host"
        )
    return {version: os.path.join(model_dir, versions[version]) for version in sorted(versions)[-_VERSIONS:]}


def _serve(host: str, rest_port: int, model_name: str, model_dir: str | None, page_port: int, opens: bool) -> None:
    import asyncio
    import contextlib

    from serving.explore.app import make_app, serve
    from serving.explore.model_server import ModelServer

    def ready(address: str) -> None:
        click.echo(f"The page is at {address} (Ctrl+C ends it)")
        if opens:
            click.launch(address)

    app = make_app(ModelServer(host, rest_port, model_name), model_name, model_dir)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(app, page_port, ready))
