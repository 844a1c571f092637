"""How critics, revisers and judges are asked: the chat in a fence, the request behind it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

import yaml

from harmless.core import Conversation, Sampling, Target
from harmless.guards.llm_judge import replies_of

FENCE = "-----"

_GAP = re.compile(r"\{(\w+)\}")


def chat(conversation: Conversation, reply: str | None = None) -> str:
    """Return a conversation, and the reply to it, as text with the speakers' names."""
    turns = [(turn.role, turn.content) for turn in conversation]
    turns += [("assistant", reply)] if reply is not None else []
    return "\n".join(f"{role.capitalize()}: {_inside(text)}" for role, text in turns)


def wording(name: str, **texts: str) -> str:
    """Return what is asked; ``name`` is a key of ``wording.yaml`` and ``texts`` what is put into it."""
    known = {"fence": FENCE, **texts}
    return _GAP.sub(lambda gap: known[gap[1]], _wordings()[name]).strip()


async def ask_all(target: Target, requests: Sequence[Conversation], sampling: Sampling) -> list[str]:
    """Return the text of each reply, empty for one that failed."""
    replies = await replies_of(target, requests, sampling)
    return [reply.text.strip() if reply.has_text else "" for reply in replies]


def _inside(text: str) -> str:
    return text.replace(FENCE, "----")


@cache
def _wordings() -> dict[str, str]:
    text = resources.files(__package__).joinpath("wording.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))
