"""An ExampleValidator that stops the run where the standard one only reports."""

from __future__ import annotations

import os

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator import executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts

from components.base import Component
from models.errors import UserError


class Executor(executor.Executor):
    """Finds anomalies against the schema, and fails on any."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict):
        """Validates every split. Raises UserError that names each feature with its anomaly."""
        result = super().Do(input_dict, output_dict, exec_properties)
        anomalies = artifact_utils.get_single_instance(output_dict["anomalies"])
        found = []
        for split in artifact_utils.decode_split_names(anomalies.split_names):
            path = os.path.join(artifact_utils.get_split_uri([anomalies], split), executor.DEFAULT_FILE_NAME)
            with fileio.open(path, "rb") as file:
                report = anomalies_pb2.Anomalies.FromString(file.read())
            found += [f"{split}: {name}: {info.description}" for name, info in report.anomaly_info.items()]
            if report.HasField("dataset_anomaly_info"):
                found.append(f"{split}: {report.dataset_anomaly_info.description}")
        if found:
            remedy = "Correct the data, or the columns it is mapped from"
            raise UserError(f"the data does not fit the schema. {' '.join(found)} {remedy}")
        return result


class StrictExampleValidator(Component):
    """As TFX's ExampleValidator, whose anomalies stop the run.

    Args:
      statistics: StatisticsGen's.
      schema: what they have to fit.
      fingerprint: digest of the code.
    """

    EXECUTOR = Executor
    INPUTS = {"statistics": standard_artifacts.ExampleStatistics, "schema": standard_artifacts.Schema}
    OUTPUTS = {"anomalies": standard_artifacts.ExampleAnomalies}
    PARAMETERS = {"fingerprint": str}
