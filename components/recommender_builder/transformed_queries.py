"""What Transform made, for the few columns of a query."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import tensorflow as tf
import tensorflow_transform as tft


class TransformOfQueries(tf.Module):
    """Raw [B] columns to those of model features, by the part of Transform's graph that these depend on.

    TFT's own layer runs the whole graph, with empty columns for what is not given.

    Args:
      transform: what Transform made.
      names: the model features.
    """

    def __init__(self, transform: tft.TFTransformOutput, names: Sequence[str]):
        super().__init__()
        self._loaded = tf.saved_model.load(transform.transform_savedmodel_dir)  # With the tables, which it keeps.
        function = self._loaded.transform_fn
        (columns,), _ = function.structured_input_signature
        inside = function.inputs[: len(tf.nest.flatten(columns, expand_composites=True))]
        self._columns = tf.nest.pack_sequence_as(columns, inside, expand_composites=True)
        outputs = tf.nest.pack_sequence_as(function.structured_outputs, function.outputs, expand_composites=True)
        self._outputs = {name: outputs[name].values for name in names}
        self._graph = function.graph
        self._part = _part(self._graph, [values.op for values in self._outputs.values()])

    @functools.partial(tf.function, autograph=False)
    def __call__(self, raw: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        given = {inside.name: _in_this_graph(outside) for outside, inside in self._graph.captures}
        for name, values in raw.items():
            rows = tf.range(tf.size(values, tf.int64), dtype=tf.int64)
            column = tf.SparseTensor(tf.stack([rows, tf.zeros_like(rows)], 1), values, [tf.size(values, tf.int64), 1])
            pairs = zip(
                *(tf.nest.flatten(of, expand_composites=True) for of in (self._columns[name], column)), strict=True
            )
            given |= {inside.name: outside for inside, outside in pairs}
        there = {node.name for node in self._part.node}
        given = {name: tensor for name, tensor in given.items() if name.split(":")[0] in there}
        outputs = [values.name for values in self._outputs.values()]
        found = tf.graph_util.import_graph_def(self._part, given, outputs)
        return {name: tf.reshape(values, [-1]) for name, values in zip(self._outputs, found, strict=True)}


def _part(graph: tf.Graph, outputs: Sequence[tf.Operation]) -> tf.compat.v1.GraphDef:
    """The operations that outputs are computed from. Others are held only by control edges, so these are left out."""
    needed, left = {}, list(outputs)
    while left:
        operation = left.pop()
        if operation.name not in needed:
            needed[operation.name] = operation
            left += [tensor.op for tensor in operation.inputs]
    part = tf.compat.v1.GraphDef()
    part.CopyFrom(graph.as_graph_def())
    del part.node[:]
    for operation in needed.values():
        node = part.node.add()
        node.CopyFrom(operation.node_def)
        node.input[:] = [name for name in node.input if not name.startswith("^")]
    return part


def _in_this_graph(tensor: tf.Tensor) -> tf.Tensor:
    return tf.compat.v1.get_default_graph().capture(tensor)
