"""Guard models: language models that are trained or told to judge, run through any target.

``llama_guard_3(openai:meta-llama/Llama-Guard-3-8B)`` is a guard of ``prompts/*.yaml`` and the target that
serves its model. Further arguments are options: those of targets (``base_url=http://localhost:8000/v1``) and
those of :class:`Wishes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from harmless import targets
from harmless.core import (
    Completion,
    CompletionTarget,
    Exchange,
    Finding,
    GuardInfo,
    Message,
    ModelInput,
    Outcome,
    Reply,
    ReplyStatus,
    Sampling,
    Target,
    Verdict,
    digest,
)
from harmless.core.model import Model
from harmless.errors import BadFileError, UnknownNameError, UsageError
from harmless.guards import formats
from harmless.guards.formats import Format, side_of
from harmless.guards.parsers import Reading
from harmless.guards.templates import build

#: Exchanges in one call; the target has its own limit of what is under way.
BATCH = 64
#: Room for the prompt of a guard and a conversation; more for a local model costs memory.
LOCAL_CONTEXT = 8192


class Wishes(Model):
    """How a guard model is to be used.

    Args:
        criteria: what it is asked for, of the criteria it has; empty means its default.
        think: whether it thinks before it answers, where it can.
        policy: text in place of the categories in its prompt, where it has them there.
        logprobs: likely tokens to ask for, for servers that allow fewer than the guard wants; 0 for none.
    """

    criteria: tuple[str, ...] = ()
    think: bool = False
    policy: str | None = None
    logprobs: int | None = Field(None, ge=0)


class LMGuard:
    """Judges with a guard model.

    Args:
        format: how the model is asked and read.
        target: serves the model.
        wishes: what else the user wants.

    Raises:
        UsageError: the target cannot take this model's input, or a wish does not fit the model.
    """

    def __init__(self, format: Format, target: Target, wishes: Wishes | None = None) -> None:
        self._format, self._target, self._wishes = format, target, wishes or Wishes()
        self._criteria = _criteria(format, self._wishes)
        if not format.input.plain and not isinstance(target, CompletionTarget):
            raise UsageError(
                f"{target.info.name} cannot be given the exact input of {format.name}.",
                "Serve it by openai: (any compatible endpoint that takes it), hf: or embedded:.",
            )
        top, think = self._wishes.logprobs, self._wishes.think
        self._top = format.decoding.top_logprobs if top is None else min(top, format.decoding.top_logprobs)
        limit = format.decoding.think_max_tokens if think else format.decoding.max_tokens
        self._sampling = Sampling(temperature=0, max_tokens=limit or format.decoding.max_tokens)
        self._info = GuardInfo(
            name=format.name,
            revision=digest(format, target.info.identity, self._wishes, self._top),
            sees=_sees(format, self._criteria),
            threshold=format.threshold,
            hazards=format.hazards,
            licence=format.licence,
            needs=(f"model {' or '.join(format.hub)}",),
            leaves_machine=getattr(target, "leaves_machine", False),
            batch_size=BATCH,
        )

    @property
    def info(self) -> GuardInfo:
        """Name, revision (of format, model and wishes) and what it covers."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; what cannot be asked or read is unassessed, for a cause."""
        asked: dict[tuple[int, str], ModelInput] = {}
        found: dict[tuple[int, str], Verdict] = {}
        for i, exchange in enumerate(exchanges):
            for criterion in self._criteria:
                try:
                    asked[i, criterion] = self._input(exchange, criterion)
                except ValueError as error:
                    found[i, criterion] = Verdict.unassessed(f"{self._info.name}: {error}")
        completions = await self._complete(list(asked.values()))
        for (i, criterion), completion in zip(asked, completions, strict=True):
            found[i, criterion] = self._verdict(completion, exchanges[i], criterion)
        return [_together({c: found[i, c] for c in self._criteria}) for i in range(len(exchanges))]

    async def aclose(self) -> None:
        """Give back what the target holds."""
        await self._target.aclose()

    def _input(self, exchange: Exchange, criterion: str) -> ModelInput:
        sees, side = _sees(self._format, (criterion,)), side_of(exchange.reply)
        if sees not in (side, "both"):
            what = f"{criterion} is a matter of" if criterion else "it judges"
            raise ValueError(f"{what} {'prompts' if sees == 'prompt' else 'replies'} only")
        wishes = self._wishes
        return build(self._format, exchange, criterion, think=wishes.think, policy=wishes.policy)

    async def _complete(self, inputs: Sequence[ModelInput]) -> list[Completion]:
        """Return one completion an input; if the target breaks, only the inputs that break it are lost."""
        if not inputs:
            return []
        try:
            return await self._ask(inputs)
        except Exception as error:  # whatever a target of others raises must not cost the whole batch
            if len(inputs) == 1:
                return [Completion.of(Reply.error(f"{type(error).__name__}: {error}"))]
            return [completion for each in inputs for completion in await self._complete([each])]

    async def _ask(self, inputs: Sequence[ModelInput]) -> list[Completion]:
        if isinstance(self._target, CompletionTarget):
            return await self._target.complete(inputs, self._sampling, self._top)
        lines = [each.messages for each in inputs]
        conversations = [tuple(Message.model_validate(dict(line)) for line in each) for each in lines]
        return [Completion.of(reply) for reply in await self._target.reply(conversations, self._sampling)]

    def _verdict(self, completion: Completion, exchange: Exchange, criterion: str) -> Verdict:
        spent = {"latency_s": completion.latency_s, "cost_usd": completion.cost_usd}
        if completion.status not in (ReplyStatus.COMPLETE, ReplyStatus.TRUNCATED):
            return _unread(completion.cause or completion.status, spent)
        side = side_of(exchange.reply)
        reading = self._format.parser.read(completion.text, side)
        if reading.unsafe is None:
            return _unread(reading.cause, spent)
        likely = self._format.score.of(completion.tokens, side) if self._format.score else None
        score = next(s for s in (likely, reading.score, float(reading.unsafe)) if s is not None)
        unsafe = score >= self._format.threshold if self._format.graded else reading.unsafe
        return Verdict(
            outcome=Outcome.UNSAFE if unsafe else Outcome.SAFE,
            score=score,
            findings=self._findings(reading, score, criterion) if unsafe else (),
            labels=reading.labels,
            reason=_reason(completion.text, self._format, likely),
            **spent,
        )

    def _findings(self, reading: Reading, score: float, criterion: str) -> tuple[Finding, ...]:
        if criterion:
            hazard = self._format.criteria[criterion].hazard
            return (Finding(hazard=hazard, rule=criterion, score=score),)
        return tuple(
            Finding(hazard=self._format.hazard(code), rule=code, score=score) for code in reading.codes
        )


