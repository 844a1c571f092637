"""A base in 4 bits for QLoRA (Dettmers et al. 2023), which needs bitsandbytes and, to be of use, a GPU."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from harmless.core import digest
from harmless.errors import MissingExtraError, UsageError
from harmless.internals.model import LocalModel, digest_of, usable


def settings() -> dict[str, Any]:
    """Return what transformers is told: 4-bit NormalFloat, quantised twice, computed in bfloat16."""
    import torch
    from transformers import BitsAndBytesConfig

    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    }


def open_quantised(spec: str, device: str | None = None) -> LocalModel:
    """Return a model in 4 bits.

    Args:
        spec: ``hf:FOLDER`` or ``hf:OWNER/NAME``.
        device: ``cpu``, ``gpu`` or a device of torch; None and ``gpu`` need a GPU. On a CPU each product widens
            the weights first, so that it is only good to try a configuration.

    Raises:
        UsageError: there is no GPU and no other device is named, that is not there, or the target is not a
            folder or hub id of transformers.
        MissingExtraError: bitsandbytes is not installed.
    """
    kind, _, rest = spec.partition(":")
    if kind != "hf" or not rest:
        raise UsageError(
            f"'{spec}' cannot be trained in 4 bits.", "Give hf:FOLDER or hf:OWNER/NAME, or --weights lora."
        )
    try:
        import bitsandbytes  # noqa: F401
        import torch
    except ImportError as error:
        raise MissingExtraError("Training over 4 bits", "qlora") from error
    where = "cuda" if device in (None, "gpu") else str(device)
    if where.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("Training over 4 bits needs a GPU.", "Take --weights lora on this machine.")
    return _opened(rest, usable(where))


def _opened(argument: str, device: str) -> LocalModel:
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(argument)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        argument, dtype=torch.bfloat16, device_map={"": device}, **settings()
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    path, commit = Path(argument), getattr(model.config, "_commit_hash", None)
    weights = digest_of(path) if path.exists() else commit or argument
    name = path.name if path.exists() else argument
    return LocalModel(name, digest(weights, "nf4", version("transformers")), model.eval(), tokenizer, device)
