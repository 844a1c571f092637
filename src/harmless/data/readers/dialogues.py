"""Dialogues written as one text, and preferences between replies: hh-rlhf, PKU-SafeRLHF, UltraFeedback."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from harmless.core import Conversation, Message
from harmless.data.build import EmptyRowError, build
from harmless.data.catalog import Entry
from harmless.data.fields import Fields, RowError
from harmless.data.rows import Item

_SPEAKER = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def turns_of(text: str) -> Conversation:
    """Return the turns of an hh-rlhf transcript.

    A speaker counts only after a blank line, so ``Human:`` inside a text does not split it. Empty turns are
    dropped; turns of one speaker in a row become one.

    Raises:
        RowError: there is no speaker.
    """
    parts = _SPEAKER.split(text)
    if len(parts) < 3:
        raise RowError("There is no '\\n\\nHuman:' or '\\n\\nAssistant:' in it.", "A transcript is wanted.")
    turns: list[Message] = []
    for speaker, said in zip(parts[1::2], parts[2::2], strict=True):
        role, content = _ROLES[speaker], said.strip()
        if not content:
            continue
        if turns and turns[-1].role == role:
            content = f"{turns.pop().content}\n\n{content}"
        turns.append(Message.model_validate({"role": role, "content": content}))
    return tuple(turns)


def hh_preference(entry: Entry, fields: Fields) -> Iterator[Item]:
    """hh-rlhf: what both dialogues share is the prompt, the rest of each is what was chosen or rejected."""
    chosen, rejected = (turns_of(_text(fields, name)) for name in ("chosen", "rejected"))
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if not prompt or not chosen or not rejected:
        raise EmptyRowError
    yield build(entry, {**fields, "messages": prompt, "chosen": chosen, "rejected": rejected})


def hh_red_team(entry: Entry, fields: Fields) -> Iterator[Item]:
    """hh-rlhf red-team attempts: the conversation up to the attacker's last message, replies included."""
    turns = turns_of(_text(fields, "transcript"))
    last = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=-1)
    if last < 0:
        raise EmptyRowError
    fields.pop("transcript")
    yield build(entry, {**fields, "messages": turns[: last + 1]})


def turns(entry: Entry, fields: Fields) -> Iterator[Item]:
    """A list of the user's texts, one a turn (SORRY-Bench has one); only the first is asked."""
    given = fields.pop("turns")
    if isinstance(given, str) or not given:
        raise RowError("The turns are no list of texts.", "A list with the user's texts is wanted.")
    yield build(entry, {**fields, "text": given[0]})


def pku_preference(entry: Entry, fields: Fields) -> Iterator[Item]:
    """PKU-SafeRLHF: the safer reply is chosen; which one is better is in ``meta["better"]``."""
    replies = [fields.pop("reply_0"), fields.pop("reply_1")]
    safer = str(fields["safer"])
    if safer not in ("0", "1"):
        raise RowError(f"safer_response_id is {safer!r}.", "0 or 1 is wanted.")
    chosen = int(safer)
    yield build(entry, {**fields, "chosen": replies[chosen], "rejected": replies[1 - chosen]})


def ultrafeedback(entry: Entry, fields: Fields) -> Iterator[Item]:
    """UltraFeedback: the completion with the highest overall score against that with the lowest."""
    scored = [(_score(each.get("overall_score")), each.get("response")) for each in fields.pop("completions")]
    known = [(score, reply) for score, reply in scored if not math.isnan(score) and reply]
    if len(known) < 2:
        raise EmptyRowError
    worst, best = min(known, key=lambda pair: pair[0]), max(known, key=lambda pair: pair[0])
    if worst[0] == best[0]:
        raise EmptyRowError
    yield build(entry, {**fields, "chosen": best[1], "rejected": worst[1], "margin": best[0] - worst[0]})


def chat_preference(entry: Entry, fields: Fields) -> Iterator[Item]:
    """Chosen and rejected as whole conversations that begin with the prompt (ultrafeedback_binarized)."""
    for name in ("chosen", "rejected"):
        if isinstance(fields[name], list) and len(fields[name]) > 1:
            fields[name] = fields[name][-1:]
    yield build(entry, fields)


def _text(fields: Fields, name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise RowError(f"'{name}' is {type(value).__name__}.", "A transcript is wanted.")
    return value


def _score(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
