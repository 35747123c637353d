"""The page on real models, used as a person would, against what their signatures answer and what the data says."""

import csv
import os
import re
from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from tfx.utils import path_utils

from components.evaluator.predictions import load
from pipeline.outputs import latest_artifact_uri
from pipeline.steps import Step
from tests.exploring import Page, exploring

_WIDTH = 100  # Of the history in a request.


class Domain(NamedTuple):
    """A served model, and what its data says.

    Attributes:
      address: of the page.
      model: the one that is served.
      rows: item and time of each interaction, by user, the latest first.
      user: one of them.
    """

    address: str
    model: Any
    rows: dict
    user: str

    def call(self, signature, **inputs):
        outputs = self.model.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: values.numpy() for name, values in outputs.items()}

    def query(self, history, **context):
        """Inputs of a signature for the user, with a history."""
        padded = [*history, *[("", 0)] * (_WIDTH - len(history))]
        given = {name: spec for name, spec in self.model.signatures["recommend"].structured_input_signature[1].items()}
        unknown = {
            name: [""] if spec.dtype == tf.string else np.array([np.nan], np.float32) for name, spec in given.items()
        }
        return unknown | {
            "user_id": [self.user],
            "timestamp": np.array([0], np.int64),
            "history_item_id": [[item for item, _ in padded]],
            "history_timestamp": np.array([[time for _, time in padded]], np.int64),
            **context,
        }


def of_movies(output):
    """The run's model and rows."""
    (path,) = (output / "data").glob("*/ratings.csv")
    rows = [(row["userId"], row["movieId"], int(row["timestamp"])) for row in csv.DictReader(path.open())]
    (version,) = (output / "serving_models" / "recommender").iterdir()
    return version, rows


def of_shop(directory):
    rows = [
        (row["customer"], row["sku"], int(row["time"]))
        for row in csv.DictReader((directory / "events.csv").open())
        if row["kind"] != "ad"
    ]
    uri = latest_artifact_uri(str(directory / "run"), Step.RECOMMENDER_BUILDER, "model")
    return path_utils.serving_model_path(uri), rows


@pytest.fixture(scope="module", params=["movies", "shop"])
def domain(request, tmp_path_factory):
    if request.param == "movies":
        model_dir, rows = of_movies(request.getfixturevalue("small_run")[0])
    else:
        model_dir, rows = of_shop(request.getfixturevalue("shop_run"))
    by_user = {}
    for user, item, time in sorted(rows, key=lambda row: -row[2]):
        by_user.setdefault(user, []).append((item, time))
    versions = tmp_path_factory.mktemp(request.param)
    os.symlink(model_dir, versions / "1")
    with exploring("--model-dir", versions) as address:
        yield Domain(address, load(str(model_dir)), by_user, {"movies": "42", "shop": "c3"}[request.param])


@pytest.fixture
def page(browser, domain):
    with Page(browser, domain.address) as page:
        yield page


def texts(values):
    return [value.decode() for value in values[0]]


def of_user(page, domain):
    return page.open(f"?user={domain.user}")


def test_a_user_is_found_with_the_history_and_its_times(page, domain):
    page.open().find("Find a user", domain.user, domain.user)
    expect(page.page.get_by_text(f"User {domain.user}", exact=True)).to_be_visible()
    rows = domain.rows[domain.user]
    assert Counter(page.items("history")) == Counter(item for item, _ in rows)
    shown = page.page.locator("#history time").evaluate_all("times => times.map(time => time.dateTime)")
    assert [datetime.fromisoformat(one.replace("Z", "+00:00")).timestamp() for one in shown] == [
        time for _, time in rows
    ]


def test_filters_are_the_models_own_and_leave_what_has_their_values(page, domain):
    feature, value, other = {"42": ("genres", "Comedy", "Drama"), "c3": ("brand", "Acme", "Bolt")}[domain.user]
    of_user(page, domain).fill(f"Only {feature}", value)
    first = page.items("recommended")
    values = page.page.locator("#recommended [data-item]").evaluate_all("all => all.map(one => one.innerText)")
    assert first and all(value in text for text in values)
    nothing = {name: [[""]] for name in ("brand", "materials")} if domain.user == "c3" else {}
    history = domain.rows[domain.user][:_WIDTH]
    wanted = domain.query(history) | nothing | {feature: [[value]], "exclude_item_id": [[""]]}
    assert first == [item for item in texts(domain.call("recommend_filtered", **wanted)["item_id"]) if item]
    page.page.locator("#recommended").get_by_role("button", name="Hide").first.click()
    page.settled()
    assert page.items("recommended")[: len(first) - 1] == first[1:]
    page.fill(f"Only {feature}", other)
    wanted |= {feature: [[value, other]], "exclude_item_id": [[first[0]]]}
    assert page.items("recommended") == texts(domain.call("recommend_filtered", **wanted)["item_id"]), "of either"


def test_the_lists_of_both_stages_are_those_that_the_model_gives(page, domain):
    of_user(page, domain)
    known = domain.call("serving_default", user_id=[domain.user])
    assert page.items("recommended") == texts(known["item_id"])
    assert page.numbers("#recommended .score") == pytest.approx(known["score"][0], abs=0.0051)
    candidates = texts(domain.call("retrieve", **domain.query(domain.rows[domain.user]))["item_id"])
    assert page.items("candidates") == [item for item in candidates if item]
    places = page.page.locator("#candidates .final").all_text_contents()
    final = {int(place.rpartition(" ")[2]): item for place, item in zip(places, candidates, strict=False)}
    assert [final[place] for place in range(1, 11)] == page.items("recommended")


