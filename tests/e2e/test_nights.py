"""Nights in a row on one machine, each going on from the live model: deliveries in spans, one of them bad."""

import csv
import json

import pytest
import tensorflow as tf

from components.evaluator.predictions import load
from components.evaluator.settings import DEFAULT_THRESHOLDS
from pipeline.data.generator import write_generated
from pipeline.data.settings import Generated
from pipeline.history import read
from tests.e2e.conftest import recommender_here

SPANS = ("2026-11-01", "2026-11-02", "2026-11-03")
CONFIG = """
warm_start: true
data:
  directory: days/{span}
  window: 2
  interactions:
    file: ratings.csv
    columns: {user_id: userId, item_id: movieId, rating: rating, timestamp: timestamp}
    positive: 4.0
  items:
    file: movies.csv
    columns: {item_id: movieId, title: title}
    features: {genres: {kind: tags}}
retrieval: {batch_size: 256, epochs: 2}
ranking: {epochs: 1}
infra_validator: {max_milliseconds: 60000}
"""
# Little data moves more from night to night than the gate lets pass.
LENIENT = [
    "--set=evaluation.thresholds={nothing_seen: {metric: seen_share, at_most: 0}, "
    + ", ".join(f"{name}: null" for name in DEFAULT_THRESHOLDS if name != "nothing_seen")
    + "}"
]


def write_span(directory, rows):
    directory.mkdir(exist_ok=True, parents=True)
    with (directory / "ratings.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def versions(output):
    return sorted(path.name for path in (output / "serving_models" / "recommender").iterdir())


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """The output directory, and by night the finished command and the versions after it."""
    directory = tmp_path_factory.mktemp("nights")
    size = Generated(users=200, items=300, interactions=10_000)
    whole = tmp_path_factory.mktemp("whole") / "data"
    write_generated(size, str(whole))
    with (whole / "ratings.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["timestamp"]))
    of_spans = [rows[: len(rows) // 2], rows[len(rows) // 2 : -500], rows[-500:]]
    (directory / "shop.yaml").write_text(CONFIG)
    output, found = directory / "output", {}

    def night(name, *more):
        done = recommender_here("run", "--config", directory / "shop.yaml", "--output", output, *LENIENT, *more)
        found[name] = (done, versions(output))

    write_span(directory / "days" / SPANS[0], of_spans[0])
    (whole / "movies.csv").rename(directory / "days" / SPANS[0] / "movies.csv")
    night("first", "--set=refit=true")
    reports = {"first": json.loads((output / "report.json").read_text())}
    write_span(directory / "days" / SPANS[1], [row | {"rating": "5.0"} for row in of_spans[1]])
    night("bad")
    write_span(directory / "days" / SPANS[1], of_spans[1])
    night("mended")
    reports["mended"] = json.loads((output / "report.json").read_text())
    return directory, output, found, reports


def test_a_bad_delivery_is_stopped_and_the_model_before_stays(nights):
    _, _, found, _ = nights
    first, bad, mended = (found[name] for name in ("first", "bad", "mended"))
    assert first[0].returncode == 0, first[0].stderr
    assert bad[0].returncode == 2, bad[0].stdout
    error = bad[0].stderr.strip()
    assert error.startswith("error: the data is not like that of the live model") and "\n" not in error
    assert "drift.limits.numbers.rating" in error
    assert "] Trainer" not in bad[0].stdout
    assert bad[1] == first[1] and len(first[1]) == 1
    assert mended[0].returncode == 0, mended[0].stdout + mended[0].stderr
    assert len(mended[1]) == 2


def test_the_window_and_what_drifted_are_in_the_report(nights):
    _, output, found, _ = nights
    report = json.loads((output / "report.json").read_text())
    assert report["window"] == {"spans": list(SPANS[:2]), "missing": []}
    assert report["drift"]["against"] == found["first"][1][0]
    assert not [one for one in report["drift"]["findings"] if one["level"] == "stop"]
    assert "span 2026-11-02, with the 1 before it" in found["mended"][0].stdout
    assert recommender_here("report", "--output", output).returncode == 0
    page = (output / "report.html").read_text()
    assert f"Since version {found['first'][1][0]}, which is live" in page and "The runs so far" in page


def test_a_night_goes_on_from_the_model_before_the_bad_delivery(nights):
    _, _, found, reports = nights
    assert {one["because"] for one in reports["first"]["warm_start"].values()} == {"no model is live"}
    for one in reports["mended"]["warm_start"].values():
        assert one["warm"] and one["new_rows"] > 0 and one["known"]["user_id"] > 0, one
    assert [len(losses) for losses in reports["mended"]["training"].values()] == [1, 1]
    assert "Trainer.retrieval: warm start: new are " in found["mended"][0].stdout
    assert not [note for note in reports["mended"]["notes"] if "cold start" in note]


def test_a_refitted_model_has_another_one_beside_it_that_is_compared_with(nights):
    """Else the next night's model would be held to what the live one has learnt by heart."""
    _, output, found, reports = nights
    refit = reports["first"]["refit"]
    assert refit["refitted"] and refit["because"] == [] and 0.3 < refit["lists_kept"] < 1
    version = output / "serving_models" / "recommender" / found["first"][1][0]
    before = version / "assets.extra" / "before_refit"
    answers = [
        load(str(one)).signatures["serving_default"](user_id=tf.constant(["1"]))["score"].numpy()
        for one in (version, before)
    ]
    assert (answers[0] != answers[1]).any()
    live = reports["mended"]["metrics"]["baselines"]["live"]
    assert live["version"] == version.name
    assert reports["mended"]["refit"] is None


def test_every_night_is_in_the_history(nights):
    _, output, found, _ = nights
    entries = read(str(output))
    assert [(entry["span"], entry["verdict"]) for entry in entries] == [
        (SPANS[0], "pushed"),
        (SPANS[1], "stopped"),
        (SPANS[1], "pushed"),
    ]
    assert [entry.get("version") for entry in entries] == [found["first"][1][0], None, found["mended"][1][1]]
    done = recommender_here("history", "--output", output, "--json", "-")
    assert json.loads(done.stdout) == entries
    assert "drift.limits.numbers.rating" in recommender_here("history", "--output", output).stdout


def test_cleaning_leaves_what_is_live_and_what_a_cached_run_needs(nights):
    """The version before the live one stays, too: the same delivery, run again, is compared with it."""
    directory, output, _, _ = nights
    before = versions(output)
    (output / "serving_models" / "recommender" / "1").mkdir()
    (output / "serving_models" / "recommender" / "1" / "saved_model.pb").touch()
    clean = ("clean", "--keep", "1", "--output", output)
    dry = recommender_here(*clean, "--dry-run")
    assert dry.returncode == 0 and versions(output) == ["1", *before]
    assert "Would remove" in dry.stdout and "Trainer.retrieval/model/" in dry.stdout
    done = recommender_here(*clean)
    assert dry.stdout.replace("Would remove", "Removed") == done.stdout, done.stderr
    assert versions(output) == before
    assert [len(list((output / "pipeline" / "Reporter" / key).iterdir())) for key in ("metrics", "report")] == [1, 1]
    assert "Removed 0 artifacts and files, 0.0 MB, and 0 versions" in recommender_here(*clean).stdout
    again = recommender_here("run", "--config", directory / "shop.yaml", "--output", output, *LENIENT)
    assert again.returncode == 0, again.stderr
    assert "Trainer.retrieval: reused" in again.stdout and "Evaluator: reused" in again.stdout
    assert versions(output) == before, "the same delivery is not pushed twice"
