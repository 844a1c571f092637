"""A causal language model of transformers that is open to view: weights, gradients and hidden states."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harmless.core import digest
from harmless.errors import BadFileError, MissingExtraError, UnreachableError, UsageError

#: What peft writes beside the weights of an adapter.
ADAPTER = "adapter_config.json"

_WEIGHTS = ("*.json", "*.jinja", "*.safetensors", "*.bin", "*.model", "*.gguf")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model in this process.

    ``model`` is a ``transformers`` causal language model (or a ``peft`` model around one) in evaluation mode,
    ``tokenizer`` its tokenizer, which has a chat template; ``revision`` digests its weights and the versions
    of what runs it.
    """

    name: str
    revision: str
    model: Any
    tokenizer: Any
    device: str

    @property
    def context(self) -> int | None:
        """Tokens of the longest conversation, by the model's configuration."""
        found: int | None = getattr(self.model.config, "max_position_embeddings", None)
        return found


def load(argument: str, device: str | None = None, *, base: str | None = None) -> LocalModel:
    """Return the model of a folder, a hub id, a GGUF file, or a peft adapter's folder.

    Args:
        argument: the folder, file or hub id.
        device: ``cpu``, ``gpu`` or a device of torch; None takes a GPU if there is one.
        base: for an adapter, the folder or hub id of its base; None reads it from the adapter.

    Raises:
        MissingExtraError: torch, transformers or, for an adapter, peft is not installed.
        BadFileError: the folder or file is not a model.
        UnreachableError: the hub could not be reached and the model is not in its cache.
        UsageError: the model has no chat template, or the device is not there.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError("A model in torch", "hf") from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    where = usable(device)
    path = Path(argument)
    dtype = torch.float32 if where == "cpu" else "auto"
    adapter = (path / ADAPTER).is_file()
    model, tokenizer = _open(base or base_of(path) if adapter else argument, transformers, dtype)
    commit = getattr(model.config, "_commit_hash", None)
    weights = digest_of(path) if path.exists() else commit or "unknown"
    if adapter:
        weights = digest(weights, _base_digest(base or base_of(path), commit))
        model, tokenizer = _adapted(model, path), _own(path, transformers) or tokenizer
    revision = digest(weights, version("transformers"), version("torch"), where.partition(":")[0])
    name = path.name if path.exists() else argument
    _chat(name, tokenizer)
    return LocalModel(name, revision, model.to(where).eval(), tokenizer, where)


def digest_of(path: Path) -> str:
    """Return the SHA-256 over a model's files, in hex; about a second a gigabyte."""
    files = [path] if path.is_file() else sorted({f for kind in _WEIGHTS for f in path.glob(kind)})
    total = hashlib.sha256()
    for each in files:
        with each.open("rb") as file:
            total.update(f"{each.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def usable(wanted: str | None) -> str:
    """Return the device of torch that is meant, see :func:`load`; UsageError if it is not there."""
    import torch

    if wanted is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    where = "cuda" if wanted == "gpu" else wanted
    try:
        torch.empty(0, device=where)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"torch cannot use the device '{wanted}': {first_line(error)}.",
            "Give --device cpu, or leave it out.",
        ) from None
    return where


def _open(argument: str, transformers: Any, dtype: Any) -> tuple[Any, Any]:
    path = Path(argument)
    where: str = argument
    further: Mapping[str, str] = {}
    if path.suffix == ".gguf":
        where, further = str(path.parent), {"gguf_file": path.name}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, **further)
        model = transformers.AutoModelForCausalLM.from_pretrained(where, dtype=dtype, **further)
    except (OSError, ValueError, ImportError) as error:
        detail = first_line(error)
        if path.exists() or argument.count("/") != 1 or path.suffix == ".gguf":
            raise BadFileError(
                path, f"transformers cannot load it: {detail}", next_step="Give a model folder or a hub id."
            ) from error
        raise UnreachableError(
            f"The model {argument} cannot be fetched: {detail}",
            "Check the name and the network, or give a folder.",
        ) from error
    return model, tokenizer


def base_of(path: Path) -> str:
    """Return what an adapter's folder names as its base model; BadFileError if it names none."""
    try:
        base = json.loads((path / ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (ValueError, KeyError, OSError) as error:
        raise BadFileError(
            path / ADAPTER, f"This names no base model: {first_line(error)}.", next_step="Train it again."
        ) from None
    return str(base)


def _base_digest(base: str, commit: str | None) -> str:
    return digest_of(Path(base)) if Path(base).exists() else commit or base


def _adapted(model: Any, path: Path) -> Any:
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("A model with an adapter", "align") from error
    try:
        return peft.PeftModel.from_pretrained(model, str(path))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise BadFileError(
            path, f"peft cannot put this adapter on: {first_line(error)}", next_step="Check its base model."
        ) from error


def _own(path: Path, transformers: Any) -> Any:
    """Return the tokenizer that lies beside an adapter, if there is one."""
    if not (path / "tokenizer_config.json").is_file():
        return None
    return transformers.AutoTokenizer.from_pretrained(str(path))


def _chat(name: str, tokenizer: Any) -> None:
    if not tokenizer.chat_template:
        raise UsageError(
            f"{name} has no chat template, so it is no chat model.",
            "Choose a model tuned for chat, or put a chat_template into its tokenizer_config.json.",
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, at most 300 characters."""
    return str(error).strip().partition("\n")[0][:300]
