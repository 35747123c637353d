"""Tensors of every type, there and back over both protocols."""

import base64
import json

import grpc
import hypothesis
import ml_dtypes
import numpy as np
import pytest
import requests
import tensorflow as tf
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.codec.dtypes import BY_NUMPY
from tests.serving.conftest import LONG_SECONDS, serving

NUMBERS = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool"]
NOT_IN_JSON = ["float16", "bfloat16", "uint16", "complex64", "complex128"]
FIELDS = {
    "float16": "half_val",
    "bfloat16": "half_val",
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "int64": "int64_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
    "string": "string_val",
}
_few = hypothesis.settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


class Echo(tf.Module):
    """For each type a signature that returns a tensor of any shape as it is, and one that makes it of strings."""

    def signatures(self):
        found = {}
        for name in FIELDS:
            dtype = tf.dtypes.as_dtype(name)
            key = "x_bytes" if name == "string" else "x"
            found[name] = tf.function(
                lambda x, key=key: {key: tf.identity(x)}, input_signature=[tf.TensorSpec(None, dtype, name="x")]
            )
        for name in NOT_IN_JSON:
            dtype = tf.dtypes.as_dtype(name)
            found[f"make_{name}"] = tf.function(
                lambda s, dtype=dtype: {"x": tf.zeros([tf.size(s)], dtype)},
                input_signature=[tf.TensorSpec([None], tf.string, name="s")],
            )
        return found


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    path = tmp_path_factory.mktemp("echo")
    module = Echo()
    tf.saved_model.save(module, str(path / "1"), signatures=module.signatures())
    with serving(path, "--rest_api_num_threads=1") as server:
        yield server


@pytest.fixture(scope="module")
def predict(echo):
    with echo.channel() as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict


def arrays(name):
    shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    if name == "string":
        return npst.arrays(object, shapes, elements=st.binary(max_size=9), fill=st.nothing())
    if name == "bfloat16":
        return npst.arrays(np.float32, shapes).map(lambda array: array.astype(ml_dtypes.bfloat16))
    return npst.arrays(np.dtype(name), shapes)


def same(one, other):
    """Whether arrays are equal, NaN to NaN."""
    return one.shape == other.shape and one.dtype == other.dtype and repr(one.tolist()) == repr(other.tolist())


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("as_content", [False, True], ids=["typed", "content"])
def test_a_tensor_comes_back_over_grpc_in_typed_values(predict, name, as_content):
    @_few
    @hypothesis.given(array=arrays(name))
    def ask(array):
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "toy", name
        proto = request.inputs["x"]
        proto.CopyFrom(tf.make_tensor_proto(array, tf.dtypes.as_dtype(name), array.shape))
        if as_content and name != "string":
            proto.CopyFrom(type(proto)(dtype=proto.dtype, tensor_shape=proto.tensor_shape))
            proto.tensor_content = array.tobytes()
        (output,) = predict(request, timeout=LONG_SECONDS).outputs.values()
        assert len(getattr(output, FIELDS[name])) == array.size * (2 if "complex" in name else 1)
        assert not output.tensor_content
        assert same(tf.make_ndarray(output).reshape(array.shape), array)

    ask()


@pytest.mark.parametrize("name", [*NUMBERS, "string"])
def test_a_tensor_comes_back_over_rest(echo, name):
    session = requests.Session()

    @_few
    @hypothesis.given(array=arrays(name))
    def ask(array):
        sent = array.tolist()
        if name == "string":
            sent = np.vectorize(lambda one: {"b64": base64.b64encode(one).decode().rstrip("=")}, [object])(
                array
            ).tolist()
        body = json.dumps({"signature_name": name, "inputs": sent})
        answer = session.post(f"{echo.url()}:predict", data=body)
        assert answer.status_code == 200, answer.text
        found = answer.json()["outputs"]
        if name == "string":
            found = np.vectorize(lambda one: base64.b64decode(one["b64"]), [object])(np.array(found, object)).tolist()
        assert np.array_equal(np.array(found, array.dtype).ravel(), array.ravel(), name.startswith("float"))
        assert repr(np.shape(found)) == repr(np.shape(sent)), "a list that is empty hides those inside it"

    ask()


