"""Build the exact input of a guard model from an exchange."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harmless.core import Conversation, Exchange, Message
from harmless.core.completion import ModelInput
from harmless.guards.formats import Criterion, Format, InputFormat, side_of

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
)


def build(
    format: Format, exchange: Exchange, criterion: str = "", *, think: bool = False, policy: str | None = None
) -> ModelInput:
    """Return what the guard model is given for ``exchange``.

    Args:
        format: of the guard model.
        exchange: its reply is judged if it has one, else its last user message.
        criterion: key of the criterion that is asked for, for a model that has criteria.
        think: whether the model shall think first, where it can.
        policy: replaces the text ``policy`` of the format.

    Raises:
        ValueError: the exchange cannot be put in this form; the message says why.
    """
    asked = format.criteria.get(criterion, Criterion())
    values = _values(exchange, asked.context)
    values["criterion"] = {
        "id": criterion,
        "text": asked.text or (asked.prompt if exchange.reply is None else asked.reply),
    }
    values |= {"think": think, **format.texts, **({} if policy is None else {"policy": policy})}
    return _input(asked.input or format.input, values)


def turns(exchange: Exchange) -> Conversation:
    """Return the turns that a guard model judges, the one in question last.

    System messages are left out and so is what stands before the user's first word or, if a prompt is judged,
    after the last; neighbours of the same role are joined, since chat templates want the roles to alternate.

    Raises:
        ValueError: there is no user message.
    """
    said = [turn for turn in exchange.conversation if turn.role != "system"]
    users = [i for i, turn in enumerate(said) if turn.role == "user"]
    if not users:
        raise ValueError("the exchange has no user message")
    said = said[users[0] : None if exchange.reply is not None else users[-1] + 1]
    if exchange.reply is not None:
        said.append(Message(role="assistant", content=exchange.reply))
    joined = said[:1]
    for turn in said[1:]:
        if turn.role == joined[-1].role:
            joined[-1] = Message(role=turn.role, content=f"{joined[-1].content}\n\n{turn.content}")
        else:
            joined.append(turn)
    return tuple(joined)


def _values(exchange: Exchange, needs_context: bool) -> dict[str, Any]:
    context = "\n\n".join(turn.content for turn in exchange.conversation if turn.role == "system")
    if needs_context and not context.strip():
        raise ValueError("no context: this is judged against the system message, and there is none")
    for text in (context, exchange.reply or "", *(turn.content for turn in exchange.conversation)):
        text.encode()
    return {
        "turns": turns(exchange),
        "prompt": exchange.prompt,
        "reply": exchange.reply,
        "side": side_of(exchange.reply),
        "context": context,
    }


def _input(format: InputFormat, values: Mapping[str, Any]) -> ModelInput:
    if format.text is not None:
        return ModelInput(text=_render(format.text, values))
    messages: list[dict[str, Any]] = []
    for each in format.messages:
        if each == "turns":
            messages += [{"role": turn.role, "content": turn.content} for turn in values["turns"]]
        elif not isinstance(each, str) and (content := _render(each.content, values)):
            messages.append({"role": each.role, "content": content})
    if format.parts:
        messages = [{**each, "content": [{"type": "text", "text": each["content"]}]} for each in messages]
    template = {name: _filled(value, values) for name, value in format.template.items()}
    return ModelInput(messages=tuple(messages), template=template)


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    """Return plain data with its templates filled in."""
    if isinstance(value, str):
        return _render(value, values)
    if isinstance(value, list | tuple):
        return [_filled(each, values) for each in value]
    if not isinstance(value, Mapping):
        return value
    if value.keys() != {"json"}:
        return {name: _filled(each, values) for name, each in value.items()}
    try:
        return json.loads(_render(value["json"], values))
    except ValueError:
        raise ValueError("the system message is not the JSON that this model takes") from None


def _render(template: str, values: Mapping[str, Any]) -> str:
    return str(_compiled(template).render(values))


@cache
def _compiled(template: str) -> Any:
    return _ENVIRONMENT.from_string(template)
