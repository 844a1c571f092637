"""Write a fine-tuned BERT as a static int8 ONNX graph that scores texts of one length at a time.

Weights of linear layers are uint8 with one scale a column, the input of each linear layer is uint8 with one
scale and zero point that are fixed beforehand (Jacob et al., 2018), embeddings are int8 with one scale a
word; attention and normalisation stay in float32. As nothing is measured at run time and nothing is padded, a
text's score does not depend on the texts beside it. Unsigned weights, since products of signed and unsigned
bytes saturate on processors without VNNI, and scores would differ from machine to machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.errors import MissingExtraError

OPSET, IR = 20, 9
EPSILON = 1e-12
USUAL = 0.98
"""Share of the columns of an input that keep their size."""

Arrays = Mapping[str, NDArray[np.float32]]
Ranges = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Smallest and largest value of each column of the input of each linear layer, over the calibration rows."""


@dataclass(frozen=True)
class Shape:
    """Layers, attention heads, and the longest text in tokens."""

    layers: int
    heads: int
    longest: int


def graph(weights: Arrays, ranges: Ranges, shape: Shape) -> bytes:
    """Return the ONNX model: ``ids`` (texts, tokens) int64 to ``logit`` (texts,) float32.

    Args:
        weights: named as in transformers' ``BertModel``, with ``head.weight`` and ``head.bias`` beside.
        ranges: for each of :func:`inputs`; without ranges the model stays in float32.
        shape: what the names of the weights do not say.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    try:
        from onnx import TensorProto, helper
    except ImportError as cause:
        raise MissingExtraError("Writing an encoder", "train-encoder") from cause
    net = _Net(weights, ranges)
    x = _embedded(net, shape.longest)
    for layer in range(shape.layers):
        x = _layer(net, x, f"encoder.layer.{layer}", shape.heads)
    net.nodes.append(helper.make_node("ReduceMean", [x, net.ints("tokens", [1])], ["pooled"], keepdims=0))
    net.op("MatMul", "pooled", net.constant("head.w", weights["head.weight"].T), out="scored")
    net.op("Add", "scored", net.constant("head.b", weights["head.bias"]), out="shifted")
    net.op("Squeeze", "shifted", net.ints("tokens", [1]), out="logit")
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "tokens"])
    logit = helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["texts"])
    made = helper.make_graph(net.nodes, "encoder", [ids], [logit], list(net.constants.values()))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    return bytes(model.SerializeToString(deterministic=True))


def weights(network: bytes) -> tuple[dict[str, NDArray[np.float32]], int]:
    """Return what :func:`graph` was given, as near as the model has it, and the number of layers.

    Positions hold those that the model reads, with the type of the first sentence added to them.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as cause:
        raise MissingExtraError("Reading an encoder", "train-encoder") from cause
    model = onnx.load_model_from_string(network)
    known = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    found = {
        "embeddings.word_embeddings.weight": known["words"] * known.get("words.steps", np.float32(1)),
        "embeddings.position_embeddings.weight": known["places"],
        "head.weight": known["head.w"].T,
        "head.bias": known["head.b"],
    }
    layers = sum(name.endswith(".qkv.b") for name in known)
    for name in (f"encoder.layer.{layer}" for layer in range(layers)):
        scale = (known[f"{name}.qkv.b"].size / 3 / known["split"][3]) ** -0.25
        weight, bias = _known(known, f"{name}.qkv")
        for place, part in enumerate(("query", "key", "value")):
            size = 1.0 if part == "value" else scale
            found[f"{name}.attention.self.{part}.weight"] = np.split(weight, 3, axis=1)[place].T / size
            found[f"{name}.attention.self.{part}.bias"] = np.split(bias, 3)[place] / size
        for source, module in (("out", "attention.output"), ("up", "intermediate"), ("down", "output")):
            weight, bias = _known(known, f"{name}.{source}")
            found |= {f"{name}.{module}.dense.weight": weight.T, f"{name}.{module}.dense.bias": bias}
    for norm in [name.removesuffix(".gain") for name in known if name.endswith(".gain")]:
        found |= {f"{norm}.weight": known[f"{norm}.gain"], f"{norm}.bias": known[f"{norm}.shift"]}
    return {name: np.asarray(values, np.float32) for name, values in found.items()}, layers


