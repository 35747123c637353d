"""The types of tensors: TensorFlow's number and name, NumPy's type, and the field of a TensorProto with the values."""

from __future__ import annotations

from typing import NamedTuple

import ml_dtypes
import numpy as np


class Dtype(NamedTuple):
    """A type.

    Attributes:
      number: TensorFlow's DataType.
      name: as TensorFlow Serving's errors say it.
      numpy: of the arrays; object for strings, which hold bytes.
      field: of TensorProto.
      in_json: whether TensorFlow Serving's REST API has it.
    """

    number: int
    name: str
    numpy: np.dtype
    field: str
    in_json: bool = True

    @property
    def is_string(self) -> bool:
        """Whether it is `string`."""
        return self.name == "string"


_ALL = [
    Dtype(1, "float", np.dtype(np.float32), "float_val"),
    Dtype(2, "double", np.dtype(np.float64), "double_val"),
    Dtype(3, "int32", np.dtype(np.int32), "int_val"),
    Dtype(4, "uint8", np.dtype(np.uint8), "int_val"),
    Dtype(5, "int16", np.dtype(np.int16), "int_val"),
    Dtype(6, "int8", np.dtype(np.int8), "int_val"),
    Dtype(7, "string", np.dtype(object), "string_val"),
    Dtype(8, "complex64", np.dtype(np.complex64), "scomplex_val", False),
    Dtype(9, "int64", np.dtype(np.int64), "int64_val"),
    Dtype(10, "bool", np.dtype(np.bool_), "bool_val"),
    Dtype(14, "bfloat16", np.dtype(ml_dtypes.bfloat16), "half_val", False),
    Dtype(17, "uint16", np.dtype(np.uint16), "int_val", False),
    Dtype(18, "complex128", np.dtype(np.complex128), "dcomplex_val", False),
    Dtype(19, "half", np.dtype(np.float16), "half_val", False),
    Dtype(22, "uint32", np.dtype(np.uint32), "uint32_val"),
    Dtype(23, "uint64", np.dtype(np.uint64), "uint64_val"),
]
BY_NUMBER = {dtype.number: dtype for dtype in _ALL}
BY_NUMPY = {dtype.numpy: dtype for dtype in _ALL}


def of_number(number: int) -> Dtype:
    """The type of a number; one that no request can have is not known further."""
    return BY_NUMBER.get(number, Dtype(number, f"type {number}", np.dtype(np.void), "", False))
