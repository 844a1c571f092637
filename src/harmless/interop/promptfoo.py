"""Results of promptfoo as JSON (``promptfoo eval -o FILE.json``, ``promptfoo export``), versions 2 and 3."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from harmless.core import Conversation, Message, Reply, ReplyStatus, user
from harmless.core.reply import Usage
from harmless.interop.imported import Foreign, Imported, ImportedAttempt, hazard_of, parsed, wrong
from harmless.interop.jailbreakbench import whole

#: ``failureReason``: an assertion failed, the call failed.
_ASSERT, _ERROR = 1, 2


class _Prompt(Foreign):
    raw: str


class _Response(Foreign):
    output: Any = None
    error: str | None = None
    metadata: Mapping[str, Any] = Field(default_factory=dict)


class _Tokens(Foreign):
    prompt: int = 0
    completion: int = 0


class _Provider(Foreign):
    id: str = ""
    label: str | None = None


class _Grade(Foreign):
    score: float | None = None
    assertion: Mapping[str, Any] | None = None


class _Test(Foreign):
    metadata: Mapping[str, Any] | None = None


class _Turn(Foreign):
    prompt: str
    output: str = ""


class _Result(Foreign):
    prompt: _Prompt
    provider: _Provider | str = ""
    response: _Response | None = None
    error: str | None = None
    success: bool
    failureReason: int | None = None  # noqa: N815 - theirs
    latencyMs: float = 0.0  # noqa: N815
    cost: float | None = None
    tokenUsage: _Tokens | None = None  # noqa: N815
    gradingResult: _Grade | None = None  # noqa: N815
    testCase: _Test = _Test()  # noqa: N815
    metadata: Mapping[str, Any] | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What is known of the test and of the reply."""
        response = self.response.metadata if self.response else {}
        return {**(self.testCase.metadata or {}), **(self.metadata or {}), **response}

    @property
    def target(self) -> str:
        if isinstance(self.provider, str):
            return self.provider
        return self.provider.label or self.provider.id


def fits(document: Any) -> bool:
    """Return whether a document holds results of promptfoo."""
    return isinstance(document, dict) and "results" in document and "jailbreaks" not in document


def read(path: Path, text: str) -> Imported:
    """Return the attempts of a results file; a test that passed is no success of the attack.

    Raises:
        BadFileError: it is not what promptfoo writes.
    """
    document = whole(path, text)
    place: tuple[str, ...] = ("results",)
    rows = document["results"]
    if isinstance(rows, dict):
        place, rows = ("results", "results"), rows.get("results")
    if not isinstance(rows, list):
        raise wrong(path, place[:1], "There is no list of results.")
    skipped, made = Counter[str](), list[ImportedAttempt]()
    for number, row in enumerate(rows):
        result = parsed(path, _Result, row, (*place, number))
        conversation = _conversation(result)
        if not conversation:
            skipped["no prompt in words"] += 1
            continue
        made.append(_attempt(result, conversation))
    version = document.get("metadata", {}).get("promptfooVersion", "") if document.get("metadata") else ""
    return Imported(
        tool=f"promptfoo {version}".strip(),
        target="unknown",
        attempts=tuple(made),
        skipped=dict(skipped),
        source="promptfoo",
    )


def _attempt(result: _Result, conversation: Conversation) -> ImportedAttempt:
    about, grade = result.about, result.gradingResult
    judged = result.failureReason != _ERROR and not result.error
    assertion = (grade.assertion or {}).get("type", "") if grade else ""
    made_by = [str(about[key]) for key in ("pluginId", "strategyId") if about.get(key)]
    goal = next((about[key] for key in ("goal", "originalText") if isinstance(about.get(key), str)), "")
    category = str(about.get("harmCategory") or "")
    return ImportedAttempt(
        attack=" ".join(["promptfoo", *made_by]),
        objective=goal.strip() or conversation[-1].content,
        conversation=conversation,
        reply=_reply(result),
        target=result.target,
        success=not result.success if judged else None,
        score=float(not result.success) if judged else None,
        by=str(assertion),
        hazard=hazard_of([category]),
        note=category,
    )


def _conversation(result: _Result) -> Conversation:
    """Return what the reply answers: the turns of a strategy, the final prompt it found, or the prompt."""
    about = result.about
    turns = about.get("redteamHistory")
    if isinstance(turns, list) and turns:
        try:
            history = [_Turn.model_validate(turn) for turn in turns]
        except ValidationError:
            history = []
        said = [
            message
            for turn in history
            for message in (
                Message(role="user", content=turn.prompt),
                Message(role="assistant", content=turn.output),
            )
        ]
        if said:
            return tuple(said[:-1])
    final = about.get("redteamFinalPrompt")
    return _messages(final if isinstance(final, str) and final.strip() else result.prompt.raw)


def _messages(raw: str) -> Conversation:
    """Return a prompt as messages: it may be a chat, written as JSON."""
    if raw.lstrip().startswith("["):
        try:
            turns = tuple(Message.model_validate(turn) for turn in json.loads(raw))
        except (ValueError, TypeError):
            turns = ()
        if turns and turns[-1].role == "user":
            return turns
    return user(raw) if raw.strip() else ()


def _reply(result: _Result) -> Reply:
    response = result.response
    cause = result.error if result.failureReason == _ERROR or response is None else response.error
    if cause or response is None or response.output is None:
        return Reply.error(cause or "no response in the file", result.latencyMs / 1000)
    output = response.output
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    tokens = result.tokenUsage or _Tokens()
    return Reply(
        status=ReplyStatus.COMPLETE if text.strip() else ReplyStatus.EMPTY,
        text=text,
        usage=Usage(prompt_tokens=tokens.prompt, completion_tokens=tokens.completion),
        latency_s=result.latencyMs / 1000,
        cost_usd=result.cost,
    )
