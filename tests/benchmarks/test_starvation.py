"""The benchmark of starvation, on a small model and a server that it attacks."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.cli import benchmark
from serving.errors import ServingError
from tests.serving.conftest import export_shelf


def run(*arguments):
    return CliRunner().invoke(benchmark, ["starvation", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.slow
def test_valid_requests_are_measured_with_and_without_attacks(tmp_path):
    export_shelf(tmp_path / "models" / "1")
    file = tmp_path / "figures.json"
    done = run("--model-dir", tmp_path / "models", "--seconds", 0.3, "--hostile", 4, "--json", file)
    figures = json.loads(file.read_text())
    for state in ("quiet", "attacked"):
        assert {*figures[state]} == {"gRPC", "REST"}
        assert all(load["p99"] >= load["p50"] > 0 for load in figures[state].values())
    assert figures["memory"]["after"] > 0
    assert "REST p99 under attack ÷ quiet" in done.output


def test_a_directory_without_a_model_is_named(tmp_path):
    with pytest.raises(ServingError, match="no version of a model"):
        run("--model-dir", tmp_path)
