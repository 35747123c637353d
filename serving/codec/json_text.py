"""JSON as TensorFlow Serving's parser reads it, and as its errors quote it."""

from __future__ import annotations

import json
import re
from typing import Any

import grpc

from serving.codec.errors import RequestError, invalid

_TOO_BIG = "Number too big to be stored in double."
_MESSAGES = [  # Of Python's parser, with rapidjson's words for the same.
    ("Extra data", "The document root must not be followed by other values."),
    ("Expecting property name", "Missing a name for object member."),
    ("Expecting ':' delimiter", "Missing a colon after a name of object member."),
    ("Expecting ',' delimiter", "Missing a comma or ] after an array element."),
    ("Unterminated string", "Missing a closing quotation mark in string."),
    ("Invalid control character", "Invalid encoding in string."),
    ("Invalid \\escape", "Invalid escape character in string."),
    ("Invalid \\uXXXX escape", "Incorrect hex digit after \\u escape in string."),
    ("Exceeds the limit", _TOO_BIG),
]
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_QUOTED_CHARACTERS = 1000  # Of a value in an error.
_DOUBLE = range(-(1 << 63), 1 << 64)  # An integer outside of these is read as a double.


def parse(raw: bytes) -> dict[str, Any]:
    """The object of a body; the first of two equal keys counts.

    Raises:
      RequestError: it is no JSON, or no object.
      RecursionError: it nests too deeply for this thread.
    """
    if not raw:
        raise invalid("JSON Parse error: The document is empty")
    text = raw.decode("utf-8-sig", "surrogateescape")
    try:
        body = json.loads(text, object_pairs_hook=_first_counts)
    except ValueError as error:
        raise invalid(f"JSON Parse error: {_words(error, text)}") from error
    if not isinstance(body, dict):
        raise invalid(f"JSON Value: {quoted(body)} Is not object")
    return body


def _first_counts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else dict(reversed(pairs))


def _words(error: ValueError, text: str) -> str:
    place = getattr(error, "pos", 0)
    words = next((words for start, words in _MESSAGES if str(error).startswith(start)), "Invalid value.")
    if not text.strip():
        words = "The document is empty."
    elif words.startswith("Missing a comma") and _in_object(text[:place]):
        words = "Missing a comma or } after an object member."
    return f"{words} at offset: {len(text[:place].encode('utf-8', 'surrogateescape'))}"


def _in_object(text: str) -> bool:
    """Whether the innermost bracket that is open at the end of a text is a brace."""
    open_brackets = []
    for character in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        if character in "[{":
            open_brackets.append(character)
        elif open_brackets:
            open_brackets.pop()
    return bool(open_brackets) and open_brackets[-1] == "{"


def number(value: int | float) -> int | float:
    """A number as TensorFlow Serving's parser holds it. Raises RequestError for an integer larger than any double."""
    if isinstance(value, float) or value in _DOUBLE:
        return value
    try:
        return float(value)
    except OverflowError:
        raise too_big() from None


def too_big() -> RequestError:
    return invalid(f"JSON Parse error: {_TOO_BIG}")


def has_infinity(raw: bytes) -> bool:
    """Whether a body says an infinity; one that was read from any other body was a number too big for a double."""
    return b"Infinity" in raw


def kind(value: Any) -> str:
    """The type of a JSON value, as TensorFlow Serving's errors say it."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    kinds: dict[type, str] = {dict: "Object", list: "Array", str: "String"}
    return kinds.get(type(value), "Number")


def quoted(value: Any) -> str:
    """A JSON value in an error: as TensorFlow Serving prints it, but not more than fits a screen."""
    pieces: list[str] = []
    length = 0
    try:
        for piece in json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value):
            pieces.append(piece)
            length += len(piece)
            if length > _QUOTED_CHARACTERS:
                return "".join(pieces)[:_QUOTED_CHARACTERS] + "…"
    except RecursionError:
        return "…"
    return "".join(pieces)


def signature_name(body: dict[str, Any]) -> str:
    """The signature that a body asks for, "" where it does not. Raises RequestError if that is no text."""
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise malformed(body, "not formatted correctly. 'signature_name' key must be a string value.")
    return clean(name)


def clean(text: str) -> str:
    """A text as a message can hold it: what is no Unicode is replaced."""
    return text.encode("utf-8", "replace").decode()


def malformed(value: Any, what: str) -> RequestError:
    return invalid(f"JSON Value: {quoted(value)} {what}")


def unimplemented(value: Any, dtype_name: str) -> RequestError:
    message = f"Conversion of JSON Value: {quoted(value)} to type: {dtype_name}"
    return RequestError(grpc.StatusCode.UNIMPLEMENTED, message)
