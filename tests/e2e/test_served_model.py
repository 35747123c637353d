"""What the pushed model answers, through its signatures and through the server."""

import csv
import json
import subprocess

import numpy as np
import pytest
import requests
import tensorflow as tf

from components.evaluator.predictions import load
from components.queries import ask
from serving.client import Recommender
from serving.errors import ServingError
from serving.process import running_server
from tests.e2e.conftest import ROOT, recommender


@pytest.fixture(scope="module")
def served(small_run):
    """Directory of versions, and the directory of the only one."""
    models = small_run[0] / "serving_models" / "recommender"
    (version,) = models.iterdir()
    return models, version


@pytest.fixture(scope="module")
def call(served):
    import scann  # noqa: F401

    model = tf.saved_model.load(str(served[1]))

    def call(signature, **inputs):
        outputs = model.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    call.model = model
    return call


@pytest.fixture(scope="module")
def split(small_run):
    """Each user's items, times and ratings in order of time: those in train, and those held out."""
    (path,) = (small_run[0] / "data").glob("*/ratings.csv")
    rows = sorted(csv.DictReader(path.open()), key=lambda row: int(row["timestamp"]))
    users = {}
    for row in rows:
        users.setdefault(row["userId"], []).append((row["movieId"], int(row["timestamp"]), float(row["rating"])))
    cuts = {user: len(rows) - int(len(rows) * 0.2 + 0.5) for user, rows in users.items()}
    return tuple({user: rows[part(cuts[user])] for user, rows in users.items()} for part in (_BEFORE, _FROM))


_BEFORE, _FROM = (lambda cut: slice(cut)), (lambda cut: slice(cut, None))


@pytest.fixture(scope="module")
def ratings(split):
    """Each user's items and times, held-out ones included: what is served knows them all."""
    return {user: [row[:2] for part in split for row in part[user]] for user in split[0]}


def query(users, timestamps=None, histories=None):
    histories = histories or [[("", 0)]] * len(users)
    width = max(map(len, histories))
    padded = [[*history, *[("", 0)] * (width - len(history))] for history in histories]
    return {
        "user_id": users,
        "timestamp": np.array(timestamps or [0] * len(users), np.int64),
        "history_item_id": [[item for item, _ in history] for history in padded],
        "history_timestamp": np.array([[time for _, time in history] for history in padded], np.int64),
    }


def test_shapes_and_order_of_every_signature(call):
    found = call("serving_default", user_id=["1", "2", "3"])
    assert found["item_id"].shape == found["title"].shape == found["score"].shape == (3, 10)
    assert np.all(np.diff(found["score"], axis=1) <= 0)
    assert np.all(np.isfinite(found["score"]))
    retrieved = call("retrieve", **query(["1", "2"]))
    assert retrieved["item_id"].shape == retrieved["score"].shape == (2, 100)
    ranked = call("rank", **query(["1"]), item_id=[["1", "2", "3"]])
    assert ranked["predicted_rating"].shape == ranked["score"].shape == (1, 3)
    assert np.all((ranked["predicted_rating"] >= 0.5) & (ranked["predicted_rating"] <= 5))


def test_the_report_has_the_figures_of_the_lists_that_are_served_where_train_is_known_alone(served, split, small_run):
    ratings = {user: [row[:2] for row in rows] for user, rows in split[0].items()}
    model = load(str(served[1]))
    latest_first = [(user, *row) for user, rows in ratings.items() for row in rows[::-1]]
    users, items, times = map(list, zip(*latest_first, strict=True))
    model.assume(user_id=tf.constant(users), item_id=tf.constant(items), timestamp=tf.constant(times, tf.int64))

    def call(signature, **inputs):
        return ask(model, signature, {name: tf.constant(value) for name, value in inputs.items()})

    rows = [(user, *row) for user, rows in split[1].items() for row in rows]
    users, items, times, stars = zip(*rows, strict=True)
    asked = query(users, times, [ratings[user][::-1][:100] for user in users])
    true, liked = np.array(items, "S")[:, np.newaxis], np.array(stars) >= 4
    retrieved, recommended = (call(name, **asked)["item_id"].astype("S") == true for name in ("retrieve", "recommend"))
    before, after = (
        (hits[:, :10] / np.log2(np.arange(2, 12))).sum(1)[liked].mean() for hits in (retrieved, recommended)
    )
    rated = call("rank", **asked, item_id=np.array(items)[:, np.newaxis])["predicted_rating"][:, 0]
    found = json.loads((small_run[0] / "report.json").read_text())["metrics"]
    assert found["retrieval"]["filtered_top_100_categorical_accuracy"] == pytest.approx(retrieved.any(1).mean())
    assert found["two_stage"]["ndcg_at_10_before"] == pytest.approx(before)
    assert found["two_stage"]["ndcg_at_10_after"] == pytest.approx(after)
    assert found["ranking"]["rmse"] == pytest.approx(np.sqrt(np.mean((rated - stars) ** 2)), rel=1e-4)


