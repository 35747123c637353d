"""What a client sends becomes what the data has, by the same rules as reading; and what does not fit is named."""

import pyarrow as pa
import pytest
import tensorflow as tf

from components.recommender_builder.client_inputs import ClientInputs
from models.features.texts import BLANKS, trim

TEXT, WHOLE = tf.string, tf.int64
QUERY = {"user_id": ([None], TEXT), "timestamp": ([None], WHOLE), "device": ([None], TEXT)}
HISTORY = {"history_item_id": ([None, None], TEXT), "history_timestamp": ([None, None], WHOLE)}
ITEMS = {"item_id": ([None, None], TEXT)}


def signature(specs, users=(), items=()):
    """Gives back what it reads, where these ids are known."""
    read = ClientInputs(users, items).before(lambda **inputs: inputs)
    named = {name: tf.TensorSpec(shape, dtype, name=name) for name, (shape, dtype) in specs.items()}
    return tf.function(read, autograph=False).get_concrete_function(**named)


def ids(name, given, **known):
    """What is read of one text."""
    shape = QUERY.get(name, ITEMS.get(name, HISTORY.get(name)))[0]
    specs = {name: (shape, TEXT)}
    if name == "history_item_id":
        specs |= {"history_timestamp": HISTORY["history_timestamp"]}
    values = {one: tf.zeros([1] * len(shape), dtype) for one, (shape, dtype) in specs.items() if dtype == WHOLE}
    found = signature(specs, **known)(**values, **{name: tf.fill([1] * len(shape), given)})
    return found[name].numpy().item().decode()


ODD = ["a", "", " ", "\u00a0a b\u3000", "\ufeff007\t", "\u200bzero width stays", "'a'", "émile\r\n"]
ODD += [BLANKS, f"x{BLANKS}x"]


@pytest.mark.parametrize("name", ["user_id", "item_id", "history_item_id", "device"])
@pytest.mark.parametrize("text", ODD)
def test_blanks_around_a_text_are_none_of_it_as_in_reading(name, text):
    assert ids(name, text) == trim(pa.array([text]))[0].as_py()


NUMBERS = {"7.0": "7", " -12.000 ": "-12", "007.0": "007", "0.0": "0", "7": "7"}
TEXTS = ["7.5", "7.", ".0", "1.0.0", "v1.0", "1e3", "1.0 a", "--1.0", "\u0667.0"]  # The last one's digit is Arabic.


@pytest.mark.parametrize("name", ["user_id", "item_id", "history_item_id"])
@pytest.mark.parametrize(("given", "read"), [*NUMBERS.items(), *((text, text) for text in TEXTS)])
def test_a_whole_number_with_a_fraction_is_the_whole_number(name, given, read):
    assert ids(name, given, users=[b"7", b"a"], items=[b"7.5"]) == read


@pytest.mark.parametrize("known", [b"1.0", b"-3.00"])
def test_where_ids_of_that_form_are_known_they_are_texts(known):
    assert ids("user_id", " 7.0", users=[b"7", known]) == "7.0"
    assert ids("user_id", "7.0", items=[known]) == "7", "users and items have ids of their own"
    for name in ("item_id", "history_item_id"):
        assert ids(name, "7.0", items=[known]) == "7.0"
        assert ids(name, "7.0", users=[known]) == "7"


def test_only_ids_are_taken_for_numbers():
    assert ids("device", "7.0") == "7.0"


SIZES = {"user_id": [2], "timestamp": [2], "device": [2], "history_item_id": [2, 3], "history_timestamp": [2, 3]}
SIZES |= {"item_id": [2, 5]}


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("history_timestamp", [2, 1], "history_item_id and history_timestamp need the same shape"),
        ("history_timestamp", [1, 3], "history_item_id and history_timestamp need the same shape"),
        ("history_item_id", [2, 0], "history_item_id and history_timestamp need the same shape"),
        ("timestamp", [3], "user_id and timestamp need the same number of rows"),
        ("device", [1], "user_id and device need the same number of rows"),
        ("item_id", [1, 5], "user_id and item_id need the same number of rows"),
    ],
)
def test_inputs_that_do_not_fit_each_other_are_both_named(name, size, message):
    specs = QUERY | HISTORY | ITEMS
    call = signature(specs)

    def inputs(sizes):
        return {one: tf.zeros(sizes[one], dtype) for one, (_, dtype) in specs.items()}

    assert call(**inputs(SIZES))["item_id"].shape == [2, 5]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call(**inputs(SIZES | {name: size}))
