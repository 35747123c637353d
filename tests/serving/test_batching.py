"""Batching of concurrent requests, on a real model that tells how many rows it got at once."""

import asyncio

import numpy as np
import pytest

from serving.server.batching import Batcher, BatchingParameters
from serving.server.model import LoadedModel
from serving.server.status import RequestError
from tests.serving.conftest import Gate, export

NEVER = 10**12  # As batch_timeout_micros: only a full batch runs.


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "1"
    export(path)
    return LoadedModel(str(path), 1)


def users(*names):
    return {"user_id": np.array([name.encode() for name in names], object)}


def ask(model, requests, join=True, **parameters):
    """Makes requests, pairs of signature and inputs, at the same time; returns their answers and the batches' rows."""
    sizes = []

    async def together():
        batcher = Batcher(BatchingParameters(**parameters), join, sizes.append)
        runs = [batcher.run(model, name, tensors) for name, tensors in requests]
        try:
            return await asyncio.gather(*runs, return_exceptions=True)
        finally:
            batcher.close()

    return asyncio.run(together()), sizes


def test_each_request_gets_its_own_rows_of_a_shared_batch(model):
    names = [[f"{n}-{row}" for row in range(n % 4)] for n in range(40)]
    answers, sizes = ask(model, [("serving_default", users(*row)) for row in names])
    assert [answer["greeting"].tolist() for answer in answers] == [
        [f"hello {name}".encode() for name in row] for row in names
    ]
    assert sizes == [0, 60], "one at once, and while it runs the others gather"


def test_requests_wait_for_others_until_the_batch_is_full_or_the_timeout_is_over(model):
    answers, _ = ask(model, [("count", users("a"))] * 3, batch_timeout_micros=NEVER, max_batch_size=3)
    assert [answer["rows"].tolist() for answer in answers] == [[3]] * 3
    answers, _ = ask(model, [("count", users("a"))], batch_timeout_micros=1000)
    assert answers[0]["rows"].tolist() == [1]


def test_without_joining_each_request_runs_alone(model):
    answers, sizes = ask(model, [("count", users("a", "b"))] * 3, join=False, batch_timeout_micros=NEVER)
    assert [answer["rows"].tolist() for answer in answers] == [[2, 2]] * 3
    assert sizes == [2, 2, 2]


def test_a_large_request_is_cut_and_joined_again(model):
    names = [str(n) for n in range(1000)]
    ((greeted, counted), sizes) = ask(
        model, [("serving_default", users(*names)), ("count", users(*names))], max_batch_size=300
    )
    assert greeted["greeting"].tolist() == [f"hello {name}".encode() for name in names]
    assert counted["rows"].tolist() == [300] * 900 + [100] * 100
    assert max(sizes) == 300


def test_batches_are_filled_up_to_an_allowed_size(model):
    answers, _ = ask(model, [("count", users("a", "b", "c"))], allowed_batch_sizes=(4, 8), max_batch_size=8)
    assert answers[0]["rows"].tolist() == [4, 4, 4]


def test_rows_of_different_widths_do_not_meet(model):
    def scale(width):
        return {"number": np.ones([1, width], np.int64), "offset": np.zeros(1, np.float32)}

    requests = [("scale", scale(width)) for width in (1, 2, 1, 2)]
    answers, sizes = ask(model, requests, batch_timeout_micros=NEVER, max_batch_size=2)
    assert [answer["product"].tolist() for answer in answers] == [[[2.0] * width] for width in (1, 2, 1, 2)]
    assert sizes == [2, 2]


def test_rows_of_different_widths_are_padded_with_their_first_value(model):
    def scale(numbers):
        return {"number": np.array([numbers], np.int64), "offset": np.zeros(1, np.float32)}

    requests = [("scale", scale(numbers)) for numbers in ([5], [1, 2, 3], [])]
    parameters = {"batch_timeout_micros": NEVER, "max_batch_size": 3, "pad_variable_length_inputs": True}
    answers, _ = ask(model, requests[:2] * 2, **parameters | {"max_batch_size": 2})
    assert [answer["product"].tolist() for answer in answers] == [[[10.0] * 3], [[2.0, 4.0, 6.0]]] * 2
    answers, sizes = ask(model, requests, **parameters)
    assert sizes == [3, 1, 1, 1], "nothing can pad an empty row, so all run alone"
    assert [answer["product"].tolist() for answer in answers] == [[[10.0]], [[2.0, 4.0, 6.0]], [[]]]


