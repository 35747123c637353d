"""Logged requests against what a model keeps of its data."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console
from tensorflow_serving.apis import prediction_log_pb2

from components.drift_validator import kept
from components.drift_validator.settings import Drift
from models.errors import UserError
from pipeline import skew
from tests.components.deliveries import delivery
from tests.components.test_drift import DAY, FIRST, ITEMS, events, shop


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A directory of versions, of which one keeps a delivery whose purchases came from three kinds of devices."""
    directory = tmp_path_factory.mktemp("served")
    rows = events()
    rows["device"] = np.random.default_rng(3).choice(["phone", "web", "shop"], len(rows["time"]), p=[0.6, 0.3, 0.1])
    config = shop(directory / "shop", rows)
    path = directory / "shop" / "shop.yaml"
    tables = json.loads(path.read_text())
    tables["data"]["interactions"]["context"] = {"device": {"kind": "category"}}
    path.write_text(json.dumps(tables))
    config = type(config).model_validate(
        config.model_dump() | {"data": tables["data"] | {"directory": str(directory / "shop")}}
    )
    (directory / "models" / "7").mkdir(parents=True)
    (directory / "models" / "7" / "saved_model.pb").touch()
    kept.write(delivery(config), str(directory / "models" / "7"))
    return str(directory / "models")


def requests(number=600, seed=5, device=("phone", "web", "shop"), share=(0.6, 0.3, 0.1), user="{:05d}", hour=(8, 22)):
    """Like the data, unless told otherwise."""
    rng = np.random.default_rng(seed)
    return [
        {
            "user_id": user.format(rng.zipf(1.5) % 400),
            "timestamp": int(FIRST + 61 * DAY + rng.integers(hour[0] * 3600, hour[1] * 3600)),
            "history_item_id": [f"p{item}" for item in rng.integers(ITEMS, size=3)],
            "history_timestamp": [FIRST, FIRST, FIRST],
            "device": str(rng.choice(device, p=share)),
        }
        for _ in range(number)
    ]


def said(served, path):
    text = io.StringIO()
    stops = skew.run(str(path), served, Drift(), Console(file=text, width=200))
    return stops, text.getvalue()


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_log(path, rows):
    """TensorFlow Serving's request log, with batches of two."""
    with tf.io.TFRecordWriter(str(path)) as file:
        for some in zip(rows[::2], rows[1::2], strict=True):
            log = prediction_log_pb2.PredictionLog()
            for name in some[0]:
                values = [one[name] for one in some]
                log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
            file.write(log.SerializeToString())
    return path


def test_requests_like_the_data_are_no_skew_however_they_are_logged(served, tmp_path):
    rows = requests()
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for path in (
        lines(tmp_path / "instances.jsonl", rows),
        lines(tmp_path / "bodies.jsonl", [{"instances": rows[:400]}, {"instances": rows[400:]}]),
        lines(tmp_path / "columns.jsonl", [{"signature_name": "recommend", "inputs": columns}]),
        as_log(tmp_path / "requests.log", rows),
    ):
        assert said(served, path) == (False, "600 requests against version 7\nNo skew\n"), path


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"user": "{:d}"}, "ids of users are written otherwise"),
        ({"hour": (0, 6)}, "requests are at other hours of the day"),
        ({"device": ("phone", "tv"), "share": (0.5, 0.5)}, "device has other values"),
        ({"device": ("phone", ""), "share": (0.5, 0.5)}, "device is missing in"),
    ],
)
def test_what_differs_is_said_and_stops(served, tmp_path, changed, text):
    stops, output = said(served, lines(tmp_path / "requests.jsonl", requests(**changed)))
    assert stops and text in output


def test_unknown_users_are_said(served, tmp_path):
    rows = [row | {"user_id": f"{90_000 + place}"} for place, row in enumerate(requests())]
    _, output = said(served, lines(tmp_path / "requests.jsonl", rows))
    assert "warn 100% of the users are new (drift.limits.new.users)" in output


def test_requests_for_known_users_alone_bring_neither_time_nor_context(served, tmp_path):
    path = lines(tmp_path / "requests.jsonl", [{"instances": ["00001", "00002"]}, {"user_id": "00003"}])
    assert said(served, path)[1].startswith("3 requests")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"user_id": "1"}\n{"user_id": \n', "line 2: no JSON"),
        (b'{"user_id": "1"}\n["1"]\n', "line 2: give an object"),
        (b"user_id,time\n1,2\n", "neither JSON lines nor TFRecords of PredictionLog"),
        (b"", "no request in it"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_error(served, tmp_path, content, message):
    path = tmp_path / "requests"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        said(served, path)


def test_a_missing_file_or_version_is_one_error(served, tmp_path):
    with pytest.raises(UserError, match="No such file"):
        said(served, tmp_path / "nowhere")
    with pytest.raises(UserError, match="no version there"):
        said(str(tmp_path), lines(tmp_path / "requests.jsonl", requests(2)))