def test_nothing_seen_is_ever_recommended(call, ratings):
    users = list(ratings)
    for signature, inputs in (("serving_default", {"user_id": users}), ("retrieve", query(users))):
        for user, items in zip(users, call(signature, **inputs)["item_id"], strict=True):
            assert not {item.decode() for item in items} & {item for item, _ in ratings[user]}, signature


def test_a_history_given_is_not_recommended_back_to_a_stranger(call):
    history = [[("5", 0), ("6", 0), ("7", 0)]]
    found = call("retrieve", **query([""], histories=history))["item_id"][0]
    assert not {b"5", b"6", b"7"} & set(found)
    assert len(set(found)) == 100


def test_a_history_changes_the_answer(call):
    """Of a hundred: the first ten of so little data are mostly what is popular."""
    history = [("5", 0), ("6", 0), ("7", 0)]
    plain = [item for item in call("retrieve", **query([""]))["item_id"][0] if item not in (b"5", b"6", b"7")]
    told = call("retrieve", **query([""], histories=[history]))["item_id"][0].tolist()
    assert plain[:90] != told[:90]


def test_unknown_users_and_items_are_no_error(call):
    anonymous, unknown = (call("serving_default", user_id=[user])["item_id"] for user in ("", "nobody"))
    assert anonymous.tolist() == unknown.tolist()
    assert b"" not in anonymous
    ranked = call("rank", **query(["1"], histories=[[("no such item", 0)]]), item_id=[["no such item", "1"]])
    assert np.all(np.isfinite(ranked["score"]))
    assert call("similar", item_id=["no such item"])["item_id"].tolist() == [[b""] * 10]


def test_similar_items_are_others_in_order(call):
    found = call("similar", item_id=["1", "2"])
    assert found["item_id"].shape == (2, 10)
    assert b"1" not in found["item_id"][0] and b"2" not in found["item_id"][1]
    assert np.all(np.diff(found["score"], axis=1) <= 1e-6)
    assert np.all(found["score"] <= 1 + 1e-5)


def test_a_list_that_runs_short_is_padded_at_its_end(call):
    history = [[(str(item), 0) for item in range(1, 296)]]
    found = call("recommend", **query([""], histories=history))
    ids, scores = found["item_id"][0], found["score"][0]
    assert {item for item in ids if item} == {str(item).encode() for item in range(296, 301)}
    assert ids.tolist()[5:] == [b""] * 5
    assert np.all(np.isfinite(scores)) and np.all(np.diff(scores) <= 0)


def test_batch_equals_single(call, ratings):
    users = ["1", "", "nobody", "17"]
    histories = [ratings["1"][:3], [("9", 0)], [("", 0)], ratings["17"][:1]]
    times = [1_500_000_000, 0, 0, 1_400_000_000]
    for signature in ("recommend", "retrieve"):
        together = call(signature, **query(users, times, histories))
        for i in range(len(users)):
            alone = call(signature, **query(users[i : i + 1], times[i : i + 1], histories[i : i + 1]))
            assert alone["item_id"][0].tolist() == together["item_id"][i].tolist()
            np.testing.assert_allclose(alone["score"][0], together["score"][i], rtol=1e-4, atol=1e-5)


def test_recommend_is_retrieve_then_rank(call, ratings):
    inputs = query(["1", ""], [1_500_000_000, 0], [ratings["1"][:5], [("9", 0)]])
    retrieved = call("retrieve", **inputs)
    ranked = call("rank", **inputs, item_id=retrieved["item_id"])
    recommended = call("recommend", **inputs)
    for i in range(2):
        best = np.argsort(-ranked["score"][i], kind="stable")[:10]
        assert retrieved["item_id"][i][best].tolist() == recommended["item_id"][i].tolist()
        np.testing.assert_allclose(ranked["score"][i][best], recommended["score"][i], rtol=1e-4, atol=1e-5)


def test_the_default_signature_recommends_from_what_training_knew(call, ratings):
    end = max(time for items in ratings.values() for _, time in items)
    history = ratings["1"][::-1][:100]
    expected = call("recommend", **query(["1"], [end], [history]))
    found = call("serving_default", user_id=["1"])
    assert found["item_id"].tolist() == expected["item_id"].tolist()
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def clients(served):
    with (
        running_server({1: str(served[1])}) as (grpc_port, rest_port),
        Recommender(f"http://127.0.0.1:{rest_port}") as rest,
        Recommender(f"127.0.0.1:{grpc_port}") as grpc,
    ):
        yield rest, grpc, grpc_port, rest_port


