"""Adapters for llama.cpp: a GGUF file of the adapter alone, or of the model with the adapter merged in.

A refusal rate does not notice a wrong conversion: the tests compare log-probabilities of torch and llama.cpp.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harmless.errors import BadFileError, MissingExtraError, UsageError
from harmless.internals.model import ADAPTER, first_line
from harmless.targets.adapters import ADAPTER_GGUF

Matrix: TypeAlias = NDArray[np.float32]
Form: TypeAlias = Literal["f16", "q8_0"]

_TENSORS = "adapter_model.safetensors"
_NAMED = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight")
_ROTARY = re.compile(r"blk\.\d+\.attn_(?P<which>[qk])\.weight")


@dataclass(frozen=True, slots=True)
class Kind:
    """How a model of transformers is named in GGUF, and whether rows of q and k change places there.

    llama.cpp's ``llama`` turns neighbouring rows in rotary embeddings, transformers rows half a head apart.
    """

    architecture: str
    permuted: bool


#: By ``model_type`` of transformers.
KINDS = {
    "llama": Kind("llama", True),
    "mistral": Kind("llama", True),
    "qwen2": Kind("qwen2", False),
    "qwen3": Kind("qwen3", False),
}


@dataclass(frozen=True)
class Adapter:
    """A peft adapter: matrices (rank, in) and (out, rank) by GGUF name, scaled by ``alpha / rank``."""

    kind: Kind
    alpha: float
    rank: int
    matrices: Mapping[str, tuple[Matrix, Matrix]]

    @classmethod
    def read(cls, folder: Path, config: Any) -> Adapter:
        """Return the adapter of a peft folder; ``config`` is that of its base model, from transformers.

        Raises:
            UsageError: the base is of a kind that is not known here.
            BadFileError: this is no LoRA adapter, or it has parts that GGUF does not know.
        """
        kind = KINDS.get(config.model_type)
        if kind is None:
            raise UsageError(
                f"Adapters of {config.model_type} models cannot be written as GGUF here.",
                "Use hf:FOLDER, or convert_lora_to_gguf.py of llama.cpp.",
            )
        names, settings = _names(kind, config.num_hidden_layers), _settings(folder)
        sides: dict[str, dict[str, Matrix]] = {}
        for name, values in _tensors(folder).items():
            match = _NAMED.fullmatch(name)
            found = names.get_name(f"{match['module']}.weight", (".weight",)) if match else None
            if match is None or found is None:
                raise BadFileError(folder / _TENSORS, f"GGUF has no place for {name}.")
            sides.setdefault(found, {})[match["side"]] = values
        matrices = {
            name: (pair["A"], _permuted(name, pair["B"], config) if kind.permuted else pair["B"])
            for name, pair in sides.items()
        }
        return cls(kind, float(settings["lora_alpha"]), int(settings["r"]), matrices)

    def change(self, name: str) -> Matrix | None:
        """Return what is added to a weight matrix, (out, in); None where the adapter changes nothing."""
        if name not in self.matrices:
            return None
        down, up = self.matrices[name]
        return np.asarray(self.alpha / self.rank * (up @ down), np.float32)


def write_adapter(folder: Path, config: Any) -> Path:
    """Write the adapter of a peft folder as ``adapter.gguf`` beside it, in float32, and return the path.

    Raises as :meth:`Adapter.read`; MissingExtraError if the package gguf is not installed.
    """
    gguf = _gguf()
    adapter, path = Adapter.read(folder, config), folder / ADAPTER_GGUF
    part = path.with_name(f".{path.name}.part")
    writer = gguf.GGUFWriter(part, adapter.kind.architecture)
    writer.add_type("adapter")
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, adapter.alpha)
    for name, (down, up) in adapter.matrices.items():
        writer.add_tensor(f"{name}.lora_a", np.ascontiguousarray(down))
        writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(up))
    _written(writer)
    part.replace(path)
    return path


def write_merged(folder: Path, config: Any, base: Path, out: Path, form: Form = "f16") -> Path:
    """Write the base GGUF with the adapter merged in, and return the path ``out``.

    Weights that the base holds in fewer bits are widened first; norms stay in float32.

    Args:
        folder: the peft adapter.
        config: of the base, from transformers.
        base: the base as GGUF.
        out: the file to write.
        form: ``f16``, or ``q8_0`` for half the size.

    Raises as :meth:`Adapter.read`; BadFileError if ``base`` is not the adapter's base.
    """
    gguf = _gguf()
    adapter, reader = Adapter.read(folder, config), gguf.GGUFReader(base)
    missing = set(adapter.matrices) - {tensor.name for tensor in reader.tensors}
    if missing:
        raise BadFileError(base, f"It has no {min(missing)}, so it is not the base of {folder}.")
    part = out.with_name(f".{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(part, adapter.kind.architecture)
    _copy_fields(gguf, reader, writer)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if form == "f16" else gguf.LlamaFileType.MOSTLY_Q8_0)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        change = adapter.change(tensor.name)
        values = values if change is None else values + change
        kind = gguf.GGMLQuantizationType[form.upper() if values.ndim > 1 else "F32"]
        writer.add_tensor(tensor.name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    _written(writer)
    part.replace(out)
    return out


def _gguf() -> Any:
    try:
        import gguf
        import gguf.quants
    except ImportError as error:
        raise MissingExtraError("Writing GGUF files", "align") from error
    return gguf


def _names(kind: Kind, layers: int) -> Any:
    gguf = _gguf()
    number = next(n for n, name in gguf.MODEL_ARCH_NAMES.items() if name == kind.architecture)
    return gguf.get_tensor_name_map(number, layers)


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / ADAPTER
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BadFileError(path, f"This is no adapter of peft: {first_line(error)}.") from None
    if found.get("peft_type") != "LORA" or found.get("use_rslora") or found.get("use_dora"):
        raise BadFileError(path, "GGUF knows plain LoRA adapters only.", next_step="Use hf:FOLDER.")
    return found


def _tensors(folder: Path) -> dict[str, Matrix]:
    from safetensors.torch import load_file

    try:
        found = load_file(folder / _TENSORS)
    except (OSError, ValueError) as error:
        raise BadFileError(folder / _TENSORS, f"It cannot be read: {first_line(error)}.") from None
    return {name: values.float().numpy() for name, values in found.items()}


def _permuted(name: str, values: Matrix, config: Any) -> Matrix:
    """Return the rows of q or k in llama.cpp's order."""
    match = _ROTARY.fullmatch(name)
    if match is None:
        return values
    heads = config.num_attention_heads if match["which"] == "q" else config.num_key_value_heads
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _copy_fields(gguf: Any, reader: Any, writer: Any) -> None:
    ours = (gguf.Keys.General.ARCHITECTURE, gguf.Keys.General.FILE_TYPE)
    for field in reader.fields.values():
        if field.name in ours or field.name.startswith("GGUF."):
            continue
        array = field.types[0] == gguf.GGUFValueType.ARRAY
        sub_type = field.types[-1] if array else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub_type)


def _written(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
