"""The page on models whose answers are known: filters, context, versions and labels, markup, and what goes wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import tensorflow as tf
from playwright.sync_api import expect

from serving.explore import files
from tests.exploring import Page, exploring
from tests.serving.conftest import ROOT, serving

_TIMES_SIGN = "\N{MULTIPLICATION SIGN}"
_MARKUP = '<img src="x" onerror="document.title=1">Three'
_TEXTS, _LISTS = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.string)
_TIMES = tf.TensorSpec([None, None], tf.int64, name="history_timestamp")
_QUERY = {
    "user_id": _TEXTS,
    "timestamp": tf.TensorSpec([None], tf.int64),
    "history_item_id": _LISTS,
    "history_timestamp": _TIMES,
    "device": _TEXTS,
    "warmth": tf.TensorSpec([None], tf.float32),
}


class Boutique(tf.Module):
    """Items "1" to "4" of the categories a, b, a, b, with the scores given.

    A phone adds 10 to item 4, the warmth what it is to item 3, and item 1 in the history 0.5 to item 2.
    """

    def __init__(self, scores):
        super().__init__()
        self._scores = tf.constant(scores, tf.float32)
        self._ids, self._titles = (
            tf.constant(["1", "2", "3", "4", ""]),
            tf.constant(["One", "Two", _MARKUP, "Four", ""]),
        )
        self._categories = tf.constant(["a", "b", "a", "b"])

    def signatures(self):
        lists = {"exclude_item_id": _LISTS, "category": _LISTS}
        functions = {
            "serving_default": (self._for_user, {"user_id": _TEXTS}),
            "recommend": (self._recommend, _QUERY),
            "recommend_filtered": (self._recommend_filtered, _QUERY | lists),
            "retrieve": (self._retrieve, _QUERY),
            "rank": (self._rank, _QUERY | {"item_id": _LISTS}),
            "similar": (self._similar, {"item_id": _TEXTS}),
        }
        return {
            name: tf.function(call).get_concrete_function(
                **{key: tf.TensorSpec(spec.shape, spec.dtype, name=key) for key, spec in inputs.items()}
            )
            for name, (call, inputs) in functions.items()
        }

    def _scored(self, device, warmth, history_item_id, **_):
        added = tf.stack(
            [
                tf.zeros_like(warmth),
                0.5 * tf.cast(tf.reduce_any(history_item_id == "1", axis=1), tf.float32),
                tf.where(tf.math.is_nan(warmth), 0.0, warmth),
                10 * tf.cast(device == "phone", tf.float32),
            ],
            axis=1,
        )
        return self._scores + added

    def _best(self, scores, allowed):
        found = tf.math.top_k(tf.where(allowed, scores, tf.float32.min), 4)
        places = tf.where(found.values == tf.float32.min, 4, found.indices)
        return {
            "item_id": tf.gather(self._ids, places),
            "title": tf.gather(self._titles, places),
            "score": found.values,
        }

    def _for_user(self, user_id):
        scores = tf.tile(self._scores[tf.newaxis], [tf.size(user_id), 1])
        return self._best(scores, tf.ones_like(scores, tf.bool))

    def _recommend(self, **query):
        scores = self._scored(**query)
        return self._best(scores, tf.ones_like(scores, tf.bool))

    def _recommend_filtered(self, exclude_item_id, category, **query):
        excluded = tf.reduce_any(exclude_item_id[:, :, tf.newaxis] == self._ids[:4], axis=1)
        of_category = tf.reduce_any(category[:, :, tf.newaxis] == self._categories, axis=1)
        any_category = tf.reduce_all(category == "", axis=1)[:, tf.newaxis]
        return self._best(self._scored(**query), ~excluded & (of_category | any_category))

    def _retrieve(self, **query):
        found = self._recommend(**query)
        return {"item_id": found["item_id"], "score": found["score"]}

    def _rank(self, item_id, **query):
        places = tf.argmax(item_id[:, :, tf.newaxis] == self._ids[:4], axis=2)
        return {"score": tf.gather(self._scored(**query), places, batch_dims=1)}

    def _similar(self, item_id):
        found = self._for_user(item_id)
        return self._best(self._scores - tf.zeros_like(found["score"]), self._ids[:4] != item_id[:, tf.newaxis])


_CONFIG = """
model_config_list { config {
  name: "boutique" base_path: "DIR" model_version_policy { all {} } version_labels { key: "canary" value: 1 }
} }
"""


def write_files(directory):
    """What travels with a version: a user who has had item 3 twice, and item 1."""
    (directory / files.DIRECTORY).mkdir(parents=True)
    tables = {
        files.ITEMS_FILE: {
            "item_id": ["1", "2", "3", "4"],
            "title": ["One", "Two", _MARKUP, "Four"],
            "interactions": [1, 0, 2, 0],
            f"{files.FEATURE_PREFIX}category": [["a"], ["b"], ["b"], ["b"]],
        },
        files.USERS_FILE: {
            "user_id": ["u1"],
            "interactions": [3],
            "history_row": [[2, 0, 2]],
            "history_timestamp": [[300, 200, 100]],
        },
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), directory / files.DIRECTORY / name)
    summary = {"interactions": 3, "users": 1, "items": 4, "last_timestamp": 300, "repeats": True}
    summary["context"] = {"device": ["phone", "desk"], "warmth": []}
    (directory / files.DIRECTORY / files.SUMMARY_FILE).write_text(json.dumps(summary))


class Server(NamedTuple):
    """Of two versions, whose directories are here: 2 ranks 1 to 4, and 1, the canary, the reverse."""

    options: list
    directory: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("boutique")
    for version, scores in (("2", [4, 3, 2, 1]), ("1", [1, 2, 3, 4])):
        model = Boutique(scores)
        tf.saved_model.save(model, str(directory / version), signatures=model.signatures())
    config = directory / "models.config"
    config.write_text(_CONFIG.replace("DIR", str(directory)))
    with serving(directory, "--model_config_file", config) as server:
        options = ["--host", "127.0.0.1", "--rest-port", server.rest_port, "--model-name", "boutique"]
        yield Server(options, directory)


@pytest.fixture(scope="module")
def address(server):
    """Of a page that has the answers alone."""
    with exploring(*server.options) as address:
        yield address


@pytest.fixture
def page(browser, address):
    with Page(browser, address) as page:
        yield page


def test_filters_leave_what_they_want_and_items_can_be_hidden(page):
    page.open()
    assert page.items("recommended") == ["1", "2", "3", "4"]
    page.fill("Only category", "b")
    assert page.items("recommended") == ["2", "4"]
    assert page.items("candidates") == ["1", "2", "3", "4"], "the first stage's are without the filters"
    page.press("Hide Two")
    assert page.items("recommended") == ["4"]
    page.press("Hide Four")
    expect(page.page.get_by_text("Nothing is left to recommend.")).to_be_visible()
    page.page.reload()
    page.settled()
    assert page.items("recommended") == [], "the link keeps filters and what is hidden"
    page.press("Remove the filter category: b").press("Show 2 again")
    assert page.items("recommended") == ["1", "2", "3"]


def test_the_context_changes_the_list(page):
    page.open().fill("device", "phone")
    assert page.items("recommended") == ["4", "1", "2", "3"]
    assert page.texts("#recommended .badge") == ["▲ 3", "▼ 1", "▼ 1", "▼ 1"]
    page.fill("warmth", "20.5")
    assert page.items("recommended") == ["3", "4", "1", "2"]
    page.fill("device", "").fill("warmth", "")
    assert page.items("recommended") == ["1", "2", "3", "4"]


def test_what_is_no_number_is_an_error_on_the_page(browser, address):
    page = Page(browser, address)
    page.open().fill("warmth", "hot")
    expect(page.page.get_by_role("alert")).to_contain_text("'warmth' is a number")
    page.fill("warmth", "1.5")
    expect(page.page.get_by_role("alert")).to_be_hidden()


def test_a_version_and_a_label_side_by_side(page):
    page.open("?add=2").fill("Compare with", "canary")
    assert page.items("recommended") == ["1", "2", "3", "4"]
    assert page.items("recommended-2") == ["4", "3", "2", "1"]
    assert page.texts("#recommended-2 .badge:not(.had)") == ["▲ 3", "▲ 1", "▼ 1", "▼ 3"]
    expect(page.page.get_by_role("heading", name="Recommended by version 1")).to_be_visible()
    page.page.get_by_label("Version", exact=True).select_option("1")
    page.settled()
    assert page.items("recommended") == page.items("recommended-2") == ["4", "3", "2", "1"]
    page.fill("Compare with", "")
    assert page.page.locator("#recommended-2").count() == 0


def test_the_history_that_speaks_for_an_item_is_said_with_how_much(page):
    page.open("?add=1&add=3")
    expect(page.page.locator("#recommended [data-item='2'] .why")).to_have_text("Because of 1 +0.50")
    assert page.page.locator("#recommended .why").count() == 1


def test_titles_are_texts(page):
    page.open("?item=3")
    expect(page.page.get_by_role("dialog", name="3")).to_be_visible()
    page.press("Close")
    expect(page.page.locator("#recommended [data-item='3'] .title")).to_have_text(_MARKUP)
    page.press(_MARKUP, "#recommended")
    expect(page.page.get_by_role("dialog")).to_be_visible()
    assert page.page.locator("img").count() == 0
    assert page.page.title() == "Explore boutique"


def test_what_travels_with_a_version_is_shown_beside_the_answers_of_a_server_that_runs(browser, server):
    write_files(server.directory / "2")
    with exploring(*server.options, "--model-dir", server.directory) as address, Page(browser, address) as page:
        page.open("?user=u1")
        expect(page.page.locator("#about")).to_have_text("1 users · 4 items · 3 interactions until 1970-01-01")
        assert page.texts("#history .title") == [_MARKUP, "One", _MARKUP]
        assert page.texts("#recommended .badge") == [f"had 1{_TIMES_SIGN}", "new", f"had 2{_TIMES_SIGN}", "new"]
        assert page.texts("#recommended [data-item='3'] .meta span") == ["b", "popularity #1", "candidate #3"]
        expect(page.page.locator("#recommended [data-item='2'] .why")).to_have_text("Because of One +0.50")
        values = "all => all.map(one => one.value)"
        assert page.page.locator("#context-device-values option").evaluate_all(values) == ["phone", "desk"]
        assert page.page.locator("#filter-category-values option").evaluate_all(values) == ["b", "a"]
        page.find("Add an item", "ONERROR", _MARKUP)
        assert page.items("history") == ["3", "3", "1", "3"]
        page.press("Someone else")
        assert page.items("history") == ["3", "1", "3"], "there is only one"
        page.fill("Compare with", "1")
        assert page.texts("#recommended-2 .title") == ["Four", _MARKUP, "Two", "One"], "which has no files"


def test_a_version_that_is_not_there_is_an_error_on_the_page(browser, address):
    page = Page(browser, address)
    page.open().fill("Compare with", "nightly")
    expect(page.page.get_by_role("alert")).to_contain_text("nightly")


def test_another_sites_name_for_this_machine_gets_nothing(address):
    for path in ("", "api/model"):
        answer = requests.get(f"{address}{path}", headers={"Host": "somewhere.example"})
        assert answer.status_code == 502 and "not somewhere.example" in answer.json()["error"]
    assert "default-src 'none'" in requests.get(address).headers["Content-Security-Policy"]


def test_from_a_link_to_a_version_that_is_gone_another_is_chosen(browser, address):
    page = Page(browser, address)
    page.open("?version=99")
    expect(page.page.get_by_role("alert")).to_contain_text("answered 404")
    page.page.get_by_role("combobox", name="Version").select_option("newest (2)")
    page.settled()
    assert page.items("recommended") == ["1", "2", "3", "4"]
    expect(page.page.get_by_role("alert")).to_be_hidden()


def run(*arguments):
    command = [sys.executable, "-m", "serving", "explore", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_without_versions_or_a_free_port_one_line_says_what_to_give(tmp_path, closed_port):
    done = run("--model-dir", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {tmp_path}: no versions. Run the pipeline first, or see by")
    done = run("--host", "127.0.0.1", "--page-port", closed_port)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("address already in use): give another --page-port\n")
