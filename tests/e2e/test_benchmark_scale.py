"""The benchmark commands about size from end to end, on small data."""

import json
import operator
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from benchmarks.scale import pipeline
from pipeline.local import processes
from tests.e2e.conftest import recommender
from tests.serving.conftest import export_shelf


def test_index_compares_tuned_searches_on_the_same_vectors(tmp_path):
    file = tmp_path / "figures.json"
    done = recommender("benchmark", "index", "--candidates", 21_000, "--dimensions", 16, "--json", file)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    assert list(found["indexes"]) == ["exact, servable", "ScaNN, servable", "ScaNN, library", "FAISS", "hnswlib"]
    assert found["indexes"]["exact, servable"]["recall_at_100"] == 1.0
    for figures in found["indexes"].values():
        assert figures["recall_at_100"] > 0.96 and figures["milliseconds"] > 0
    assert len(found["ratios"]) == 2 and "at least 20" in done.stdout


def test_filters_are_compared_with_exact_search_among_what_they_keep(tmp_path):
    file = tmp_path / "figures.json"
    export_shelf(tmp_path / "models" / "1")
    more = ["--model-dir", tmp_path / "models", "--candidates", 40_000, "--dimensions", 16, "--json", file]
    done = recommender("benchmark", "filters", *more)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    searches = {name: figures for name, figures in found.items() if "recall_at_100" in str(figures)}
    assert len(searches) == 7 and found["most"] < 40_000 and found["rest_milliseconds"] > 0
    for name, figures in searches.items():
        count = int(name.rpartition("_")[2]) if "_" in name else 1
        assert figures["kept"] == pytest.approx(1 / count, rel=0.4)
        assert figures["recall_at_100"] > 0.96 and figures["milliseconds"] > 0
    assert len(found["ratios"]) == 2 and "at most 3" in done.stdout


def test_pipeline_tells_time_memory_and_disk_of_every_component(tmp_path):
    file = tmp_path / "figures.json"
    more = ["--interactions", 2000, "--items", 200, "--json", file, "--output", tmp_path]
    few = ["--set=retrieval.batch_size=64", "--set=evaluation.thresholds.better_than_popularity.at_least=50"]
    done = recommender("benchmark", "pipeline", *more, *few)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    again = recommender("benchmark", "pipeline", *more, *few)
    assert again.stdout.count("Measured before") == 2, "nothing runs twice"
    assert json.loads(file.read_text()) == found
    run, two = found["runs"]["2000"], found["two_workers"]
    assert run["interactions"] == two["interactions"] and run["interactions"] > 1000
    assert set(run["seconds"]) == set(two["seconds"]) == set(run["peaks"])
    assert run["peak"] > 0 and min(run["peaks"].values()) > 2**20
    assert max(run["seconds"].values()) < run["total"]
    assert run["cpu"].keys() == run["seconds"].keys() and min(run["cpu"].values()) > 0
    assert 0 < found["ratios"][pipeline._DISK.name] == run["disk"] / run["interactions"]
    assert found["ratios"]["time growth ÷ data growth"] == 1.0


def test_the_peak_is_that_of_all_processes_together(monkeypatch):
    holding = "held = b'x' * 2**27; print(flush=True); input()"
    starting = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holding!r}])"
    with subprocess.Popen([sys.executable, "-c", starting], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        # It ends when it was looked at once.
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: process.communicate(b"\n"))
        monkeypatch.setattr(pipeline, "time", clock)
        peak = [0]
        pipeline._watch(process.pid, peak)
    assert 2**27 < peak[0] < 2**28


def test_every_process_tells_what_it_took_of_processors_and_memory(tmp_path, capfd):
    work = range(2**24)
    started = time.process_time()
    sum(work)
    once = time.process_time() - started
    for _ in range(3):
        assert processes.exit_code(processes.start("Transform", sum, work)) == 0
    assert processes.exit_code(processes.start("Evaluator", operator.truediv, 1, 0)) == 1
    assert processes.exit_code(processes.start("Evaluator", operator.mul, b"x", 2**29)) == 0
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "1.log").write_text(capfd.readouterr().out)
    cpu, peaks = pipeline._used(tmp_path)
    assert cpu.keys() == peaks.keys() == {"Transform", "Evaluator"}
    assert 1.5 * once < cpu["Transform"] < 6 * once + 1
    assert 2**28 < peaks["Evaluator"] - peaks["Transform"] < 2**30, "of its largest process"
