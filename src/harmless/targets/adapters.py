"""Folders that ``harmless align`` writes, as targets: which base, and the adapter for llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harmless.errors import BadFileError
from harmless.internals.model import ADAPTER, base_of
from harmless.targets import models

#: The adapter in the form of llama.cpp, beside that of peft.
ADAPTER_GGUF = "adapter.gguf"
#: The base with the adapter merged in.
MERGED_GGUF = "merged-{form}.gguf"


@dataclass(frozen=True, slots=True)
class Adapted:
    """A GGUF model, and the adapter that is put on it if there is one."""

    model: Path
    adapter: Path | None


def adapted(folder: Path) -> Adapted:
    """Return what llama.cpp is to run for a folder that ``harmless align`` wrote.

    Raises:
        BadFileError: the folder holds no adapter in GGUF, or its base is not one that llama.cpp can run.
        UsageError: the bundled model is its base and is not on this machine.
    """
    path = folder / ADAPTER_GGUF
    if not path.is_file():
        raise BadFileError(
            folder,
            "There is no adapter.gguf in this folder.",
            next_step="Write it: harmless align export FOLDER; or use hf:FOLDER.",
        )
    base = base_of(folder) if (folder / ADAPTER).is_file() else "embedded"
    if base == "embedded" or base in models.known_models():
        name = None if base == "embedded" else base
        models.verify(models.locate(name), models.known_model(name))
        return Adapted(models.locate(name), path)
    if Path(base).suffix == ".gguf":
        return Adapted(Path(base), path)
    raise BadFileError(
        folder,
        f"Its base {base} is not a GGUF file, which llama.cpp needs.",
        next_step="Use hf:FOLDER, or run the base as GGUF in llama.cpp with --lora adapter.gguf.",
    )
