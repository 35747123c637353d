"""The whole pipeline with data, root and push destination in an object store: `store_run CONFIG-JSON ROOT DIRECTORY`.

Only MLMD and the schema are in the directory, as on Kubeflow they are in its database and in the image.
"""

import os
import sys

from pipeline import datasets, storage
from pipeline.config import Config


def main(config_json: str, root: str, directory: str) -> None:
    storage.enable_s3()
    from google.protobuf import text_format
    from tfx.orchestration import metadata
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    from components.live_model.executor import live_version
    from pipeline.features import available
    from pipeline.pipeline import create_pipeline, model_origin
    from pipeline.schema import build_schema

    config = Config.model_validate_json(config_json)
    datasets.check(config)
    fingerprint = datasets.fingerprint(config)
    schema_file = os.path.join(directory, "schema.pbtxt")
    with open(schema_file, "w", encoding="utf-8") as file:
        file.write(text_format.MessageToString(build_schema(available(datasets.user_fields(config)))))
    destination = f"{root}/models/recommender"
    pipeline = create_pipeline(
        config=config,
        data_fingerprint=fingerprint,
        schema_file=schema_file,
        rejected_rows_file=f"{root}/rejected_rows/{fingerprint}.csv",
        push_destination=destination,
        live_as_of=live_version(destination, model_origin(config, fingerprint)),
        pipeline_name="recommender",
        pipeline_root=f"{root}/pipeline",
        beam_pipeline_args=["--direct_running_mode=in_memory", "--direct_num_workers=1"],
        metadata_connection_config=metadata.sqlite_metadata_connection_config(f"{directory}/metadata.db"),
    )
    LocalDagRunner().run(pipeline)
    os._exit(0)  # tensorflow-io may abort in a destructor when the interpreter ends.


if __name__ == "__main__":
    main(*sys.argv[1:])