def make(name: str, target: str | None = None, *options: str) -> LMGuard:
    """Return the guard model of that name on the target of that spec.

    Args:
        name: a guard of ``prompts/*.yaml``.
        target: spec of the target that serves the model.
        options: ``key=value``, options of the target or of :class:`Wishes` (criteria with ``+`` between them,
            ``policy`` the path of a text).

    Raises:
        UsageError: no target is given, or an option is wrong.
    """
    format = formats.find(name)
    if target is None:
        raise UsageError(
            f"Guard '{name}' needs a target that serves its model.",
            f"Write {name}(openai:{format.hub[0]}, base_url=http://HOST:PORT/v1), or (hf:{format.hub[0]}).",
        )
    pairs = dict(_pair(name, each) for each in options)
    wishes = {key: pairs.pop(key) for key in tuple(pairs) if key in Wishes.model_fields}
    if target.startswith("embedded"):
        pairs = {"context": str(min(format.context_length, LOCAL_CONTEXT)), "slots": "1", **pairs}
    try:
        known = Wishes.model_validate(_plain(wishes))
        reached = targets.TargetOptions.model_validate(pairs)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"Guard '{name}': option {place}: {first['msg']}.", _known_options()) from None
    return LMGuard(format, targets.load(target, reached), known)


def __getattr__(name: str) -> Callable[..., LMGuard]:
    """Return the maker of the guard model of that name, so that ``registry.yaml`` can name each."""
    if name.startswith("_") or name not in formats.names():  # imports ask for dunder names
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return partial(make, name)


