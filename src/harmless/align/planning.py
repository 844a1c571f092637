"""What a training will need, before it begins: memory of one GPU, and time, by the model's configuration.

An estimate by counting (16 bytes a trained weight: value, gradient and both moments of AdamW in float32);
no weights are loaded. Activations are those that stay with gradient checkpointing: the input of each layer, and
one whole layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harmless.align.network import ROOM
from harmless.align.settings import Tuning
from harmless.errors import MissingExtraError

#: Our own pairs and everyday prompts, and the tokens of one of them with both replies.
EXAMPLES, TOKENS = 3600, 70
#: Bytes a weight: 4-bit NormalFloat with its doubly quantised scales, 16 and 32 bits.
NF4, HALF, FULL = 0.516, 2, 4
#: Bytes a trained weight, with its gradient and both moments.
TRAINED = 16
#: What torch, CUDA and fragmentation take, in bytes.
OVERHEAD = 1.5e9
#: Share of a GPU's peak that training by packed batches reaches; in 4 bits each weight is widened first.
SHARE = {"lora": 0.4, "qlora": 0.25, "full": 0.4}
#: Peak of a usual 24 GB GPU in bfloat16, in FLOP/s: an RTX 4090. An RTX 3090 or A10 has less than half.
PEAK = 165e12


@dataclass(frozen=True, slots=True)
class Plan:
    """Bytes by what holds them, and seconds; ``parameters`` of the model, ``trained`` of them."""

    parameters: int
    trained: int
    examples: int
    weights: float
    optimiser: float
    activations: float
    logits: float
    tokens: int
    seconds: float

    @property
    def overhead(self) -> float:
        """Bytes that torch, CUDA and fragmentation take."""
        return OVERHEAD

    @property
    def memory(self) -> float:
        """Bytes in all."""
        return self.weights + self.optimiser + self.activations + self.logits + self.overhead


def plan(config: Any, tuning: Tuning, *, examples: int = EXAMPLES, tokens: int = TOKENS) -> Plan:
    """Return what a training on one GPU will need.

    Args:
        config: of the model, from transformers; see :func:`harmless.align.run.configuration`.
        tuning: how it is trained.
        examples: to train on.
        tokens: of an example on average, with what replies share counted once.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    model = _empty(config)
    total = sum(each.numel() for each in model.parameters())
    head = model.get_input_embeddings().weight.numel() * (1 if config.tie_word_embeddings else 2)
    trained = total if tuning.weights == "full" else _adapters(model, tuning)
    wide = NF4 if tuning.weights == "qlora" else HALF
    weights = (total - head) * wide + head * HALF
    room = ROOM[1]
    width, inner = config.hidden_size, config.intermediate_size
    layer = room * (8 * width + 4 * inner) * HALF + config.num_attention_heads * room**2 * HALF * 3
    activations = config.num_hidden_layers * room * width * HALF + layer
    # Replies are about a third of a pack; logits, their softmax and its gradient are in float32.
    logits = 3 * FULL * room / 3 * config.vocab_size
    seen = int(examples * tokens * tuning.epochs)
    # Forward, forward again by checkpointing, and backward: to inputs for adapters, to weights too for all.
    passes = 3 if tuning.weights != "full" else 4
    reference = 1 if tuning.reference else 0
    work = 2 * (total - head) * (seen * passes + examples * tokens * reference)
    seconds = work / (PEAK * SHARE[tuning.weights])
    return Plan(total, trained, examples, weights, TRAINED * trained, activations, logits, seen, seconds)


def _empty(config: Any) -> Any:
    """Return the model without weights."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError("A plan", "align") from error
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(config)


def _adapters(model: Any, tuning: Tuning) -> int:
    """Return how many weights adapters on every linear layer but the head have."""
    import torch

    head = model.get_output_embeddings()
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    return int(
        (1 - tuning.frozen) * sum(tuning.rank * (each.in_features + each.out_features) for each in linear)
    )