def _known(known: Mapping[str, NDArray[Any]], name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the (inputs, outputs) weight of a linear layer, before it was eased, and its bias."""
    weight = known[f"{name}.w"]
    if f"{name}.steps" in known:
        weight = (weight.astype(np.float32) - 128) * known[f"{name}.steps"] * known[f"{name}.ease"][:, None]
    return weight, known[f"{name}.b"]


def inputs(layers: int) -> dict[str, str]:
    """Return the names of the linear layers whose input has a range, by the module that receives it."""
    parts = {
        "attention.self.query": "qkv",
        "attention.output.dense": "out",
        "intermediate.dense": "up",
        "output.dense": "down",
    }
    return {
        f"encoder.layer.{layer}.{module}": f"encoder.layer.{layer}.{part}"
        for layer in range(layers)
        for module, part in parts.items()
    }


@dataclass
class _Net:
    weights: Arrays
    ranges: Ranges
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)

    def op(self, kind: str, *sources: str, out: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(sources), [out], **attributes))
        return out

    def constant(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.array(values, order="C"), name)
        return name

    def ints(self, name: str, values: list[int]) -> str:
        return self.constant(name, np.array(values, np.int64))

    def linear(self, x: str, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        """Return x @ weight + bias, with (inputs, outputs) weights."""
        shift = self.constant(f"{name}.b", bias)
        if name not in self.ranges:
            made = self.op("MatMul", x, self.constant(f"{name}.w", weight), out=f"{name}.product")
            return self.op("Add", made, shift, out=f"{name}.sum")
        low, high = (np.asarray(edge, np.float32) for edge in self.ranges[name])
        ease = _ease(low, high)
        x = self.op("Mul", x, self.constant(f"{name}.ease", 1 / ease), out=f"{name}.eased")
        weight = weight * ease[:, None]
        least, most = min(float((low / ease).min()), 0.0), max(float((high / ease).max()), 0.0)
        step = max((most - least) / 255, 1e-9)
        fixed = (
            self.constant(f"{name}.step", np.array(step, np.float32)),
            self.constant(f"{name}.zero", np.array(round(-least / step), np.uint8)),
        )
        whole = self.op("QuantizeLinear", x, *fixed, out=f"{name}.whole")
        near = self.op("DequantizeLinear", whole, *fixed, out=f"{name}.near")
        steps = np.maximum(np.abs(weight).max(axis=0) / 127, 1e-9).astype(np.float32)
        level = (np.rint(weight / steps) + 128).astype(np.uint8)
        columns = self.op(
            "DequantizeLinear",
            self.constant(f"{name}.w", level),
            self.constant(f"{name}.steps", steps),
            self.constant(f"{name}.middle", np.full(len(steps), 128, np.uint8)),
            out=f"{name}.weight",
            axis=1,
        )
        made = self.op("MatMul", near, columns, out=f"{name}.product")
        return self.op("Add", made, shift, out=f"{name}.sum")

    def normalised(self, x: str, name: str) -> str:
        gain = self.constant(f"{name}.gain", self.weights[f"{name}.weight"])
        shift = self.constant(f"{name}.shift", self.weights[f"{name}.bias"])
        return self.op("LayerNormalization", x, gain, shift, out=f"{name}.out", axis=-1, epsilon=EPSILON)


def _ease(low: NDArray[np.float32], high: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return by what each column of an input is divided, and its weights multiplied (after SmoothQuant, 2023).

    A few columns of BERT's activations are ten times as large as the others and would take most of the steps.
    """
    most = np.maximum(np.abs(low), np.abs(high))
    return np.asarray(np.maximum(most / max(float(np.quantile(most, USUAL)), 1e-6), 1), np.float32)


def _embedded(net: _Net, longest: int) -> str:
    table = net.weights["embeddings.word_embeddings.weight"]
    places = net.weights["embeddings.position_embeddings.weight"][:longest]
    places = places + net.weights["embeddings.token_type_embeddings.weight"][0]
    if net.ranges:
        steps = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127, 1e-9).astype(np.float32)
        whole = net.op("Gather", net.constant("words", np.rint(table / steps).astype(np.int8)), "ids", out="w0")
        sizes = net.op("Gather", net.constant("words.steps", steps), "ids", out="w1")
        words = net.op("Mul", net.op("Cast", whole, out="w2", to=1), sizes, out="w3")
    else:
        words = net.op("Gather", net.constant("words", table), "ids", out="w3")
    length = net.op("Slice", net.op("Shape", "ids", out="p0"), *_edges(net), out="p1")
    first = net.ints("first", [0])
    used = net.op("Slice", net.constant("places", places), first, length, first, out="p2")
    return net.normalised(net.op("Add", words, used, out="e0"), "embeddings.LayerNorm")


