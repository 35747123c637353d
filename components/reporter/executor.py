"""Writes report.json, the figures that are compared from run to run, and the page."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.files import REPORT_FILE
from components.reporter.build import build_report
from components.reporter.headline import headline
from components.reporter.page import to_html


class Executor(base_executor.BaseExecutor):
    """Puts report.json into the artifact of the figures, which are its metadata; KFP's page shows both artifacts."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        report = build_report(input_dict, exec_properties)
        metrics = artifact_utils.get_single_instance(output_dict["metrics"])
        io_utils.write_string_file(os.path.join(metrics.uri, REPORT_FILE), json.dumps(report, indent=2) + "\n")
        for name, value in _compared(report).items():
            if isinstance(value, str):
                metrics.set_string_custom_property(name, value)
            else:
                metrics.set_float_custom_property(name, float(value))
        artifact_utils.get_single_instance(output_dict["report"]).value = to_html(report)


def _compared(report: dict[str, Any]) -> dict[str, float | str]:
    """Verdict and figures by name."""
    spans = report["window"]["spans"]
    said = {
        "blessed": report["blessed"],
        "pushed_version": report["pushed_version"],
        "refused_because": "; ".join(report["not_blessed_because"]),
        "span": spans[-1] if spans else None,
    }
    return {name: value for name, value in (said | headline(report["metrics"])).items() if value not in (None, "")}
