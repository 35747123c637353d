"""The page's web server."""

from __future__ import annotations

import asyncio
import json
import logging
import pathlib
from collections.abc import Awaitable, Callable
from importlib import resources

from aiohttp import web

from serving.errors import ServingError
from serving.explore import asked, data
from serving.explore.answers import Answers, Shown
from serving.explore.model_server import ModelServer, Served
from serving.questions import FILTERED, context_types, filter_types

_STATIC = pathlib.Path(str(resources.files("serving.explore") / "static"))
_NAMES = ("127.0.0.1", "localhost")
_HEADERS = {
    # Nothing from elsewhere, no inline script, no frame: a title that gets through as markup still could do nothing.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

_log = logging.getLogger("recommender.explore")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(server: ModelServer, name: str, model_dir: str | None) -> web.Application:
    """The page and what it asks.

    Args:
      server: the model server; the application closes it.
      name: the model's.
      model_dir: of its versions, for what has travelled with them; None: the page shows the answers alone.
    """

    page = _Page(server, name, model_dir)
    app = web.Application(middlewares=[_answered])
    app.on_cleanup.append(lambda _: server.close())
    app.router.add_get("/", _index)
    app.router.add_get("/api/model", page.model)
    app.router.add_get("/api/users", page.users)
    app.router.add_get("/api/items", page.items)
    app.router.add_get("/api/lists", page.lists)
    app.router.add_get("/api/reasons", page.reasons)
    app.router.add_get("/api/item", page.item)
    app.router.add_static("/static", _STATIC)
    return app


async def _index(_: web.Request) -> web.StreamResponse:
    return web.FileResponse(_STATIC / "index.html")


class _Page:
    def __init__(self, server: ModelServer, name: str, model_dir: str | None):
        self._server, self._name, self._model_dir = server, name, model_dir
        self._data: dict[int, data.VersionData | None] = {}

    async def model(self, request: web.Request) -> web.Response:
        served = await self._served(request)
        signatures = served.signatures
        found = self._of(signatures.version)
        summary = found.summary if found else None
        context = {
            name: {"number": kind != "DT_STRING", "values": summary["context"].get(name, []) if summary else []}
            for name, kind in context_types(signatures).items()
        }
        wanted = {name: found.values(name) if found else [] for name in filter_types(signatures)}
        return _json(
            {
                "name": self._name,
                "version": str(signatures.version),
                "versions": [str(version) for version in await self._server.versions()],
                "summary": summary,
                "context": context,
                "filters": wanted if FILTERED in signatures.inputs else None,
            }
        )

    async def users(self, request: web.Request) -> web.Response:
        found = self._of((await self._served(request)).signatures.version)
        return _json({"users": found.find_users(request.query.get("find", "")) if found else []})

    async def items(self, request: web.Request) -> web.Response:
        found = self._of((await self._served(request)).signatures.version)
        return _json({"items": found.find_items(request.query.get("find", "")) if found else []})

    async def lists(self, request: web.Request) -> web.Response:
        return _json(await (await self._answers(request)).lists(asked.parse(request.query)))

    async def reasons(self, request: web.Request) -> web.Response:
        answers = await self._answers(request)
        return _json(await answers.reasons(asked.parse(request.query), request.query.getall("item", [])))

    async def item(self, request: web.Request) -> web.Response:
        return _json(await (await self._answers(request)).item(request.query.get("item", "")))

    async def _answers(self, request: web.Request) -> Answers:
        served = await self._served(request)
        return Answers(self._server, served, self._of(served.signatures.version))

    async def _served(self, request: web.Request) -> Served:
        return await self._server.served(request.query.get("version", ""))

    def _of(self, version: int) -> data.VersionData | None:
        if version not in self._data and self._model_dir is not None:
            self._data[version] = data.read(self._model_dir, version)
        return self._data.get(version)


@web.middleware
async def _answered(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Foreseen errors become `{"error": …}`, and every answer has the page's headers.

    Another site's name may be made to mean this machine, and its scripts could then read what users did.
    """
    try:
        if request.url.host not in _NAMES:
            raise ServingError(f"the page is at {_NAMES[0]} or {_NAMES[1]}, not {request.url.host}")
        response = await handler(request)
    except ServingError as error:
        response = _json({"error": str(error)}, 502)
    response.headers.update(_HEADERS)
    return response


def _json(shown: Shown, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(shown), status=status, content_type="application/json")


async def serve(app: web.Application, port: int, ready: Callable[[str], None]) -> None:
    """Serves the page on this machine alone until it is cancelled; calls `ready` with its address.

    Raises ServingError where the port is taken.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, _NAMES[0], port, reuse_address=True).start()
        except OSError as error:
            raise ServingError(
                f"cannot listen on {_NAMES[0]}:{port} ({error.strerror}): give another --page-port"
            ) from error
        ready(f"http://{_NAMES[0]}:{runner.addresses[0][1]}/")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
