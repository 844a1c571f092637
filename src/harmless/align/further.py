"""Aligning what is aligned already: its adapter becomes part of the weights, and is saved with the new one.

Two adapters are one of the sum of their ranks, exactly: ``B1 A1 + B2 A2 = [B1 B2] [A1; A2]``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harmless.errors import UsageError
from harmless.internals.model import ADAPTER, LocalModel

_TENSORS = "adapter_model.safetensors"
_MODULE, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
#: What an adapter may not have, as its matrices would then not say all that it does.
_FURTHER = ("use_dora", "use_rslora", "modules_to_save", "rank_pattern", "alpha_pattern", "fan_in_fan_out")


def merged(local: LocalModel, folder: Path) -> LocalModel:
    """Return a model with the adapter of a folder, which is on it, merged into its weights.

    In bfloat16 the weights are rounded once more: what is trained and what is served then differ by that.

    Raises:
        UsageError: it is no plain LoRA adapter, so that it could not be saved with another one.
    """
    settings = _settings(folder)
    further = [name for name in _FURTHER if settings.get(name)]
    if settings.get("peft_type") != "LORA" or further or settings.get("bias", "none") != "none":
        raise UsageError(
            f"{folder} holds no plain LoRA adapter ({', '.join(further) or settings.get('peft_type')}).",
            "Merge it into its base with peft (merge_and_unload), save that, and align hf:FOLDER of it.",
        )
    return replace(local, model=local.model.merge_and_unload())


def combine(folder: Path, earlier: Path) -> None:
    """Put the adapter of ``earlier`` into that of ``folder``, both as peft saves them.

    A module that only one of them changes gets zeros for the other, as llama.cpp has one rank for all.
    """
    import torch
    from safetensors.torch import load_file, save_file

    parts = [(_settings(each), load_file(each / _TENSORS)) for each in (earlier, folder)]
    ranks = [int(settings["r"]) for settings, _ in parts]
    names = sorted({name.removesuffix(_DOWN) for _, known in parts for name in known if name.endswith(_DOWN)})
    found: dict[str, Any] = {}
    for name in names:
        down, up = _shapes(name, [known for _, known in parts])
        found[name + _DOWN] = torch.zeros(sum(ranks), down)
        found[name + _UP] = torch.zeros(up, sum(ranks))
        for (settings, known), rank, start in zip(parts, ranks, (0, ranks[0]), strict=True):
            if name + _DOWN in known:
                at = slice(start, start + rank)
                found[name + _DOWN][at] = known[name + _DOWN]
                found[name + _UP][:, at] = known[name + _UP] * (settings["lora_alpha"] / rank)
    save_file(found, folder / _TENSORS, metadata={"format": "pt"})
    modules = [name.removeprefix(_MODULE) for name in names]
    settings = parts[1][0] | {"r": sum(ranks), "lora_alpha": sum(ranks), "target_modules": modules}
    (folder / ADAPTER).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _shapes(name: str, parts: list[Mapping[str, Any]]) -> tuple[int, int]:
    """Return how many numbers go into a module and come out of it."""
    known = next(each for each in parts if name + _DOWN in each)
    return known[name + _DOWN].shape[1], known[name + _UP].shape[0]


def _settings(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / ADAPTER).read_text(encoding="utf-8")))
