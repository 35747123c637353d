"""Messages of TensorFlow Serving's configuration files that `tensorflow-serving-api` leaves out.

From tensorflow_serving/servables/tensorflow/session_bundle_config.proto, and monitoring_config.proto and
ssl_config.proto in tensorflow_serving/config, with the same numbers, so that files for TensorFlow Serving can be read.
"""

from serving import message_classes

_INT64, _BOOL, _STRING = (f"google.protobuf.{name}Value" for name in ("Int64", "Bool", "String"))
_CLASSES = message_classes.make(
    "recommender.serving",
    {
        "BatchingParameters": [
            ("max_batch_size", 1, _INT64),
            ("batch_timeout_micros", 2, _INT64),
            ("max_enqueued_batches", 3, _INT64),
            ("num_batch_threads", 4, _INT64),
            ("thread_pool_name", 5, _STRING),
            ("allowed_batch_sizes", 6, "[]int64"),
            ("pad_variable_length_inputs", 7, "bool"),
            ("enable_large_batch_splitting", 8, _BOOL),
            ("max_execution_batch_size", 9, _INT64),
        ],
        "PrometheusConfig": [("enable", 1, "bool"), ("path", 2, "string")],
        "SSLConfig": [
            ("server_key", 1, "string"),
            ("server_cert", 2, "string"),
            ("custom_ca", 3, "string"),
            ("client_verify", 4, "bool"),
        ],
        "MonitoringConfig": [("prometheus_config", 1, "PrometheusConfig")],
    },
)
BatchingParameters = _CLASSES["BatchingParameters"]
SSLConfig = _CLASSES["SSLConfig"]
MonitoringConfig = _CLASSES["MonitoringConfig"]
