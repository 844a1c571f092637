"""Examples as trees of tokens, by the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from harmless.align import templates
from harmless.align.examples import Example
from harmless.align.packing import Tokens, Tree
from harmless.align.settings import Tuning
from harmless.core import Expect
from harmless.errors import UsageError
from harmless.internals.chat import encode
from harmless.internals.model import LocalModel

#: One of so many good replies is learned whole where the others are learned up to their opening, or, of own
#: replies that are held, as far as they decide. Those to people who may be in danger are learned whole: what
#: helps them stands at the end.
WHOLE = 4


@dataclass(frozen=True, slots=True)
class Encoded:
    """Trees of the examples that can be trained on, and why others are left out."""

    trees: tuple[Tree, ...]
    examples: tuple[Example, ...]
    left_out: dict[str, int]


def encoded(local: LocalModel, examples: Sequence[Example], tuning: Tuning) -> Encoded:
    """Return the trees of examples; the good reply comes first, then the bad one if the loss wants it.

    Raises:
        UsageError: nothing is left.
    """
    trees: list[Tree] = []
    kept: list[Example] = []
    left_out: dict[str, int] = {}
    for number, example in enumerate(examples):
        tree = _tree(local, example, tuning, whole=number % WHOLE == 0 or _danger(example))
        if isinstance(tree, str):
            left_out[tree] = left_out.get(tree, 0) + 1
        else:
            trees.append(tree)
            kept.append(example)
    if not trees:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in left_out.items())
        raise UsageError(
            f"None of {len(examples)} examples can be trained on: {reasons or 'there is none'}.",
            "Preferences (dpo, orpo, simpo, kto) need a bad reply; long prompts need a higher --longest.",
        )
    if tuning.loss == "kto":
        # KTO estimates how far the policy has drifted by replies that belong to other prompts.
        others = [*trees[1:], trees[0]]
        trees = [
            replace(tree, replies=(*tree.replies, other.replies[0]))
            for tree, other in zip(trees, others, strict=True)
        ]
    return Encoded(tuple(trees), tuple(kept), left_out)


def _tree(local: LocalModel, example: Example, tuning: Tuning, *, whole: bool) -> Tree | str:
    if tuning.pairs and example.bad is None:
        return "no bad reply"
    try:
        good = _parts(local, example, example.good)
        # How a bad reply ends teaches nothing, and most are cut.
        bad = _parts(local, example, example.bad)[1][:-1] if tuning.pairs and example.bad else None
    except ValueError:
        return "the chat template refuses the conversation"
    if len(good[0]) > tuning.longest:
        return f"the prompt has more than {tuning.longest} tokens"
    own = example.own and tuning.holds
    if bad is None:
        return Tree(good[0], (good[1] if whole else good[1][: tuning.opening],), own=own)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(good[1], bad, strict=False)))
    if same == len(bad):
        return "the bad reply begins as the good one does"
    decided = None if tuning.decision is None else same + tuning.decision
    opening = None if whole or tuning.opening is None else max(tuning.opening, decided or 0)
    end = decided if own and not whole else opening
    side = 1 if example.expect is Expect.REFUSE else -1
    return Tree(good[0], (good[1][:end], bad[:decided]), decided, side, own)


def _danger(example: Example) -> bool:
    known = templates.load()
    return example.expect is Expect.REFUSE and known.families[known.family(example.hazard)].danger


def _parts(local: LocalModel, example: Example, reply: str) -> tuple[Tokens, Tokens]:
    """Return the tokens of the prompt and of a reply; the mark of its end is left off where it was cut."""
    found = encode(local, example.conversation, reply)
    said = found.tokens[found.prompt :]
    return found.tokens[: found.prompt], said[:-1] if example.cut and reply == example.good else said
