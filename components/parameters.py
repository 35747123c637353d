"""Parameters that are known when the pipeline is made, or only when it runs."""

from tfx.orchestration.data_types import RuntimeParameter

Parameter = str | RuntimeParameter
IntParameter = int | RuntimeParameter
