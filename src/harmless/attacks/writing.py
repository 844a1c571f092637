"""What attacks share that let a model write: their prompts as data, and the prompt in what was written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import yaml

from harmless.core import Conversation, Message
from harmless.errors import UsageError

_TAGGED = re.compile(r"<prompt>\s*(.+?)\s*(?:</prompt>|\Z)", re.IGNORECASE | re.DOTALL)
#: Characters of a reply that an attacker is shown; enough to see why it was refused.
SHOWN = 600


@cache
def wording(name: str) -> dict[str, Any]:
    """Return what the file ``prompts/NAME.yaml`` holds."""
    path = resources.files(__package__) / "prompts" / f"{name}.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def written_prompt(text: str | None) -> str | None:
    """Return the prompt in what the attacker's model wrote: what stands in tags, else all of it.

    Small models leave the tags out; what they write is then taken as it is, without quotation marks around it.
    """
    if text is None:
        return None
    tagged = _TAGGED.search(text)
    found = (tagged[1] if tagged else re.sub(r"</?prompt>", "", text)).strip().strip('"“”').strip()
    return found or None


def shots(first: str, examples: Sequence[Mapping[str, str]], **filled: str) -> list[str]:
    """Return turns with harmless requests and what is made of them: small models follow examples, not orders.

    Args:
        first: what the attacker's model is told of a request; ``{objective}`` and ``filled`` stand in it.
        examples: ``request`` and ``prompt`` of each.
    """
    return [
        turn
        for each in examples
        for turn in (first.format(objective=each["request"], **filled), as_prompt(each["prompt"]))
    ]


def as_prompt(text: str) -> str:
    """Return a prompt in the tags that the attacker's model is to write it in."""
    return f"<prompt>{text}</prompt>"


def talk(system: str, *turns: str) -> Conversation:
    """Return the conversation with these turns, the user's first, after a system message."""
    roles = ("user", "assistant")
    return (
        Message(role="system", content=system),
        *(Message(role=roles[i % 2], content=turn) for i, turn in enumerate(turns)),
    )


def whole_numbers(attack: str, **values: str) -> tuple[int, ...]:
    """Return the arguments of a spec as numbers above 0; UsageError with the name of the one that is not."""
    for name, value in values.items():
        if not value.isdecimal() or int(value) < 1:
            raise UsageError(f"'{value}' is no {name} for {attack}.", "Give a whole number above 0.")
    return tuple(map(int, values.values()))
