"""``scripted:FILE``: fixed replies by rules, for tests and demos."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import yaml
from anyio.lowlevel import checkpoint
from pydantic import Field, ValidationError, field_validator, model_validator

from harmless.core import Conversation, Reply, ReplyStatus, Sampling, TargetInfo, digest
from harmless.core.model import Model
from harmless.errors import BadFileError
from harmless.targets.options import TargetOptions
from harmless.targets.speech import last_user_message

Answer: TypeAlias = Callable[[Conversation, Sampling], Reply | str]


class Rule(Model):
    """What is answered to which prompts.

    ``match`` is a regular expression looked for in the last user message, ``exact`` that whole message; a
    rule with neither answers everything. ``reply`` is the text, ``status`` and ``cause`` how the reply ended,
    ``delay_s`` seconds until it is there.
    """

    match: str | None = None
    exact: str | None = None
    reply: str = ""
    status: ReplyStatus = ReplyStatus.COMPLETE
    cause: str = ""
    delay_s: float = Field(0.0, ge=0)

    @field_validator("match")
    @classmethod
    def _is_a_pattern(cls, match: str | None) -> str | None:
        try:
            re.compile(match or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return match

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if self.status in (ReplyStatus.COMPLETE, ReplyStatus.TRUNCATED) and not self.reply.strip():
            raise ValueError(f"a rule with status {self.status.value} needs a reply")
        if self.match is not None and self.exact is not None:
            raise ValueError("give match or exact, not both")
        return self

    def answer(self) -> Reply:
        """Return the reply."""
        return Reply(status=self.status, text=self.reply, cause=self.cause, latency_s=self.delay_s)


class ScriptedTarget:
    """Answers by rules, of which the first that matches counts, or by a function.

    Args:
        script: rules, or a function of conversation and sampling that returns a reply or its text.
        name, revision: its identity; the revision of rules is their digest unless given.
        batch_size, concurrency: what it tells the runner.
    """

    def __init__(
        self,
        script: Sequence[Rule] | Answer,
        *,
        name: str = "scripted",
        revision: str | None = None,
        batch_size: int = 1,
        concurrency: int = 4,
    ) -> None:
        self._answer = script if callable(script) else _by_rules(script)
        revision = revision or ("function" if callable(script) else digest(list(script)))
        self._info = TargetInfo(name=name, revision=revision, batch_size=batch_size, concurrency=concurrency)

    @property
    def info(self) -> TargetInfo:
        """Name, revision and limits."""
        return self._info

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return one reply a conversation, in order, after the longest of their delays."""
        replies = [self._one(conversation, sampling) for conversation in conversations]
        delay = max((reply.latency_s for reply in replies), default=0.0)
        await (anyio.sleep(delay) if delay else checkpoint())
        return replies

    async def aclose(self) -> None:
        """Nothing to give back."""

    def _one(self, conversation: Conversation, sampling: Sampling) -> Reply:
        answer = self._answer(conversation, sampling)
        return answer if isinstance(answer, Reply) else Reply(status=ReplyStatus.COMPLETE, text=answer)


def scripted(argument: str, options: TargetOptions) -> ScriptedTarget:
    """Return the target of a file of rules: a YAML or JSON list, or JSONL with a rule a line.

    Raises:
        BadFileError: the file is missing or a rule is wrong; names the line where the format has lines.
    """
    path = Path(argument)
    if not argument:
        raise BadFileError("scripted:", "No file is named.", next_step="Write scripted:FILE.")
    rules = [_rule(path, plain, line, i) for i, (line, plain) in enumerate(_plain_rules(path), 1)]
    if not rules:
        raise BadFileError(path, "There are no rules.", next_step="Write a list of rules.")
    return ScriptedTarget(rules, name=f"scripted:{path.name}", concurrency=options.concurrency or 4)


def _by_rules(rules: Sequence[Rule]) -> Answer:
    table = [(_test(rule), rule.answer()) for rule in rules]
    nothing = Reply.error("no rule of the script matches")

    def answer(conversation: Conversation, _: Sampling) -> Reply:
        prompt = last_user_message(conversation)
        return next((reply for test, reply in table if test(prompt)), nothing)

    return answer


def _test(rule: Rule) -> Callable[[str], object]:
    if rule.exact is not None:
        return rule.exact.__eq__
    return re.compile(rule.match or "").search


def _plain_rules(path: Path) -> Iterator[tuple[int | None, Any]]:
    """Yield (line, rule as plain data); the line is None where the format does not tell it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(path, f"It cannot be read: {error}.", next_step="Check the path.") from None
    if path.suffix.lower() == ".jsonl":
        numbered = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        yield from ((number, _json(path, line, number)) for number, line in numbered)
        return
    try:
        rules = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadFileError.not_yaml(path, error) from None
    if not isinstance(rules, list):
        raise BadFileError(path, "Not a list of rules.", next_step="Begin each rule with '- '.")
    yield from ((None, rule) for rule in rules)


def _json(path: Path, line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise BadFileError(path, f"Not JSON: {error.msg}.", line=number, column=error.colno) from None


def _rule(path: Path, plain: Any, line: int | None, position: int) -> Rule:
    try:
        return Rule.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        what = f"Rule {position}{', ' + place if place else ''}: {first['msg']}."
        known = ", ".join(Rule.model_fields)
        raise BadFileError(path, what, line=line, next_step=f"A rule has {known}.") from None
