"""What of a model is trained: low-rank adapters, the same over a base in 4 bits, or all weights."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from harmless.align.settings import Tuning
from harmless.errors import MissingExtraError
from harmless.internals.layers import decoder_layers
from harmless.internals.model import LocalModel

#: Every linear layer but the head (Dettmers et al. 2023: adapters on all of them match full fine-tuning).
TARGETS = "all-linear"


def trainable(local: LocalModel, tuning: Tuning) -> LocalModel:
    """Return the model with what ``tuning`` trains, and nothing else, open to gradients.

    Adapters are new and change nothing yet; their first values follow from the seed.

    Raises:
        MissingExtraError: peft is not installed.
    """
    import torch

    model = local.model
    torch.manual_seed(tuning.seed)
    if tuning.weights == "full":
        model.requires_grad_(True)
        return local
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("Training adapters", "align") from error
    if tuning.weights == "qlora":
        # What this would do beside, casting norms to float32, costs memory that 24 GB do not have to spare.
        model.requires_grad_(False)
    config = peft.LoraConfig(
        r=tuning.rank,
        lora_alpha=tuning.alpha,
        target_modules=_targets(local, tuning),
        task_type="CAUSAL_LM",
    )
    return replace(local, model=with_adapters(model, config))


def with_adapters(model: Any, config: Any) -> Any:
    """Return the model with adapters as peft's ``config`` says."""
    import peft

    with warnings.catch_warnings():
        # peft asks transformers by a name that it will drop.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return peft.get_peft_model(model, config)


def spare_memory(local: LocalModel) -> None:
    """Compute activations again in the backward pass rather than keep them, which a GPU has no room for."""
    local.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    local.model.enable_input_require_grads()


def parameters(local: LocalModel) -> dict[str, Any]:
    """Return the parameters that are trained, by name."""
    return {name: each for name, each in local.model.named_parameters() if each.requires_grad}


@contextmanager
def speaking(local: LocalModel) -> Iterator[None]:
    """Put the model into evaluation mode while the block runs."""
    was = local.model.training
    local.model.eval()
    try:
        yield
    finally:
        local.model.train(was)


def first_trained(local: LocalModel, tuning: Tuning) -> int:
    """Return the number of the first layer that gets an adapter; 0 where all are trained."""
    return 0 if tuning.weights == "full" else int(tuning.frozen * len(decoder_layers(local.model)))


def _targets(local: LocalModel, tuning: Tuning) -> str | list[str]:
    """Return which modules get an adapter, by name."""
    import torch

    first = first_trained(local, tuning)
    if not first:
        return TARGETS
    upper = {id(module) for layer in decoder_layers(local.model)[first:] for module in layer.modules()}
    modules = local.model.named_modules()
    return [name for name, each in modules if isinstance(each, torch.nn.Linear) and id(each) in upper]
