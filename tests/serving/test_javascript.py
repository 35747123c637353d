"""The example of docs/api.md in JavaScript, run by the Node that comes with Playwright."""

import json
import re
import subprocess
from pathlib import Path

import playwright
import pytest

from tests.serving.conftest import LONG_SECONDS, ROOT

NODE = Path(playwright.__file__).parent / "driver" / "node"
ADDRESS = "http://localhost:8501/v1/models/recommender"


@pytest.fixture(scope="module")
def example():
    (code,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    assert code.count(ADDRESS) == 1
    return code


def run(code, call):
    script = (
        f"{code}\n{call}.then((found) => console.log(JSON.stringify(found)), (error) => console.log(error.message))"
    )
    done = subprocess.run([NODE, "--eval", script], text=True, capture_output=True, timeout=LONG_SECONDS)
    assert not done.stderr
    return done.stdout.strip()


def test_a_visitor_gets_what_the_history_leaves(configured, example):
    code = example.replace(ADDRESS, configured.server.url("recommender"))
    found = json.loads(run(code, 'recommend("", ["2"])'))
    assert found == [{"item": "1", "title": "One", "score": 3}, {"item": "3", "title": "Three", "score": 1}]
    assert [one["item"] for one in json.loads(run(code, 'recommend("42")'))] == ["1", "2", "3"]


def test_what_the_server_refuses_is_an_error_in_its_words(configured, example):
    wrong = example.replace(ADDRESS, configured.server.url("recommender")).replace('"recommend"', '"other"')
    assert 'Serving signature name: "other" not found' in run(wrong, 'recommend("42")')
