"""The benchmark commands about size from end to end, on small data."""

import collections
import json
import subprocess
import sys
import time
from types import SimpleNamespace

from benchmarks.scale import pipeline
from tests.e2e.conftest import recommender


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


def test_pipeline_tells_seconds_and_memory_of_every_component(tmp_path):
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
    assert set(run["seconds"]) == set(two["seconds"]) <= set(run["peaks"])
    assert run["peak"] >= max(run["peaks"].values()) and run["peak"] > 0
    assert max(run["seconds"].values()) < run["total"]
    assert found["ratios"]["time growth ÷ data growth"] == 1.0


def test_peaks_are_those_of_processes_by_their_names(monkeypatch):
    named = "import pathlib; pathlib.Path('/proc/self/comm').write_text('Transform')"
    holding = f"{named}; held = b'x' * 2**27; print(); input()"
    with subprocess.Popen([sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        # It ends when it was looked at once.
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: process.communicate(b"\n"))
        monkeypatch.setattr(pipeline, "time", clock)
        peaks = collections.Counter()
        pipeline._watch(process.pid, peaks)
    assert peaks.keys() == {"Transform", pipeline._ALL}
    assert 2**27 < peaks["Transform"] == peaks[pipeline._ALL] < 2**28
