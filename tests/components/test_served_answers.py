"""The questions to a served candidate: a right server passes, and one that is wrong in one way is told which."""

import http.server
import json
import math
import threading

import pytest
import tensorflow as tf

from components.infra_validator.asked import Asked, Filter, Recommendable
from components.infra_validator.checks import Checks
from components.infra_validator.settings import InfraValidation
from serving.client import Recommender

ITEMS = ["1", "2", "3", "4", "5", "6"]
SEEN = {"ann": ["1", "2"], "bob": ["3"], "cat": ITEMS[:5], "dan": []}
HAD = {user: {*seen, "6"} if user == "ann" else {*seen} for user, seen in SEEN.items()}  # With the eval rows.
LENGTH = 3
OTHERS = {"": [], "red": ["2", "4", "6"]}  # The items that do not have a colour.
RED = Filter("colour", "red", frozenset(ITEMS) - {*OTHERS["red"]})


def right(unwanted):
    """The first items that are not unwanted."""
    ids = [item for item in ITEMS if item not in unwanted][:LENGTH]
    padding = LENGTH - len(ids)
    return [*ids, *[""] * padding], [*(3.0 - rank for rank in range(len(ids))), *[-3e38] * padding]


class Handler(http.server.BaseHTTPRequestHandler):
    """TensorFlow Serving's REST protocol; `server.answer` makes the lists."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        signature, users = request["signature_name"], request["inputs"]["user_id"]
        unwanted = [[]] * len(users)
        for name in ["exclude_item_id"] if self.server.repeats else ["history_item_id", "exclude_item_id"]:
            unwanted = [a + b for a, b in zip(unwanted, request["inputs"].get(name, unwanted), strict=True)]
        colours = [of[0] for of in request["inputs"].get("colour", [[""]] * len(users))]
        unwanted = [of + OTHERS[colour] for of, colour in zip(unwanted, colours, strict=True)]
        lists = self.server.answer(signature, users, unwanted)
        body = json.dumps({"outputs": dict(zip(("item_id", "score"), zip(*lists, strict=True), strict=True))}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def problems(server):
    """What is found where the list of one user under one signature is wrong."""

    def check(signature=None, user=None, wrong=None, max_milliseconds=60_000.0, drop=0, repeats=False):
        def answer(asked, users, unwanted):
            had = [() if repeats else HAD.get(user, ()) for user in users]
            lists = [right({*a, *b}) for a, b in zip(unwanted, had, strict=True)]
            if asked == signature:
                lists = [wrong(*found) if one == user else found for one, found in zip(users, lists, strict=True)]
                lists = lists[: max(1, len(lists) - drop)]
            return lists

        server.answer, server.repeats = answer, repeats
        config = InfraValidation(batch=6, max_milliseconds=max_milliseconds)
        with Recommender(f"http://127.0.0.1:{server.server_address[1]}") as client:
            return (
                Checks(client, config, asked(repeats), Recommendable(frozenset(ITEMS), [RED], ["colour"]))
                .run()
                .problems
            )

    return check


def asked(repeats):
    histories = tf.ragged.constant([*SEEN.values()], dtype=tf.string).to_tensor()
    inputs = {
        "user_id": tf.constant([*SEEN]),
        "timestamp": tf.fill([len(SEEN)], tf.constant(1_500_000_000, tf.int64)),
        "history_item_id": histories,
        "history_timestamp": tf.where(histories == "", tf.constant(0, tf.int64), 1_400_000_000),
    }
    return Asked(inputs, tf.fill([len(SEEN)], "6"), [*map(frozenset, HAD.values())], repeats)


def test_right_answers_have_no_problems_though_some_lists_run_short(problems):
    assert problems() == []


GAP_OR_TWICE = "a list with a gap, or with an item twice"
NO_SCORE = "a score is missing or not finite"
WRONG = {
    "a gap": (lambda ids, scores: ([ids[0], "", ids[1]], scores), GAP_OR_TWICE),
    "an item twice": (lambda ids, scores: ([ids[0], ids[0], ids[1]], scores), GAP_OR_TWICE),
    "not a number": (lambda ids, scores: (ids, [scores[0], math.nan, scores[2]]), NO_SCORE),
    "infinite": (lambda ids, scores: (ids, [math.inf, *scores[1:]]), NO_SCORE),
    "a score too few": (lambda ids, scores: (ids, scores[:-1]), NO_SCORE),
    "not in order": (lambda ids, scores: (ids, scores[::-1]), "scores that are not in falling order"),
    "foreign": (lambda ids, scores: ([*ids[:-1], "99"], scores), "item '99' is none of those that may be recommended"),
    "seen": (lambda ids, scores: (["3", *ids[1:]], scores), "item '3' was seen or is not wanted, and is recommended"),
}


@pytest.mark.parametrize("signature", ["recommend", "retrieve", "serving_default"])
@pytest.mark.parametrize(("wrong", "text"), WRONG.values(), ids=WRONG)
def test_one_wrong_list_of_many_is_found_and_says_where(problems, signature, wrong, text):
    assert problems(signature, "bob", wrong) == [
        f"{signature} for known users: {text}",
        f"{signature} for a batch of 6: {text}",
    ]


def test_what_a_user_had_may_be_recommended_where_items_repeat(problems):
    assert problems("recommend", "bob", lambda ids, scores: (["3", "1", "2"], scores), repeats=True) == []
    found = problems("recommend", "cat", lambda ids, scores: ([""] * LENGTH, [-3e38] * LENGTH), repeats=True)
    assert found[0] == "recommend for known users: an empty list"


@pytest.mark.parametrize("signature", ["recommend", "retrieve", "serving_default"])
def test_lists_of_users_that_the_model_does_not_know_are_looked_at_too(problems, signature):
    found = problems(signature, "no such user", lambda ids, scores: (["99", *ids[1:]], scores))
    assert found == [f"{signature} for unknown users: item '99' is none of those that may be recommended"]


@pytest.mark.parametrize("signature", ["recommend", "retrieve", "serving_default"])
def test_a_user_without_id_and_history_has_to_get_a_list(problems, signature):
    found = problems(signature, "", lambda ids, scores: ([""] * LENGTH, [-3e38] * LENGTH))
    assert f"{signature} for a user without id and history: an empty list" in found


@pytest.mark.parametrize("signature", ["recommend", "retrieve", "serving_default"])
def test_every_query_has_to_be_answered(problems, signature):
    found = problems(signature, drop=1)
    assert f"{signature} for known users: the answers do not have one row for each of 4 queries" in found
    assert f"{signature} for a batch of 6: the answers do not have one row for each of 6 queries" in found


def test_an_answer_that_takes_too_long_is_a_problem(problems):
    (problem,) = problems(max_milliseconds=1e-6)
    assert problem.startswith("a request for one user takes ")
    assert problem.endswith("more than the 1e-06 of infra_validator.max_milliseconds")


@pytest.mark.parametrize("signature", ["recommend", "retrieve", "serving_default"])
@pytest.mark.parametrize("user", ["dan", "bob"])
def test_a_user_who_has_not_seen_everything_has_to_get_a_list(problems, signature, user):
    found = problems(signature, user, lambda ids, scores: ([""] * LENGTH, [-3e38] * LENGTH))
    assert f"{signature} for known users: an empty list" in found


def test_what_is_not_wanted_and_what_lacks_the_value_that_is_wanted_must_not_come(problems):
    found = problems("recommend_filtered", "dan", lambda ids, scores: ([ids[0], "2", *ids[2:]], scores))
    assert found == [
        "recommend_filtered without the first list: item '2' was seen or is not wanted, and is recommended",
        "recommend_filtered for colour 'red': item '2' is none of those that may be recommended",
    ]
    short = problems("recommend_filtered", "dan", lambda ids, scores: ([""] * LENGTH, [-3e38] * LENGTH))
    assert short == [
        "recommend_filtered without the first list: an empty list",
        "recommend_filtered for colour 'red': an empty list",
    ]
