"""The health check of serving/Dockerfile: ends with 0 where the container's server has a model that can answer."""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", 8501, timeout=10)
connection.request("GET", f"/v1/models/{os.environ['MODEL_NAME']}/metadata")
sys.exit(connection.getresponse().status != 200)
