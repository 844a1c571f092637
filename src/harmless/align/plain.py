"""Texts that a model writes when it is asked nothing: what it gives to each next word of them is held.

They are where training, which looks at prompts and replies only, does its damage unseen. The model writes them
itself, each from one random token on (Liu et al. 2023, LLM-QAT): no text has to be brought along, and they are
as what it learned from was.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harmless.align import network
from harmless.align.lora import speaking
from harmless.align.packing import Tokens, Tree, pack
from harmless.align.upper import Upper
from harmless.internals.model import LocalModel

#: How many texts, of how many tokens each.
COUNT, LENGTH = 96, 64
#: Texts that are written at once, and that are looked at in one step of training.
TOGETHER, STEP = 48, 2


class Plain:
    """How far a model with adapters is from the model without them, on texts that this one wrote.

    Args:
        local: the model, with adapters that change nothing yet where the texts are not in ``path``.
        first_layer: the first layer that has an adapter; those below it run once.
        path: where the texts are kept, because a model in training would write others.
        seed: of the texts.
    """

    def __init__(self, local: LocalModel, first_layer: int, path: Path, seed: int) -> None:
        if not path.is_file():
            part = path.with_name(f".{path.name}")
            part.write_text(json.dumps(written(local, seed)), encoding="utf-8")
            part.replace(path)
        texts: list[list[int]] = json.loads(path.read_text(encoding="utf-8"))
        self._local = local
        self._trees = tuple(Tree((text[0],), (tuple(text[1:]),)) for text in texts)
        self._upper = Upper(local, self._trees, first_layer) if first_layer else None
        self._before: dict[int, Any] = {}

    def divergence(self, step: int) -> Any:
        """Return the mean divergence a token, before from now (Kullback-Leibler, nats), with gradient.

        It is that of the texts whose turn it is in this step.
        """
        import torch

        chosen = [(step * STEP + each) % len(self._trees) for each in range(STEP)]
        missing = [i for i in chosen if i not in self._before]
        if missing:
            with torch.no_grad(), speaking(self._local), self._local.model.disable_adapter():
                self._before |= {i: self._states([i]) for i in missing}
        before = network.distributions(self._local, torch.cat([self._before[i] for i in chosen]))
        now = network.distributions(self._local, self._states(chosen))
        return torch.nn.functional.kl_div(now, before, log_target=True, reduction="sum") / len(now)

    def _states(self, chosen: list[int]) -> Any:
        """Return the last hidden states of texts by number, from which their tokens are predicted."""
        if self._upper:
            return self._upper.before_replies(*self._upper.packed(chosen))
        batch = pack([self._trees[i] for i in chosen]).to(self._local.device)
        return network.before_replies(self._local, batch)


def written(local: LocalModel, seed: int, count: int = COUNT, length: int = LENGTH) -> list[Tokens]:
    """Return ``count`` texts of ``length`` tokens that the model writes, sampled as it finds them likely."""
    import torch

    with torch.inference_mode(), torch.random.fork_rng(), speaking(local):
        torch.manual_seed(seed)
        first = torch.randint(len(local.tokenizer), (count, 1), device=local.device)
        rows = [
            local.model.generate(
                input_ids=each,
                attention_mask=torch.ones_like(each),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                min_new_tokens=length - 1,
                max_new_tokens=length - 1,
            )
            for each in first.split(TOGETHER)
        ]
    return [tuple(row) for part in rows for row in part.tolist()]
