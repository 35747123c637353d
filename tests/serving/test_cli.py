"""The commands, as processes where that matters."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from serving.cli import cli
from tests.serving.conftest import ROOT


def python(*arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, text=True, capture_output=True)


@pytest.mark.parametrize("protocol", [[], ["--grpc"]])
def test_predict_prints_a_line_for_each_item(configured, protocol):
    ports = ["--port", str(configured.server.grpc_port), "--rest-port", str(configured.server.rest_port)]

    def predict(*arguments):
        return CliRunner().invoke(cli, ["predict", *arguments, *protocol, *ports], catch_exceptions=False).output

    assert predict("42") == "  1     3.000  One  (1)\n  2     2.000  Two  (2)\n  3     1.000  Three  (3)\n"
    assert predict("", "--history", "1, 3") == "  1     2.000  Two  (2)\n"
    assert predict("", "--k", "1") == "  1     3.000  One  (1)\n"


@pytest.mark.parametrize("user", [["-5"], ["--", "-5"], ["-5", "--history", "2,3"], ["--k", "1", "-5"]])
def test_a_negative_number_is_a_user_and_what_would_break_a_line_does_not(configured, user):
    port = str(configured.server.rest_port)
    found = CliRunner().invoke(cli, ["predict", "--rest-port", port, *user], catch_exceptions=False)
    assert found.output.split("\n")[0] == "  1     3.000  [bold]One[/bold] two   (1 )"


@pytest.mark.parametrize("user", ["-abc", "--help", "--k", "--", "-5"])
def test_any_id_may_stand_behind_two_dashes(configured, user):
    port = str(configured.server.rest_port)
    found = CliRunner().invoke(cli, ["predict", "--k", "1", "--rest-port", port, "--", user], catch_exceptions=False)
    assert found.exit_code == 0 and found.output.startswith("  1     3.000  ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hystory", "5", "7"], "A user id that begins with a dash goes after `--`, as in `predict -- -abc`"),
        (["-abc"], "A user id that begins with a dash goes after `--`, as in `predict -- -abc`"),
        (["-5", "--hystory", "5"], "Got unexpected extra arguments (--hystory 5)"),
        (["7", "-5"], "Got unexpected extra argument (-5)"),
        (
            ["7", "--history", "1,2", "--history-times", "5"],
            "a time in Unix seconds for each of the 2 items of --history",
        ),
        (["7", "--history", "1", "--history-times", "noon"], "'noon': expected a time in Unix seconds"),
    ],
)
def test_wrong_options_are_refused(arguments, message):
    found = CliRunner().invoke(cli, ["predict", *arguments])
    assert found.exit_code == 2 and message in found.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "42", "--rest-port"], "no server answers REST on 127.0.0.1:"),
        (["serve", "--model-dir", "nowhere", "--rest-port"], "nowhere: no such directory. Run the pipeline first"),
    ],
)
def test_an_error_that_was_foreseen_is_one_line(closed_port, arguments, message):
    done = python("-m", "serving", *arguments, closed_port)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert message in line and "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["serving.cli", "serving.client", "serving.process", "serving.sync"])
def test_nothing_of_the_pipeline_is_imported_and_tensorflow_only_to_serve(module):
    heavy = {"tensorflow", "tfx", "pipeline", "components", "models"}
    done = python("-c", f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))")
    assert done.stdout == "[]\n", done.stderr


def test_a_worker_reads_messages_without_tensorflow():
    code = "from serving.codec import worker; worker._messages_without_tensorflow(); import serving.codec.requests, sys"
    done = python("-c", f"{code}; print(sorted({{'tensorflow.python', 'scann', 'tfx'}} & set(sys.modules)))")
    assert done.stdout == "[]\n", done.stderr
