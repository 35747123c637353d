"""Text files of messages."""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format

from serving.errors import ServingError


def read_text_format(path: str, message: Any) -> Any:
    """Fills a message from a file; returns it. Raises ServingError if there is none, or it is another message's."""
    name = message.DESCRIPTOR.full_name.replace("recommender.serving.", "tensorflow.serving.")
    try:
        with open(path, encoding="utf-8") as file:
            return text_format.Parse(file.read(), message)
    except OSError as error:
        raise ServingError(f"{path}: {error.strerror}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ServingError(f"{path}: Error parsing text-format {name}: {error}") from error
