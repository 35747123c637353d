"""Starts the server on the candidate, asks it, and blesses or refuses it."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.artifacts import split_files
from components.files import BUILD_FILE, INFRA_VALIDATION_FILE, ITEMS_SPLIT, SPLITS
from components.infra_validator.asked import Asked, Recommendable
from components.infra_validator.checks import Checks
from components.infra_validator.settings import InfraValidation
from components.infra_validator.warm_up import write_warm_up
from models.features.feature_set import FeatureSet
from serving.client import Recommender
from serving.errors import NotStarted, ServingError
from serving.process import running_server

_NO_MODEL = "there is no model to ask, as the Evaluator refused what would be refitted"


class Executor(base_executor.BaseExecutor):
    """Writes `infra_validation.json`, the blessing, and the model with its warm-up requests."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        report: dict[str, Any] = {"refused_because": []}
        source = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"]))
        if not fileio.exists(source):
            report["skipped"] = _NO_MODEL
        else:
            config = InfraValidation.model_validate_json(exec_properties["settings"])
            features = FeatureSet.model_validate_json(exec_properties["features"])
            asked = Asked.read(
                *(artifact_utils.get_split_uri(input_dict["examples"], split) for split in SPLITS),
                features,
                config.users,
            )
            build = json.loads(io_utils.read_string_file(os.path.join(source, BUILD_FILE)))
            recommendable = Recommendable.read(split_files(input_dict["items"], ITEMS_SPLIT), features, build)
            with tempfile.TemporaryDirectory() as scratch:  # The artifacts may be in an object store.
                model_dir = os.path.join(scratch, "model")
                io_utils.copy_dir(source, model_dir)
                write_warm_up(model_dir, asked, recommendable)
                report |= ask(model_dir, config, asked, recommendable)
                if not report["refused_because"]:
                    io_utils.copy_dir(model_dir, path_utils.stamped_model_path(blessing.uri))
        blessed = not report["refused_because"] and "skipped" not in report
        io_utils.write_string_file(os.path.join(blessing.uri, INFRA_VALIDATION_FILE), json.dumps(report, indent=2))
        _bless(blessing, blessed)


def _bless(blessing, blessed: bool) -> None:
    """Marks the model as TFX's own InfraValidator does, so that every pusher understands it."""
    name = "INFRA_BLESSED" if blessed else "INFRA_NOT_BLESSED"
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    blessing.set_int_custom_property("blessed", int(blessed))
    blessing.set_int_custom_property("has_model", int(blessed))


def ask(model_dir: str, config: InfraValidation, asked: Asked, recommendable: Recommendable) -> dict[str, Any]:
    """What a server on the model answers: `refused_because`, and `milliseconds` by protocol.

    Raises:
      NotStarted: no server could be asked, which tells nothing of the model.
    """
    try:
        with running_server({1: model_dir}, config.image, ready_seconds=config.ready_seconds) as ports:
            reports = {}
            addresses = {"REST": f"http://127.0.0.1:{ports.rest}", "gRPC": f"127.0.0.1:{ports.grpc}"}
            for protocol, address in addresses.items():
                with Recommender(address, timeout_seconds=config.ready_seconds) as client:
                    reports[protocol] = Checks(client, config, asked, recommendable).run()
    except NotStarted:
        raise
    except ServingError as error:
        return {"refused_because": [str(error)]}
    return {
        "refused_because": [
            f"{protocol}: {problem}" for protocol, report in reports.items() for problem in report.problems
        ],
        "milliseconds": {protocol: report.milliseconds for protocol, report in reports.items()},
    }