@pytest.mark.parametrize("name", NOT_IN_JSON)
def test_types_that_tensorflow_servings_json_lacks(echo, name):
    dtype = BY_NUMPY[np.dtype(getattr(ml_dtypes, name, name))].name
    answer = requests.post(f"{echo.url()}:predict", json={"signature_name": name, "inputs": 1})
    message = f"Conversion of JSON Value: 1 to type: {dtype}"
    assert (answer.status_code, answer.json()) == (501, {"error": message})
    answer = requests.post(f"{echo.url()}:predict", json={"signature_name": f"make_{name}", "inputs": ["a"]})
    message = f"Failed to write JSON value for tensor type: {dtype}"
    assert (answer.status_code, answer.json()) == (400, {"error": message})


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("[0.2, 3, 1e-7, 16777215]", b"[0.2,3.0,1e-7,16777215.0]"),
        ("[NaN, -Infinity, 0.1]", b"[NaN, -Infinity, 0.1]"),
        ("0.30000001192092896", b"0.3"),
    ],
)
def test_a_float_is_the_shortest_text_that_reads_back_as_it(echo, sent, text):
    answer = requests.post(f"{echo.url()}:predict", data=f'{{"signature_name": "float32", "inputs": {sent}}}')
    assert answer.content == b'{"outputs": ' + text + b"}"


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ('{"signature_name": "int32", "inputs": 5}', 5),
        ('{"signature_name": "int32", "inputs": [[[]]]}', [[[]]]),
        ('{"signature_name": "int32", "inputs": 5, "inputs": 6}', 5),
        ('{"signature_name": "string", "inputs": {"b64": "w6 k"}}', {"b64": "w6k="}),
        ('{"signature_name": "string", "inputs": "\xff"}', {"b64": "/w=="}),
        ('{"signature_name": "float64", "inputs": 1180591620717411303424}', 2.0**70),
    ],
)
def test_single_cases(echo, body, outputs):
    answer = requests.post(f"{echo.url()}:predict", data=body.encode("latin-1"))
    assert answer.json() == {"outputs": outputs}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error: The document is empty"),
        (" ", "JSON Parse error: The document is empty. at offset: 1"),
        ("x", "JSON Parse error: Invalid value. at offset: 0"),
        ('{"a": 1 "b"}', "JSON Parse error: Missing a comma or } after an object member. at offset: 8"),
        ('{"a": [1 2]}', "JSON Parse error: Missing a comma or ] after an array element. at offset: 9"),
        ("{} {}", "JSON Parse error: The document root must not be followed by other values. at offset: 3"),
        ('{"signature_name": "float64", "inputs": 1e400}', "JSON Parse error: Number too big to be stored in double."),
        ('{"signature_name": "float64", "inputs": 1%s}' % ("0" * 5000), "Number too big to be stored in double."),
        ('{"signature_name": "int8", "inputs": 128}', "JSON Value: 128 Type: Number is not of expected type: int8"),
        ('{"signature_name": "bool", "inputs": 1}', "JSON Value: 1 Type: Number is not of expected type: bool"),
        (f'{{"signature_name": "float32", "inputs": {"[" * 33}1{"]" * 33}}}', "nest more than 32 deep"),
    ],
)
def test_single_cases_that_are_errors(echo, body, message):
    answer = requests.post(f"{echo.url()}:predict", data=body)
    assert answer.status_code == 400 and message in answer.json()["error"]


def test_typed_values_are_repeated_and_cut_as_tensorflow_does(predict):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "toy", "int64"
    proto = request.inputs["x"]
    proto.dtype = 9
    proto.tensor_shape.dim.add(size=3)
    for values, expected in (([], [0, 0, 0]), ([7], [7, 7, 7]), ([1, 2], [1, 2, 2]), ([1, 2, 3, 4], [1, 2, 3])):
        del proto.int64_val[:]
        proto.int64_val.extend(values)
        assert list(predict(request, timeout=LONG_SECONDS).outputs["x"].int64_val) == expected


@pytest.mark.parametrize("change", [{"tensor_content": b"123"}, {"dtype": 20}, {"dtype": 99}])
def test_what_is_no_tensor_is_an_error(predict, change):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "toy", "int64"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([1], tf.int64))
    for name, value in change.items():
        setattr(request.inputs["x"], name, value)
    with pytest.raises(grpc.RpcError, match="tensor parsing error: x"):
        predict(request, timeout=LONG_SECONDS)


def test_strings_may_come_as_content_and_numbers_be_answered_so(tmp_path):
    module = Echo()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.signatures())
    options = ["--enable_serialization_as_tensor_content"]
    with serving(tmp_path, *options) as server, server.channel() as channel:
        ask = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "toy", "string"
        request.inputs["x"].dtype = 7
        request.inputs["x"].tensor_shape.dim.add(size=2)
        request.inputs["x"].tensor_content = b"\x01\x82\x01a" + b"b" * 130
        assert list(ask(request, timeout=LONG_SECONDS).outputs["x_bytes"].string_val) == [b"a", b"b" * 130]
        request.model_spec.signature_name = "float32"
        request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.5, 2.5]))
        answer = ask(request, timeout=LONG_SECONDS).outputs["x"]
        assert np.frombuffer(answer.tensor_content, np.float32).tolist() == [1.5, 2.5] and not answer.float_val
