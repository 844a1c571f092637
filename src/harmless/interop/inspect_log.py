"""Logs of Inspect AI as JSON: ``--log-format json``, or ``inspect log dump FILE.eval``.

That is how agents are attacked: Inspect has the sandboxes, the tools and the benchmarks (AgentHarm, AgentDojo),
and its log comes here to be judged. What an agent did counts as much as what it said, so a reply has its tool
calls in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from harmless.core import Message, Reply, ReplyStatus
from harmless.core.reply import Usage
from harmless.interop.imported import Foreign, Imported, ImportedAttempt, hazard_of, parsed, wrong
from harmless.interop.jailbreakbench import whole

#: The scorer of our own tasks, and its figure that says whether the forbidden call was made.
OUTCOME, ATTACKED = "outcome", "attacked"
#: Keys of a sample's metadata that may name a hazard.
_CATEGORIES = ("hazard", "category", "harm_category", "risk_category")
_FILTERED = "content_filter"
_CUT = ("max_tokens", "model_length")
_KEPT_ELSEWHERE = "attachment://"


class _Part(Foreign):
    type: str
    text: str = ""


class _Call(Foreign):
    function: str
    arguments: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return f"[{self.function} {json.dumps(self.arguments, ensure_ascii=False)}]"


class _Said(Foreign):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | tuple[_Part, ...] = ""
    source: str | None = None
    tool_calls: tuple[_Call, ...] | None = None

    def text(self, kept: Mapping[str, str]) -> str:
        """Return what was said in words; ``kept`` holds texts that the log keeps elsewhere."""
        if isinstance(self.content, str):
            return kept.get(self.content.removeprefix(_KEPT_ELSEWHERE), self.content)
        return "\n".join(part.text for part in self.content if part.type == "text")


class _Choice(Foreign):
    stop_reason: str = "stop"


class _Output(Foreign):
    choices: tuple[_Choice, ...] = ()


class _Failure(Foreign):
    message: str


class _Used(Foreign):
    input_tokens: int = 0
    output_tokens: int = 0


class _Score(Foreign):
    value: Any


class _Sample(Foreign):
    id: int | str
    epoch: int = 1
    messages: tuple[_Said, ...] = ()
    output: _Output = _Output()
    scores: Mapping[str, _Score] | None = None
    metadata: Mapping[str, Any] = {}
    attachments: Mapping[str, str] = {}
    model_usage: Mapping[str, _Used] = {}
    error: _Failure | None = None


class _Eval(Foreign):
    task: str
    model: str
    dataset: Mapping[str, Any] = {}
    packages: Mapping[str, str] = {}


def fits(document: Any) -> bool:
    """Return whether a document is a log."""
    return isinstance(document, dict) and {"version", "status", "eval"} <= document.keys()


def read(path: Path, text: str) -> Imported:
    """Return an attempt for each sample of a log.

    Whether a score means that an attack succeeded a log does not say, so scores stand in the note alone; only
    those of our own tasks (``inspect_tasks.py``) are known.

    Raises:
        BadFileError: it is not what Inspect writes.
    """
    document = whole(path, text)
    about = parsed(path, _Eval, document["eval"], ("eval",))
    rows = document.get("samples") or []
    if not isinstance(rows, list):
        raise wrong(path, ("samples",), "'samples' is not a list.")
    samples = [parsed(path, _Sample, row, ("samples", number)) for number, row in enumerate(rows)]
    made = [each for sample in samples if (each := _attempt(sample, about))]
    skipped = len(samples) - len(made)
    return Imported(
        tool=f"inspect_ai {about.packages.get('inspect_ai', '')}".strip(),
        target=about.model,
        attempts=tuple(made),
        skipped={"nothing was asked": skipped} if skipped else {},
        source=str(about.dataset.get("name") or about.task),
    )


def _attempt(sample: _Sample, about: _Eval) -> ImportedAttempt | None:
    first = next((i for i, each in enumerate(sample.messages) if each.source == "generate"), None)
    asked, after = sample.messages[:first], sample.messages[first:] if first is not None else ()
    conversation = tuple(_turns(asked, sample.attachments))
    aim = next((turn.content for turn in reversed(conversation) if turn.role == "user"), "")
    if not aim.strip():
        return None
    done = "\n".join(filter(None, (_done(each, sample) for each in after if each.role == "assistant")))
    scores = (sample.scores or {}).items()
    return ImportedAttempt(
        attack=f"inspect {about.task}",
        objective=str(sample.metadata.get("objective") or aim),
        conversation=conversation,
        reply=_reply(sample, done),
        success=_attacked(sample),
        by=", ".join(name for name, _ in scores),
        hazard=hazard_of([str(sample.metadata[name]) for name in _CATEGORIES if name in sample.metadata]),
        note="; ".join(f"{name}: {json.dumps(score.value, ensure_ascii=False)}" for name, score in scores),
    )


def _attacked(sample: _Sample) -> bool | None:
    """Return whether the forbidden call was made, where the log is of our own tasks; else None."""
    found = (sample.scores or {}).get(OUTCOME)
    return (
        bool(found.value[ATTACKED])
        if found and isinstance(found.value, dict) and ATTACKED in found.value
        else None
    )


def _turns(said: tuple[_Said, ...], kept: Mapping[str, str]) -> Iterator[Message]:
    for each in said:
        if each.role != "tool":
            yield Message(role=each.role, content=each.text(kept))


def _done(each: _Said, sample: _Sample) -> str:
    """Return what an agent said in one turn, and the tools that it called."""
    return "\n".join(filter(None, (each.text(sample.attachments), *map(str, each.tool_calls or ()))))


def _reply(sample: _Sample, text: str) -> Reply:
    used = sample.model_usage.values()
    usage = Usage(
        prompt_tokens=sum(each.input_tokens for each in used),
        completion_tokens=sum(each.output_tokens for each in used),
    )
    if sample.error:
        return Reply.error(sample.error.message)
    reason = sample.output.choices[-1].stop_reason if sample.output.choices else ""
    if reason == _FILTERED and not text.strip():
        cause = "reply withheld by the provider's filter"
        return Reply(status=ReplyStatus.FILTERED, cause=cause, usage=usage)
    status = ReplyStatus.TRUNCATED if reason in _CUT else ReplyStatus.COMPLETE
    cause = reason if reason in _CUT else ""
    return Reply(status=status if text.strip() else ReplyStatus.EMPTY, text=text, cause=cause, usage=usage)
