"""Classes of protobuf messages from a table of their fields, where no package has the compiled ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"string": _Field.TYPE_STRING, "bytes": _Field.TYPE_BYTES, "int32": _Field.TYPE_INT32}
_SCALARS |= {"int64": _Field.TYPE_INT64, "float": _Field.TYPE_FLOAT, "double": _Field.TYPE_DOUBLE}
_SCALARS |= {"bool": _Field.TYPE_BOOL}

Messages = Mapping[str, Sequence[tuple[str, int, str]]]


def make(package: str, messages: Messages) -> dict[str, Any]:
    """Classes by name. They have a pool of their own, so a process may import the compiled ones, too.

    Args:
      package: of all messages.
      messages: name, number and type of each field, by message; [] repeats a type, and {} is a map of it from strings.
    """
    files = []
    for module in (any_pb2, wrappers_pb2):
        files.append(descriptor_pb2.FileDescriptorProto())
        module.DESCRIPTOR.CopyToProto(files[-1])
    found = message_factory.GetMessages([*files, _file(package, messages)])
    return {name: found[f"{package}.{name}"] for name in messages}


def _file(package: str, messages: Messages) -> descriptor_pb2.FileDescriptorProto:
    dependencies = [any_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name]
    name = f"{package.replace('.', '/')}/messages.proto"
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3", dependency=dependencies)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            if kind.startswith("{}"):
                entry = message.nested_type.add(name=f"{field.title().replace('_', '')}Entry")
                entry.options.map_entry = True
                _add(entry, package, "key", 1, "string")
                _add(entry, package, "value", 2, kind[2:])
                kind = f"[]{name}.{entry.name}"
            _add(message, package, field, number, kind)
    return file


def _add(message: descriptor_pb2.DescriptorProto, package: str, name: str, number: int, kind: str) -> None:
    label = _Field.LABEL_REPEATED if kind.startswith("[]") else _Field.LABEL_OPTIONAL
    kind = kind.removeprefix("[]")
    field = message.field.add(name=name, number=number, label=label, type=_SCALARS.get(kind, _Field.TYPE_MESSAGE))
    if kind not in _SCALARS:
        field.type_name = f".{kind}" if kind.startswith("google.") else f".{package}.{kind}"
