"""Find the parts of any decoder-only model: its layers, and what stands before its head."""

from __future__ import annotations

from typing import Any

from harmless.errors import UsageError


def bare(model: Any) -> Any:
    """Return the transformers model inside a peft model, or the model itself; adapters stay on."""
    inner = getattr(model, "get_base_model", None)
    return inner() if inner else model


def decoder(model: Any) -> Any:
    """Return the module that maps tokens to the last hidden state, without the head."""
    return bare(model).get_decoder()


def decoder_layers(model: Any) -> list[Any]:
    """Return the decoder's layers, first to last.

    Raises:
        UsageError: no list of layers is found, so the model is no decoder-only transformer.
    """
    import torch

    lists = [each for each in decoder(model).modules() if isinstance(each, torch.nn.ModuleList)]
    count = getattr(model.config, "num_hidden_layers", None)
    fitting = [each for each in lists if len(each) == count]
    if not fitting:
        raise UsageError(
            f"{type(model).__name__} has no list of {count} decoder layers.",
            "Hidden states can be read of decoder-only models, such as Llama, Mistral or Qwen.",
        )
    return list(fitting[0])


def state_of(output: Any) -> Any:
    """Return the hidden states in a layer's output, which is a tensor or a tuple that begins with one."""
    return output[0] if isinstance(output, tuple) else output
