"""A server on the loopback that has what is used of Kubeflow Pipelines: routes of its API, logs, and ML Metadata."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from aiohttp import web
from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd
from ml_metadata.proto import metadata_store_service_pb2 as service

from kubeflow.metadata import frame

_RECURRING = [{"recurring_run_id": "s-0", "status": "ENABLED"}, {"recurring_run_id": "s-00", "status": "DISABLED"}]
_TRAILERS = frame(b"grpc-status:0\r\n", 0x80)


class Api:
    """Serves while it is entered.

    Attributes:
      address: of the server.
      asked: what it was sent: method, path, parameters and body.
      runs: by id, what it answers of a run when it is asked again and again, as a real one does; the newest run last.
      logs: what a pod has printed, by its name.
      has_metadata: whether it is KFP's page, through which ML Metadata is reached, or the API alone.
    """

    def __init__(self):
        self.address = ""
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.runs: dict[str, list[dict[str, Any]]] = {}
        self.logs: dict[str, str] = {}
        self.has_metadata = True
        config = mlmd.ConnectionConfig()
        config.fake_database.SetInParent()
        self._store = metadata_store.MetadataStore(config)

    def __enter__(self) -> Api:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        port = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        self.address = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def record(self, run_id: str, pods: dict[str, str], figures: dict[str, Any] | None = None) -> None:
        """Puts into ML Metadata what KFP's launcher puts there: executions with their pods, artifacts with metadata."""
        context = self._context(run_id)
        executed = self._store.put_execution_type(mlmd.ExecutionType(name="system.ContainerExecution"))
        for task, pod in pods.items():
            execution = mlmd.Execution(type_id=executed)
            execution.custom_properties["task_name"].string_value = task
            execution.custom_properties["pod_name"].string_value = pod
            self._store.put_execution(execution, [], [context])
        if figures is not None:
            kind = self._store.put_artifact_type(mlmd.ArtifactType(name="system.Metrics"))
            artifact = mlmd.Artifact(type_id=kind, uri="s3://recommender/metrics")
            for name, value in figures.items():
                field = "string_value" if isinstance(value, str) else "double_value"
                setattr(artifact.custom_properties[name], field, value)
            (made,) = self._store.put_artifacts([artifact])
            self._store.put_attributions_and_associations(
                [mlmd.Attribution(artifact_id=made, context_id=context.id)], []
            )

    def _context(self, run_id: str) -> mlmd.Context:
        kind = self._store.put_context_type(mlmd.ContextType(name="system.PipelineRun"))
        (made,) = self._store.put_contexts([mlmd.Context(type_id=kind, name=run_id)])
        return self._store.get_contexts_by_id([made])[0]

    async def _serve(self) -> int:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/ml_metadata.MetadataStoreService/{method}", self._metadata)
        app.router.add_get("/apis/v1beta1/runs/{run}/nodes/{pod}/log", self._log)
        app.router.add_route("*", "/apis/v2beta1/{path:.*}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else {}
        self.asked.append((request.method, request.path, dict(request.query) | body))
        if request.query.get("namespace") == "nobody":
            return web.json_response({"message": 'namespaces "nobody" not found'}, status=404)
        made, path = request.method == "POST", request.match_info["path"]
        if path.startswith("runs/"):
            answers = self.runs.get(path.removeprefix("runs/"), [{}])
            run = answers.pop(0) if len(answers) > 1 else answers[0]
            return web.json_response(run or {"message": f"{path} not found"}, status=200 if run else 404)
        experiments = {"experiments": [{"experiment_id": "e-1"}]} if self.runs else {}
        newest_first = [answers[0] for answers in reversed(self.runs.values())][
            : int(request.query.get("page_size", 10))
        ]
        return web.json_response(
            {
                "healthz": {"multi_user": False},
                "experiments": {"experiment_id": "e-1"} if made else experiments,
                "runs": {"run_id": "r-1"} if made else {"runs": newest_first},
                "recurringruns": {"recurring_run_id": "s-1"} if made else {"recurringRuns": _RECURRING},
                "recurringruns/s-0:disable": {},
            }[path]
        )

    async def _log(self, request: web.Request) -> web.Response:
        text = self.logs.get(request.match_info["pod"])
        return web.Response(text=text or "pod not found", status=200 if text else 500)

    async def _metadata(self, request: web.Request) -> web.Response:
        if not self.has_metadata:
            return web.json_response({"message": "Not Found"}, status=404)
        method, message = request.match_info["method"], (await request.read())[5:]
        asked = getattr(service, f"{method}Request").FromString(message)
        answer = getattr(service, f"{method}Response")()
        try:
            if method == "GetContextByTypeAndName":
                found = self._store.get_context_by_type_and_name(asked.type_name, asked.context_name)
                if found:
                    answer.context.CopyFrom(found)
            elif method == "GetExecutionsByContext":
                answer.executions.extend(self._store.get_executions_by_context(asked.context_id))
            elif method == "GetArtifactsByContext":
                answer.artifacts.extend(self._store.get_artifacts_by_context(asked.context_id))
        except errors.NotFoundError:
            pass
        body = frame(answer.SerializeToString()) + _TRAILERS
        return web.Response(body=body, content_type="application/grpc-web+proto")