def test_a_small_request_does_not_wait_for_all_of_a_large_one(model, tmp_path):
    sizes, gate = [], Gate(tmp_path)

    async def ask_both(batcher, busy):
        large = await enqueued(batcher.run(model, "count", users(*map(str, range(12)))))
        small = await enqueued(batcher.run(model, "count", users("a")))
        gate.open()
        await small
        finished_first = not large.done()
        await large
        return finished_first

    parameters = BatchingParameters(max_batch_size=2, num_batch_threads=1)
    assert held(model, gate, parameters, sizes.append, ask_both)
    assert sizes == [1, 1, *[2] * 6]


def test_a_signature_without_a_batch_dimension_runs_alone(model):
    inputs = {"x": np.float32(1), "y": np.array([2, 3], np.float32)}
    answers, _ = ask(model, [("whole", inputs)] * 2)
    assert [answer["sum"] for answer in answers] == [6.0, 6.0]


def test_a_wrong_request_spoils_no_other(model):
    requests = [("fail", users(*row)) for row in ([""], ["x"], ["", ""])]
    answers, sizes = ask(model, requests, batch_timeout_micros=NEVER, max_batch_size=4)
    assert answers[0]["user_id"].tolist() == [b""]
    assert isinstance(answers[1], RequestError) and "never mind" in str(answers[1])
    assert answers[2]["user_id"].tolist() == [b"", b""]
    assert sizes == [4, 1, 1, 2], "together, and then each alone"


def test_a_full_queue_refuses_and_goes_on(model):
    answers, _ = ask(model, [("count", users("a", "b"))] * 5, max_batch_size=2, max_enqueued_batches=2)
    refused = [answer for answer in answers if isinstance(answer, RequestError)]
    assert {error.code.name for error in refused} == {"RESOURCE_EXHAUSTED"}
    assert len(answers) - len(refused) == 3, "one that runs and two that wait"


def test_what_never_fits_is_invalid_and_what_does_not_fit_together_is_the_graphs_to_judge(model):
    mixed = {"number": np.ones([2, 1], np.int64), "offset": np.zeros(3, np.float32)}
    answers, _ = ask(model, [("count", users(*"abcde")), ("scale", mixed)], max_batch_size=2, max_enqueued_batches=2)
    assert [answer.code.name for answer in answers] == ["INVALID_ARGUMENT"] * 2
    assert "5 rows" in str(answers[0]) and "Incompatible shapes: [2,1] vs. [3,1]" in str(answers[1])
    broadcast = {"number": np.ones([1, 1], np.int64), "offset": np.arange(3, dtype=np.float32)}
    answers, _ = ask(model, [("scale", broadcast)])
    assert answers[0]["product"].tolist() == [[2.0], [3.0], [4.0]]


def held(model, gate, parameters, observe, ask):
    """Asks while the model is busy with a request at a gate; returns what `ask` does with the batcher and that task."""

    async def run():
        batcher = Batcher(parameters, True, observe)
        busy = asyncio.create_task(batcher.run(model, "hold", {"path": np.array([gate.path.encode()], object)}))
        await asyncio.sleep(0)
        gate.wait_until_reached()
        try:
            return await ask(batcher, busy)
        finally:
            gate.open()
            batcher.close()

    return asyncio.run(run())


async def enqueued(request):
    """The task of a request that waits in the queue."""
    task = asyncio.create_task(request)
    await asyncio.sleep(0)
    return task


def test_a_request_that_nobody_waits_for_is_not_run(model, tmp_path):
    sizes, gate = [], Gate(tmp_path)

    async def give_up(batcher, busy):
        given_up = await enqueued(batcher.run(model, "count", users("a", "b", "c")))
        wanted = await enqueued(batcher.run(model, "count", users("d")))
        given_up.cancel()
        await asyncio.wait([given_up])
        gate.open()
        await busy
        return await wanted

    assert held(model, gate, BatchingParameters(), sizes.append, give_up)["rows"].tolist() == [1]
    assert sizes == [1, 1]


def test_a_request_that_is_given_up_frees_its_place(model, tmp_path):
    gate = Gate(tmp_path)

    async def give_up(batcher, busy):
        given_up = await enqueued(batcher.run(model, "count", users("a", "b")))
        with pytest.raises(RequestError, match=r"queue .* is full"):
            await batcher.run(model, "count", users("c", "d"))
        given_up.cancel()
        gate.open()
        await busy
        return await batcher.run(model, "count", users("c", "d"))

    parameters = BatchingParameters(max_batch_size=2, max_enqueued_batches=1)
    assert held(model, gate, parameters, lambda _: None, give_up)["rows"].tolist() == [2, 2]
