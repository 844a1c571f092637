"""What a training has reached, on disk, so that a killed one goes on exactly where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harmless.align.lora import parameters
from harmless.errors import BadFileError, UsageError
from harmless.internals.model import LocalModel, first_line

_STATE, _TENSORS, _OPTIMISER = "state.json", "weights.safetensors", "optimiser.pt"


@dataclass
class Progress:
    """Where a training is.

    Attributes:
        key: digest of settings, data and base; another training may not go on from here.
        steps: how many there are to be.
        step: how many are done.
        best: the best development figure so far, and at which step; None before the first.
        history: what was measured, a mapping each time.
        seconds: time spent in steps so far.
        line: by how much preferences are trained against refusing, in nats; see
            :class:`harmless.align.frontier.Leaning`.
    """

    key: str
    steps: int
    step: int = 0
    best: tuple[float, int] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    line: float = 0.0


def save(folder: Path, local: LocalModel, optimiser: Any, progress: Progress) -> None:
    """Write a checkpoint in place of the one before; a kill leaves one of the two, whole.

    Raises:
        UsageError: it cannot be written.
    """
    import torch
    from safetensors.torch import save_file

    part, old = folder.with_name(f"{folder.name}.part"), folder.with_name(f"{folder.name}.old")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_file(_weights(local), part / _TENSORS)
        torch.save(optimiser.state_dict(), part / _OPTIMISER)
        (part / _STATE).write_text(json.dumps(asdict(progress), indent=1), encoding="utf-8")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"The checkpoint cannot be written to {folder}: {error.strerror or error}.",
            "Free some space, or choose another --out; the same command then goes on.",
        ) from error


def restore(folder: Path, local: LocalModel, optimiser: Any, key: str) -> Progress | None:
    """Put a checkpoint back into the model and its optimiser; return where it was, None if there is none.

    Raises:
        UsageError: the checkpoint is of another training.
        BadFileError: it is damaged.
    """
    import torch
    from safetensors.torch import load_file

    old = folder.with_name(f"{folder.name}.old")
    if not folder.exists() and old.exists():  # killed between two renames
        old.rename(folder)
    if not (folder / _STATE).is_file():
        return None
    try:
        fields = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        if fields["key"] != key:
            raise UsageError(
                f"{folder.parent} holds a training with other settings, data or base.",
                "Give the command that began it, or another --out.",
            )
        put(local, load_file(folder / _TENSORS))
        optimiser.load_state_dict(torch.load(folder / _OPTIMISER, weights_only=True))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BadFileError(
            folder, f"The checkpoint is damaged: {first_line(error)}.", next_step="Remove it to begin anew."
        ) from error
    best = fields.pop("best")
    return Progress(best=tuple(best) if best else None, **fields)


def put(local: LocalModel, weights: Mapping[str, Any]) -> None:
    """Copy weights into the parameters that are trained, by name; KeyError if one is missing."""
    import torch

    with torch.no_grad():
        for name, parameter in parameters(local).items():
            parameter.copy_(weights[name])


def keep_best(path: Path, local: LocalModel) -> None:
    """Write the trained weights to a file, whole or not at all."""
    from safetensors.torch import save_file

    part = path.with_name(f"{path.name}.part")
    save_file(_weights(local), part)
    part.replace(path)


def take_best(path: Path, local: LocalModel) -> bool:
    """Put the best weights back, if there are any, and return whether there were."""
    from safetensors.torch import load_file

    if path.is_file():
        put(local, load_file(path))
    return path.is_file()


def _weights(local: LocalModel) -> dict[str, Any]:
    return {name: each.detach().cpu().contiguous() for name, each in parameters(local).items()}