def _edges(net: _Net) -> tuple[str, str, str]:
    return net.ints("tokens", [1]), net.ints("end", [2]), net.ints("first", [0])


def _layer(net: _Net, x: str, name: str, heads: int) -> str:
    w = net.weights
    own = f"{name}.attention.self"
    width = w[f"{own}.query.weight"].shape[0]
    scale = (width / heads) ** -0.25  # on queries and keys alike, so that neither has a range of its own
    parts = [(w[f"{own}.{part}.weight"].T, w[f"{own}.{part}.bias"]) for part in ("query", "key", "value")]
    sizes = (scale, scale, 1.0)
    weight = np.concatenate([m * s for (m, _), s in zip(parts, sizes, strict=True)], axis=1)
    bias = np.concatenate([b * s for (_, b), s in zip(parts, sizes, strict=True)])
    joined = net.linear(x, f"{name}.qkv", weight.astype(np.float32), bias.astype(np.float32))
    split = net.op("Reshape", joined, net.ints("split", [0, 0, 3, heads, width // heads]), out=f"{name}.split")
    turned = net.op("Transpose", split, out=f"{name}.turned", perm=[2, 0, 3, 1, 4])
    q, k, v = (
        net.op("Gather", turned, net.constant(f"part{i}", np.array(i, np.int64)), out=f"{name}.{i}", axis=0)
        for i in range(3)
    )
    likeness = net.op(
        "MatMul", q, net.op("Transpose", k, out=f"{name}.kt", perm=[0, 1, 3, 2]), out=f"{name}.qk"
    )
    attention = net.op("Softmax", likeness, out=f"{name}.attention", axis=-1)
    mixed = net.op("MatMul", attention, v, out=f"{name}.mixed")
    back = net.op("Transpose", mixed, out=f"{name}.back", perm=[0, 2, 1, 3])
    flat = net.op("Reshape", back, net.ints("flat", [0, 0, width]), out=f"{name}.flat")
    attended = _dense(net, flat, f"{name}.out", f"{name}.attention.output.dense")
    x = net.normalised(net.op("Add", x, attended, out=f"{name}.r1"), f"{name}.attention.output.LayerNorm")
    up = _dense(net, x, f"{name}.up", f"{name}.intermediate.dense")
    down = _dense(net, net.op("Gelu", up, out=f"{name}.gelu"), f"{name}.down", f"{name}.output.dense")
    return net.normalised(net.op("Add", x, down, out=f"{name}.r2"), f"{name}.output.LayerNorm")


def _dense(net: _Net, x: str, name: str, source: str) -> str:
    return net.linear(x, name, net.weights[f"{source}.weight"].T, net.weights[f"{source}.bias"])
