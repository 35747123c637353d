"""The serving benchmark from end to end, on the shared run's model."""

import json

from tests.e2e.conftest import recommender


def test_serving_measures_the_server_and_the_index(small_run, tmp_path):
    file = tmp_path / "figures.json"
    models = small_run[0] / "serving_models" / "recommender"
    sizes = ["--seconds", 0.3, "--soak", 200, "--candidates", "500,21000"]
    done = recommender("benchmark", "serving", "--model-dir", models, "--json", file, *sizes)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    assert found["mean_batch"] > 1, "requests of concurrent clients share batches"
    assert found["memory"]["requests"] == 200
    kinds = {size: index["kind"] for size, index in found["index"].items()}
    assert kinds == {"500": "scann_brute_force", "21000": "scann_hashed"}
    assert all(index["recall_at_100"] > 0.9 for index in found["index"].values())
    assert "gRPC at 32 clients ÷ in-process" in done.stdout