def test_what_speaks_for_an_item_is_what_its_score_lacks_without_it(page, domain):
    of_user(page, domain)
    expect(page.page.locator("#recommended .why").first).to_be_visible()
    item = page.page.locator("#recommended li:has(.why)").first
    reason = item.locator(".why span").first
    title, _, difference = reason.inner_text().rpartition(" ")
    rows = domain.rows[domain.user]
    titles = dict(zip(page.items("history"), page.page.locator("#history .title").all_text_contents(), strict=True))
    asked = {"item_id": [[item.get_attribute("data-item")]]}
    full, without = (
        domain.call("rank", **domain.query(history), **asked)["score"][0, 0]
        for history in (rows, [row for row in rows if titles[row[0]] != title])
    )
    assert float(difference) == pytest.approx(full - without, abs=0.0051)


def test_popularity_is_the_place_by_the_number_of_interactions(page, domain):
    of_user(page, domain)
    counts = Counter(item for rows in domain.rows.values() for item, _ in rows)
    for row in page.page.locator("#recommended li[data-item]").all():
        said = row.locator(".meta span", has_text="popularity #")
        number, place = counts[row.get_attribute("data-item")], int(said.inner_text().split("#")[1])
        assert said.get_attribute("title").startswith(f"{number} interaction")
        better = sum(count > number for count in counts.values())
        assert better < place <= better + sum(count == number for count in counts.values())


def test_a_visitor_adds_items_and_sees_the_list_change(page, domain):
    page.open()
    expect(page.page.locator("#history")).to_contain_text("Empty")
    before = page.items("recommended")
    added = before[0]
    page.page.locator("#recommended").get_by_role("button", name="Add").first.click()
    page.settled()
    assert page.items("history") == [added]
    after = page.items("recommended")
    assert added not in after and after != before
    expect(page.page.get_by_role("status")).to_contain_text("new here")
    assert set(page.texts("#recommended .badge.in")) == {"new here"}
    assert page.page.locator("#recommended li:has(.badge.in)").count() == len(set(after) - set(before))
    title = page.page.locator("#history .title").inner_text()
    page.press(f"Remove {title} from the history")
    assert page.items("recommended") == before
    assert page.page.evaluate("document.activeElement.id") == "item-search", "the keyboard is not left nowhere"


def test_an_item_is_found_by_its_title_and_added_to_a_user(page, domain):
    of_user(page, domain)
    last = page.page.locator("#recommended .title").last.inner_text()
    item = page.items("recommended")[-1]
    page.find("Add an item", last, last)
    assert page.items("history")[0] == item
    expect(page.page.locator("#history li").first).to_contain_text("added, as if just now")
    page.press("Undo all changes")
    assert page.items("recommended") == texts(domain.call("serving_default", user_id=[domain.user])["item_id"])


def test_similar_items_are_the_models(page, domain):
    of_user(page, domain)
    item = page.items("recommended")[0]
    page.page.locator("#recommended .title").first.click()
    dialog = page.page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Similar")).to_be_visible()
    found = domain.call("similar", item_id=[item])
    assert page.items("item") == texts(found["item_id"])
    page.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.page).to_have_url(re.compile(rf"\?user={domain.user}$"))


def test_the_context_that_the_model_declares_changes_the_scores(page, domain):
    of_user(page, domain)
    declared = page.page.locator("#context label").all_inner_texts()
    if "device" not in declared:
        assert declared == ["Moment (UTC; empty is now)"]
        return
    values = page.page.locator("#context-device-values option").evaluate_all("all => all.map(one => one.value)")
    assert values == ["phone"]
    page.fill("device", "phone").fill("temperature", "3")
    history = domain.query(domain.rows[domain.user], device=["phone"], temperature=np.array([3], np.float32))
    found = domain.call("recommend", **history)
    assert page.numbers("#recommended .score") == pytest.approx(found["score"][0], abs=0.0051)


def test_a_moment_is_asked_about(page, domain):
    of_user(page, domain).fill("Moment (UTC; empty is now)", "2015-06-01T12:30")
    asked = domain.query(domain.rows[domain.user]) | {"timestamp": np.array([1_433_161_800], np.int64)}
    assert page.items("recommended") == texts(domain.call("recommend", **asked)["item_id"])
    page.page.go_back()
    page.settled()
    assert page.page.get_by_label("Moment (UTC; empty is now)").input_value() == ""


def test_a_link_shows_the_same_again_and_says_how_long_each_call_took(browser, page, domain):
    of_user(page, domain)
    page.page.locator("#recommended").get_by_role("button", name="Add").first.click()
    page.settled()
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.press("Copy link")
    expect(page.page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.page.evaluate("navigator.clipboard.readText()") == page.page.url
    with Page(browser, "") as other:
        other.open(page.page.url)
        for of in ("history", "recommended", "candidates"):
            assert other.items(of) == page.items(of)
    expect(page.page.locator("main .timings")).to_contain_text("rank for the reasons")
    calls = page.texts("main .timings span")
    assert [call.split()[0] for call in calls] == ["recommend", "retrieve", "rank", "rank"]
    assert all(float(call.split()[-2]) > 0 for call in calls)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_is_for_everybody(browser, domain, scheme, width):
    """axe-core's rules for names, roles, order and contrast; and nothing is wider than a phone."""
    with Page(browser, domain.address, viewport={"width": width, "height": 844}, color_scheme=scheme) as page:
        of_user(page, domain)
        expect(page.page.locator("#recommended .why").first).to_be_visible()
        found = Axe().run(page.page)
        assert not found.response["violations"], found.generate_report()
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        background = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
