"""What defences share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import yaml

from harmless.core import Conversation, Guard, Message, Reply, ReplyStatus, Sampling, Target, TargetInfo, digest


class Defence:
    """A target behind a defence; what is not overridden passes unchanged.

    Args:
        name: of the defence; it stands in the name of the target.
        target: what is defended.
        identity: whatever else decides what the target is asked; part of the revision.
        guard: the guard that decides in it, if one does.
    """

    def __init__(self, name: str, target: Target, *identity: object, guard: Guard | None = None) -> None:
        self.target = target
        self._info = target.info.model_copy(
            update={
                "name": f"defended:{name}:{target.info.name}",
                "revision": digest(name, target.info.identity, *identity, guard and guard.info.identity),
                "guarded_by": (*target.info.guarded_by, *(guard.info.families if guard else ())),
                "white_box": False,
            }
        )

    @property
    def info(self) -> TargetInfo:
        """The target's limits; name and revision are of both."""
        return self._info

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return the target's replies."""
        return await self.target.reply(conversations, sampling)

    async def aclose(self) -> None:
        """Close the target."""
        await self.target.aclose()


@cache
def wording() -> dict[str, Any]:
    """Return the texts of ``wording.yaml``."""
    path = resources.files(__package__) / "wording.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def with_last(conversation: Conversation, text: str) -> Conversation:
    """Return the conversation with another last message of the user's; a reply that is begun stays."""
    begun = conversation[-1:] if len(conversation) > 1 and conversation[-1].role == "assistant" else ()
    return (*conversation[: len(conversation) - len(begun) - 1], Message(role="user", content=text), *begun)


def refused(reply: Reply, by: str, cause: str) -> Reply:
    """Return the refusal that stands for ``reply``; it keeps what the reply used."""
    update = {"status": ReplyStatus.BLOCKED, "text": wording()["refusal"], "cause": f"blocked by {by}: {cause}"}
    return reply.model_copy(update=update)