@pytest.mark.parametrize("users", [["1"], ["nobody"], [""], ["1", "nobody", "", "17"], [str(n) for n in range(600)]])
@pytest.mark.parametrize("histories", [False, True])
def test_rest_and_grpc_give_identical_answers(clients, users, histories):
    had = [(item, 1_500_000_000) for item in ("5", "6", "7")]
    given = [had[: n % 4] for n in range(len(users))] if histories else None
    over_rest, over_grpc = (client.recommend_many(users, given) for client in clients[:2])
    assert [[m.item_id for m in row] for row in over_rest] == [[m.item_id for m in row] for row in over_grpc]
    assert [[m.title for m in row] for row in over_rest] == [[m.title for m in row] for row in over_grpc]
    scores = [[[m.score for m in row] for row in rows] for rows in (over_rest, over_grpc)]
    np.testing.assert_allclose(*scores, rtol=1e-6)


def test_the_server_gives_what_the_signature_gives(clients, call):
    found = call("serving_default", user_id=["1"])
    assert [m.item_id.encode() for m in clients[0].recommend("1")] == found["item_id"][0].tolist()


def test_the_bare_list_form_works(clients):
    url = f"http://127.0.0.1:{clients[3]}/v1/models/recommender:predict"
    (row,) = requests.post(url, json={"instances": ["42"]}).json()["predictions"]
    assert len(row["item_id"]) == len(row["title"]) == len(row["score"]) == 10


SENT = {
    "user_id": ["\u00a01.0 "],
    "timestamp": [0],
    "history_item_id": [[" 5.0\t", "\ufeff6", "  "]],
    "history_timestamp": [[0, 0, 0]],
}


def test_blanks_around_ids_and_fractions_of_them_are_none_over_both_protocols(clients):
    plain = SENT | {"user_id": ["1"], "history_item_id": [["5", "6", ""]]}
    for client in clients[:2]:
        found = client.call("recommend", SENT)
        assert found == client.call("recommend", plain)
        assert not {"5", "6"} & {*found["item_id"][0]}


@pytest.mark.parametrize("odd", [{"history_item_id": [["5", "6"]]}, {"history_timestamp": [[]]}])
def test_a_history_of_two_widths_is_an_error_that_names_both_inputs(clients, odd):
    for client, status in zip(clients, ("400", "INVALID_ARGUMENT"), strict=False):
        named = f"{status}: .*history_item_id and history_timestamp need the same shape"
        with pytest.raises(ServingError, match=named):
            client.call("recommend", SENT | odd)


def test_other_numbers_of_rows_are_an_error_that_names_the_inputs(clients):
    named = "user_id and history_item_id need the same number of rows"
    for client, status in zip(clients, ("400", "INVALID_ARGUMENT"), strict=False):
        with pytest.raises(ServingError, match=f"{status}: .*{named}"):
            client.call("recommend", SENT | {"user_id": ["1", "2"]})


def test_predict_prints_titles_and_scores_over_both_protocols(clients):
    ports = ["--port", clients[2], "--rest-port", clients[3]]
    rest, grpc = recommender("predict", "42", *ports), recommender("predict", "42", "--grpc", *ports)
    assert rest.returncode == 0, rest.stderr
    assert rest.stdout == grpc.stdout
    assert rest.stdout.count("The ") == 10
    few = recommender("predict", "", "--history", "1, 2", "--k", 3, *ports)
    assert few.stdout.count("The ") == 3
    many = recommender("predict", "42", "--k", 11, *ports)
    assert (many.returncode, many.stdout) == (1, "")
    assert "gives 10 recommendations at most, not 11" in many.stderr


@pytest.mark.parametrize("use_grpc", [False, True])
def test_no_proxy_is_asked_about_this_machine(clients, use_grpc, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    *_, grpc_port, rest_port = clients
    with Recommender(f"127.0.0.1:{grpc_port}" if use_grpc else f"http://127.0.0.1:{rest_port}") as client:
        assert len(client.recommend("1")) == 10


def test_without_a_server_the_client_says_so():
    with Recommender("127.0.0.1:9") as client, pytest.raises(ServingError, match="no server answers gRPC"):
        client.recommend("1")
    done = recommender("predict", "1", "--rest-port", 9)
    assert done.returncode == 1
    assert "no server answers REST on 127.0.0.1:9: start one with `recommender serve`" in done.stderr


def test_the_model_answers_the_same_in_the_versions_of_the_serving_image(served):
    script = ROOT / "scripts" / "check_serving_image.sh"
    done = subprocess.run([script, served[0]], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TensorFlow 2.11.1 with ScaNN 1.2.9 gives the same 17 outputs" in done.stdout
