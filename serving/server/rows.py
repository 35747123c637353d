"""Cuts, pads and joins tensors that have the batch along their first dimension."""

from __future__ import annotations

import bisect
from collections.abc import Mapping

import numpy as np

from serving.codec.errors import invalid

Tensors = Mapping[str, np.ndarray]


def row_count(tensors: Tensors) -> int:
    """Rows of each tensor."""
    return len(next(iter(tensors.values())))


def padded(parts: list[Tensors]) -> list[Tensors]:
    """The parts of a batch with rows of one shape, as TensorFlow Serving pads them."""
    shapes = {key: tuple(np.max([part[key].shape[1:] for part in parts], axis=0)) for key in parts[0]}
    return [{key: _padded_to(array, shapes[key]) for key, array in part.items()} for part in parts]


def _padded_to(array: np.ndarray, row: tuple[int, ...]) -> np.ndarray:
    missing = [(0, size - had) for size, had in zip(row, array.shape[1:], strict=True)]
    if not any(after for _, after in missing):
        return array
    if not array.size:
        raise invalid("Got empty tensor in batch of non-empty tensors.")
    return np.pad(array, [(0, 0), *missing], constant_values=array.flat[0])


def cut(tensors: Tensors, rows: int, size: int) -> list[Tensors]:
    """Pieces of at most `size` of the rows."""
    if rows <= size:
        return [tensors]
    return [{key: array[start : start + size] for key, array in tensors.items()} for start in range(0, rows, size)]


def joined(parts: list[Tensors]) -> dict[str, np.ndarray]:
    """All parts' rows, one part after the other."""
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def filled_up(tensors: Tensors, allowed: tuple[int, ...]) -> Tensors:
    """The batch, its last row repeated up to the next allowed size."""
    rows = row_count(tensors)
    place = bisect.bisect_left(allowed, rows)
    if not rows or place == len(allowed):
        return tensors
    missing = allowed[place] - rows
    return {key: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) for key, array in tensors.items()}