def _criteria(format: Format, wishes: Wishes) -> tuple[str, ...]:
    for each in wishes.criteria:
        if each not in format.criteria:
            raise UnknownNameError(f"criterion of {format.name}", each, format.criteria)
    if wishes.think and format.decoding.think_max_tokens is None:
        raise UsageError(f"{format.name} cannot think before it answers.", "Leave out think=yes.")
    if wishes.policy is not None and "policy" not in format.texts:
        raise UsageError(f"{format.name} takes no policy.", "Its categories are part of the model.")
    return wishes.criteria or format.asked or ("",)


def _sees(format: Format, criteria: Sequence[str]) -> formats.Sees:
    if not format.criteria:
        return format.sees
    seen = {format.criteria[each].sees for each in criteria}
    return seen.pop() if len(seen) == 1 else "both"


def _together(verdicts: Mapping[str, Verdict]) -> Verdict:
    """Return the verdict over all criteria: unsafe if one is, safe only if all are."""
    if len(verdicts) == 1:
        return next(iter(verdicts.values()))
    every = list(verdicts.values())
    unsafe = [each for each in every if each.outcome is Outcome.UNSAFE]
    failed = [each for each in every if each.outcome is Outcome.UNASSESSED]
    costs = [each.cost_usd for each in every if each.cost_usd is not None]
    spent = {"latency_s": max(each.latency_s for each in every), "cost_usd": sum(costs) if costs else None}
    if failed and not unsafe:
        return failed[0].model_copy(update=spent)
    worst = max(unsafe or every, key=lambda each: each.score or 0.0)
    return worst.model_copy(
        update={
            "findings": tuple(finding for each in unsafe for finding in each.findings),
            "labels": {name: each.score for name, each in verdicts.items() if each.score is not None},
            "reason": "; ".join(f"{name}: {each.reason}" for name, each in verdicts.items()),
            **spent,
        }
    )


def _unread(cause: str, spent: Mapping[str, Any]) -> Verdict:
    return Verdict.unassessed(cause).model_copy(update=dict(spent))


def _reason(text: str, format: Format, likely: float | None) -> str:
    """Return what the model said, and where the score comes from if not from where it should."""
    said = " ".join(text.split())[:200]
    return (
        said
        if likely is not None or format.score is None
        else f"{said} (no log-probabilities: the score is the text's)"
    )


def _pair(name: str, option: str) -> tuple[str, str]:
    key, equals, value = option.partition("=")
    if not equals:
        raise UsageError(f"Guard '{name}' does not understand '{option}'.", _known_options())
    return key.strip(), value.strip()


def _plain(wishes: Mapping[str, str]) -> dict[str, Any]:
    plain: dict[str, Any] = dict(wishes)
    if "criteria" in plain:
        plain["criteria"] = tuple(part.strip() for part in plain["criteria"].split("+"))
    if "policy" in plain:
        path = Path(plain["policy"])
        try:
            plain["policy"] = path.read_text(encoding="utf-8").strip("\n")
        except (OSError, ValueError) as error:
            raise BadFileError(path, f"The policy cannot be read: {error}.") from None
    return plain


def _known_options() -> str:
    known = [*Wishes.model_fields, *(each for each in targets.TargetOptions.model_fields if each != "policy")]
    return f"Options are key=value of {', '.join(known)}."
