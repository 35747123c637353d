"""What a careless person gives the command: one line that helps, a status, and nothing half-written."""

import subprocess
import sys

import pytest

from tests.e2e.conftest import ROOT, recommender

RATINGS = "userId,movieId,rating,timestamp\n" + "".join(f"{n % 7},{n % 5},3,{n + 1}\n" for n in range(70))
ITEMS = "movieId,title,genres\n" + "".join(f"{n},M{n},Drama\n" for n in range(5))


@pytest.fixture
def data(tmp_path):
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "ratings.csv").write_text(RATINGS)
    (directory / "movies.csv").write_text(ITEMS)
    return directory


def refused(*arguments, cwd):
    done = recommender(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    return line


def test_no_such_directory(tmp_path):
    assert "no such directory" in refused("run", "--data", "nowhere", cwd=tmp_path)
    assert not (tmp_path / "runs").exists()


def test_an_output_in_an_object_store(tmp_path):
    assert "--output s3://bucket/run: give a local directory" in refused(
        "run", "--output", "s3://bucket/run", cwd=tmp_path
    )
    assert not list(tmp_path.iterdir())


def test_data_beside_a_configuration_that_generates_its_own(data, tmp_path):
    line = refused("run", "--config", "demo", "--data", data, cwd=tmp_path)
    assert "configuration demo generates its data" in line


def test_a_directory_whose_name_is_not_fit_for_a_run(data, tmp_path):
    (data / "movies.csv").unlink()
    assert "movies.csv: no such file" in refused("run", "--data", data.rename(tmp_path / "my data"), cwd=tmp_path)


def test_a_missing_file(data, tmp_path):
    (data / "movies.csv").unlink()
    assert "movies.csv: no such file" in refused("run", "--data", data, cwd=tmp_path)


def test_a_wrong_header(data, tmp_path):
    (data / "ratings.csv").write_text(RATINGS.replace("rating", "stars", 1))
    assert "no column 'rating'" in refused("run", "--data", data, cwd=tmp_path)


def test_an_empty_file(data, tmp_path):
    (data / "ratings.csv").write_text("")
    assert "ratings.csv has no rows" in refused("run", "--data", data, cwd=tmp_path)


def test_too_many_bad_rows_stop_the_run_with_a_list_of_them(data, tmp_path):
    (data / "ratings.csv").write_text(RATINGS + "1,2,good,300\n")
    line = refused("run", "--data", data, "--output", tmp_path / "out", cwd=tmp_path)
    assert "line 72: rating 'good' is not a number" in line
    (rejected,) = (tmp_path / "out" / "rejected_rows").iterdir()
    assert "good" in rejected.read_text()
    assert not (tmp_path / "out" / "report.json").exists()


def test_generated_data_into_a_directory_that_is_there(data, tmp_path):
    assert f"--output {data}: the directory exists already" in refused("generate", "--output", data, cwd=tmp_path)
    assert (data / "ratings.csv").read_text() == RATINGS


def test_a_wrong_setting(tmp_path):
    assert "retrieval.epoch: Extra inputs" in refused("run", "--set", "retrieval.epoch=1", cwd=tmp_path)


def test_a_report_that_is_not_there(tmp_path):
    assert "no report" in refused("report", "--output", tmp_path, cwd=tmp_path)


def test_a_model_directory_that_is_not_there(tmp_path):
    done = recommender("serve", "--model-dir", tmp_path / "none", cwd=tmp_path)
    assert done.returncode == 1
    assert "no such directory" in done.stderr


def test_help_and_client_do_not_import_tfx():
    code = "import sys, pipeline.cli, serving.client, serving.server.main; print('tfx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True)
    assert done.stdout.strip() == "False", done.stderr


def test_what_is_checked_before_a_run_needs_neither_tfx_nor_beam_nor_tensorflow(data):
    code = """
import sys
import pipeline.jobs, pipeline.local.runner
from pipeline.data import checks
checks.check(pipeline.jobs.resolve_config(None, sys.argv[1], None, []))
print({"tfx", "apache_beam", "tensorflow"} & {*sys.modules})"""
    done = subprocess.run([sys.executable, "-c", code, data], cwd=ROOT, text=True, capture_output=True)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["serve", "--help"], ["predict", "--help"]])
def test_help(arguments):
    assert recommender(*arguments).stdout.startswith("Usage:")


def test_a_serving_benchmark_without_a_model(tmp_path):
    done = recommender("benchmark", "serving", "--model-dir", tmp_path)
    assert done.returncode == 1
    assert f"error: {tmp_path}: no version of a model. Run the pipeline first" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pipeline", "--interactions", ""], "--interactions : expected numbers, as in 10000,100000"),
        (["pipeline", "--interactions", "1000,-5"], "--interactions 1000,-5: expected numbers"),
        (["index", "--dimensions", "7"], "--dimensions 7: expected an even number"),
    ],
)
def test_wrong_sizes_of_a_benchmark(arguments, message):
    done = recommender("benchmark", *arguments)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}")
