"""Open a target's model to view: the bundled one and others, by the names that targets have."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from harmless.errors import BadFileError, UsageError
from harmless.internals.model import ADAPTER, LocalModel, base_of, load
from harmless.targets import models

#: Names the bundled model, as the kind of target that llama.cpp runs does.
BUNDLED = "embedded"


def open_model(spec: str, device: str | None = None) -> LocalModel:
    """Return the model that a spec names, run by torch.

    Args:
        spec: ``embedded``, ``embedded:FOLDER``, ``embedded:FILE.gguf``, ``hf:...``, a GGUF file, a hub id, or
            a folder of a model or of an adapter, whose base may be ``embedded``. The bundled model is
            de-quantised on its first use, which takes most of a minute, and kept in the user's cache
            (540 MB).
        device: ``cpu``, ``gpu`` or a device of torch.

    Raises:
        UsageError: the target is not a model that can be opened, such as an endpoint.
        MissingExtraError, BadFileError, UnreachableError: see :func:`harmless.internals.model.load`.
    """
    kind = spec.partition(":")[0]
    if kind in ("openai", "anthropic", "scripted", "guarded", "defended", "steered"):
        raise UsageError(
            f"The inside of '{spec}' cannot be seen.", "Give embedded, or a local model as hf:FOLDER."
        )
    argument = _argument(spec)
    if _known(argument):
        return replace(load(_folder(argument), device), name=argument)
    adapter = adapter_of(spec)
    base = base_of(adapter) if adapter else ""
    return load(argument, device, base=_folder(base) if _known(base) else None)


def adapter_of(spec: str) -> Path | None:
    """Return the folder of the adapter that a spec names, None if it names a whole model."""
    folder = Path(_argument(spec))
    return folder if (folder / ADAPTER).is_file() else None


def _argument(spec: str) -> str:
    kind, _, rest = spec.partition(":")
    return rest if kind in ("hf", BUNDLED) and rest else spec


def _known(name: str) -> bool:
    return name == BUNDLED or name in models.known_models()


def _folder(name: str) -> str:
    return str(dequantised(None if name == BUNDLED else name))


def dequantised(name: str | None = None) -> Path:
    """Return the folder of a known model in float32, made on the first call.

    Raises:
        UsageError: the model is not on this machine.
        BadFileError: its file is damaged, or the cache cannot be written.
    """
    model, path = models.known_model(name), models.locate(name)
    folder = models.cache_folder() / f"{Path(model.file_name).stem}-float32-{model.sha256[:8]}"
    if folder.is_dir():
        return folder
    models.verify(path, model)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".made-", dir=folder.parent))
    except OSError as error:
        raise BadFileError(
            folder.parent,
            f"The model cannot be stored: {error.strerror}.",
            next_step="Free some space or set XDG_CACHE_HOME to a folder that can be written.",
        ) from None
    try:
        _write(path, scratch)
        if not folder.is_dir():  # another process may have been faster
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _write(path: Path, folder: Path) -> None:
    local = load(str(path), "cpu")
    # transformers refuses to save a model that says it is quantised, which this one no longer is.
    if hasattr(local.model.config, "quantization_config"):
        del local.model.config.quantization_config
    local.model.is_quantized = False
    local.model.hf_quantizer = None
    local.model.save_pretrained(folder)
    local.tokenizer.save_pretrained(folder)
