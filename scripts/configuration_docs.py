"""Writes docs/configuration.md: every key of a configuration, from the settings' own types, defaults and comments.

`make docs`, after a change of a setting.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import textwrap
import tokenize
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic.fields import FieldInfo

from models.settings import Settings
from pipeline.config import Config

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"
_NAMES = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", types.NoneType: "nothing"}
_INTRODUCTION = """\
# Every key of a configuration

Written by `make docs` from the settings in the code; [README.md](../README.md) explains them by examples. On the
command line a key is given by its path, as `--set retrieval.epochs=3`. `NAME` stands for a name of your own.
"""


def page() -> str:
    """The whole text."""
    paths: dict[type[Settings], list[str]] = {}
    for path, settings in _settings_below("", Config):
        paths.setdefault(settings, []).append(path)
    return "\n".join([_INTRODUCTION, *(_section(settings, places) for settings, places in paths.items())])


def _section(settings: type[Settings], paths: list[str]) -> str:
    """What the keys at some paths are, which are of one class."""
    title = ", ".join(f"`{path}`" for path in paths if path) or "At the top"
    if (kind := settings.model_fields.get("kind")) and paths[0].endswith("NAME"):
        title += f": {kind.default}"
    about = inspect.cleandoc(settings.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    rows = "\n".join(_rows(settings))
    text = f"## {title}\n\n{about}\n\n| key | what it takes | default | what it means |\n|---|---|---|---|\n{rows}\n"
    for name, given in _given_by_name(settings):
        text += f"\n`{name}` that are there from the start:\n\n```yaml\n{given}```\n"
    return text


def _settings_below(path: str, settings: type[Settings]) -> Iterator[tuple[str, type[Settings]]]:
    """Each class of settings, and the path of its keys."""
    yield path, settings
    for name, field in settings.model_fields.items():
        is_mapping = typing.get_origin(field.annotation) is dict
        below = ".".join(filter(None, [path, name, "NAME" * is_mapping]))
        for one in _settings_in(field.annotation):
            yield from _settings_below(below, one)


def _given_by_name(settings: type[Settings]) -> Iterator[tuple[str, str]]:
    """Mappings with entries that a configuration need not give, as YAML."""
    fields = settings.model_fields
    names = [name for name, field in fields.items() if field.default == {} and any(_settings_in(field.annotation))]
    if names and not any(field.is_required() for field in fields.values()):
        values = settings().model_dump(include=set(names), exclude_none=True)
        for name in filter(values.get, names):
            yield name, yaml.safe_dump(values[name], sort_keys=False, default_flow_style=None, width=110)


def _rows(settings: type[Settings]) -> Iterator[str]:
    said = _comments(settings)
    for name, field in settings.model_fields.items():
        cells = [f"`{name}`", _type(field.annotation), _default(field), said.get(name, "")]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _settings_in(annotation: Any) -> Iterator[type[Settings]]:
    """Classes of settings that a value is, or holds."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _settings_in(argument)


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(one) for one in arguments if one is not types.NoneType))
    if origin in (list, tuple):
        return f"list of: {_type(arguments[0])}"
    if origin is dict:
        return "by name: " + _type(arguments[1])
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return "keys below"
    return _NAMES.get(annotation, "any value")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "has to be given"
    value = field.get_default(call_default_factory=True)
    return "" if value is None or isinstance(value, Settings) else f"`{json.dumps(value)}`"


def _comments(settings: type[Settings]) -> dict[str, str]:
    """What stands beside or above each field, in the class that declares it."""
    found: dict[str, str] = {}
    for declaring in reversed(settings.__mro__):
        if issubclass(declaring, Settings) and declaring is not Settings:
            found |= _own_comments(declaring)
    return found


def _own_comments(settings: type[Settings]) -> dict[str, str]:
    source = textwrap.dedent(inspect.getsource(settings))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    lines = source.splitlines()
    (declared,) = ast.parse(source).body
    found = {}
    for statement in getattr(declared, "body"):  # noqa: B009
        if not isinstance(statement, ast.AnnAssign):
            continue
        above = []
        line = statement.lineno - 1
        while line in comments and lines[line - 1].lstrip().startswith("#"):
            above.insert(0, comments[line])
            line -= 1
        said = " ".join([*above, comments.get(statement.end_lineno, "")]).strip()
        if said:
            found[ast.unparse(statement.target)] = said
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
