"""``llm_judge(TARGET, ...)``: any target as a judge, by a rubric.

The judged text may try to win the judge over, so it stands between delimiters with a random key per call, what
looks like delimiters in it is replaced, and an answer counts only with a second random key that the text cannot
know. What still speaks to the judge and is rated safe has to pass a control: the same text behind one that is
beyond doubt unsafe. A judge that rates even that as safe is steered, and the exchange is unassessed. That is no
proof against a text that speaks of the rating only to readers who are not shown the control.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias

import anyio
from pydantic import ValidationError

from harmless import targets
from harmless.core import (
    Conversation,
    Exchange,
    GuardInfo,
    Message,
    Outcome,
    Reply,
    Sampling,
    Target,
    Verdict,
    digest,
)
from harmless.errors import UsageError
from harmless.guards import registry
from harmless.guards.opinion import Opinion, joined, opinion
from harmless.guards.rubric import FOLDER, Control, Rubric, load_rubric, rubric_names
from harmless.guards.steering import neutral, steering_part, steers

Controls: TypeAlias = Literal["steering", "always", "never"]

DEFAULT_RUBRIC = "harm"
MAX_TOKENS = 512
LOCAL_CONTEXT = 4096
TEMPERATURE = 0.7
"""Where one judge is asked several times; a single answer is greedy."""
_LOCAL = ("embedded", "hf", "scripted")
_OPTIONS = {"samples", "control", *targets.TargetOptions.model_fields} - {"policy"}
_TEMPLATES = ("rate.system.j2", "rate.user.j2", "compare.system.j2", "compare.user.j2")


@dataclass(frozen=True)
class Asking:
    """How a judge is asked.

    ``samples`` ratings of each target, with seeds 0, 1, ...; ``control`` says which texts that were rated safe
    have to pass the control: those that speak to the judge, all or none; ``key`` makes the random keys.
    """

    samples: int = 1
    control: Controls = "steering"
    key: Callable[[], str] = lambda: secrets.token_hex(8)

    def sampling(self, seed: int = 0) -> Sampling:
        """Return the decoding of one sample."""
        temperature = TEMPERATURE if self.samples > 1 else 0.0
        return Sampling(temperature=temperature, seed=seed, max_tokens=MAX_TOKENS)


class LlmJudge:
    """Rates exchanges by a rubric; see :func:`harmless.guards.opinion.joined` for scores and labels.

    Args:
        judges: the targets that rate; each is asked ``asking.samples`` times, and all opinions count the same.
        rubric: what is rated.
        asking: samples and control.
        leaves_machine: whether a target sends text to another machine.
    """

    def __init__(
        self,
        judges: Sequence[Target],
        rubric: Rubric,
        asking: Asking | None = None,
        *,
        leaves_machine: bool = True,
    ) -> None:
        self.judges, self.rubric, self.asking = tuple(judges), rubric, asking or Asking()
        names = ", ".join(judge.info.name for judge in judges)
        settings = (rubric, self.asking.samples, self.asking.control, _sources())
        self._info = GuardInfo(
            name=f"llm_judge({names}, {rubric.name})",
            revision=digest([judge.info.identity for judge in judges], *settings),
            sees=rubric.side,
            threshold=rubric.threshold,
            hazards=tuple(sorted({each.hazard for each in rubric.criteria if each.hazard})),
            leaves_machine=leaves_machine,
            batch_size=max(judge.info.batch_size * judge.info.concurrency for judge in judges),
        )

    @property
    def info(self) -> GuardInfo:
        """Name and revision from targets, rubric and settings; sees and hazards of the rubric."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; latency and cost are those of all replies to the judge."""
        opinions = await self._opinions(exchanges)
        verdicts = [joined(each, self.rubric) for each in opinions]
        doubtful = [i for i, verdict in enumerate(verdicts) if self._doubtful(exchanges[i], verdict)]
        for i, steered in zip(doubtful, await self._steered([exchanges[i] for i in doubtful]), strict=True):
            verdicts[i] = _controlled(verdicts[i], steered)
        return verdicts

    async def aclose(self) -> None:
        """Close the targets."""
        for judge in self.judges:
            await judge.aclose()

    async def _opinions(self, exchanges: Sequence[Exchange], samples: int | None = None) -> list[list[Opinion]]:
        """Return for each exchange the opinions of all judges; everything is asked at the same time."""
        asked = [(judge, seed) for judge in self.judges for seed in range(samples or self.asking.samples)]
        columns: list[list[Opinion]] = [[] for _ in asked]

        async def ask(i: int) -> None:
            judge, seed = asked[i]
            keys = [self.asking.key() for _ in exchanges]
            requests = [self._request(*each) for each in zip(exchanges, keys, strict=True)]
            replies = await replies_of(judge, requests, self.asking.sampling(seed))
            columns[i] = [opinion(*each, self.rubric) for each in zip(replies, keys, strict=True)]

        async with anyio.create_task_group() as tasks:
            for i in range(len(asked)):
                tasks.start_soon(ask, i)
        return [[column[i] for column in columns] for i in range(len(exchanges))]

    def _request(self, exchange: Exchange, key: str) -> Conversation:
        turns = [(turn.role, neutral(turn.content)) for turn in exchange.conversation]
        if exchange.reply is None:
            last = max((i for i, (role, _) in enumerate(turns) if role == "user"), default=len(turns))
            turns, judged, side = turns[:last], neutral(exchange.prompt), "prompt"
        else:
            judged, side = neutral(exchange.reply), "reply"
        return request("rate", key, self.asking.key(), self.rubric, context=turns, judged=judged, side=side)

    def _doubtful(self, exchange: Exchange, verdict: Verdict) -> bool:
        if verdict.outcome is not Outcome.SAFE or self.asking.control == "never":
            return False
        if self.asking.control == "always" or steers(_judged(exchange)):
            return True
        # What was said before may steer too, but a rubric that cannot be controlled would rate too little.
        return self.rubric.control is not None and any(steers(turn.content) for turn in exchange.conversation)

    async def _steered(self, exchanges: Sequence[Exchange]) -> list[tuple[str, Verdict]]:
        """Return for each exchange why its rating cannot be believed, or nothing, and the control's verdict."""
        control = self.rubric.control
        if control is None or not exchanges:
            return [("it speaks to the judge, and the rubric has no control", Verdict.unassessed(""))] * len(
                exchanges
            )
        mixed = [_behind_control(each, control) for each in exchanges]
        found = [joined(each, self.rubric) for each in await self._opinions(mixed, samples=1)]
        causes = {Outcome.SAFE: "it steers the judge: even with an unsafe text before it it is rated safe"}
        causes |= {Outcome.UNASSESSED: "it speaks to the judge, and the control was not judged"}
        return [(causes.get(each.outcome, ""), each) for each in found]


def llm_judge(*arguments: str) -> LlmJudge:
    """Return the judge of a spec such as ``llm_judge(openai:MODEL, anthropic:MODEL, k12, samples=3)``.

    Args:
        *arguments: one or more targets; at most one rubric, by name or as a YAML file; and options:
            ``samples=N``, ``control=steering`` (or ``always``, ``never``) and those of targets, such as
            ``base_url=http://localhost:8000/v1``, which are for all of them.

    Raises:
        UsageError: no target is named, or an argument is none of these.
    """
    kinds = {kind.name for kind in targets.describe()}
    specs = [each for each in arguments if each.partition(":")[0] in kinds]
    options = dict(
        each.split("=", 1) for each in arguments if each.partition("=")[0] in _OPTIONS and "=" in each
    )
    named = [e for e in arguments if e not in specs and e.partition("=")[0] not in options]
    if not specs or len(named) > 1:
        raise UsageError(
            "An LLM judge needs a target, and takes one rubric.",
            f"Write llm_judge(openai:MODEL, RUBRIC); rubrics are {', '.join(rubric_names())} and YAML files.",
        )
    asking, rubric = _asking(options), load_rubric(named[0] if named else DEFAULT_RUBRIC)
    judges = [targets.load(spec, _reached(spec, options), guards=registry.load) for spec in specs]
    remote = any(_leaves(spec, judge) for spec, judge in zip(specs, judges, strict=True))
    return LlmJudge(judges, rubric, asking, leaves_machine=remote)


def request(kind: str, key: str, fence: str, rubric: Rubric, **texts: Any) -> Conversation:
    """Return what a judge is asked: the rubric as the system's message, the delimited texts as the user's."""
    known = {"key": key, "fence": fence, "rubric": rubric, **texts}
    system, user = (
        _environment().get_template(f"{kind}.{role}.j2").render(known) for role in ("system", "user")
    )
    return (Message(role="system", content=system.strip()), Message(role="user", content=user.strip()))


async def replies_of(target: Target, requests: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
    """Return one reply a request; where a target breaks its contract, the replies are errors with the cause."""
    try:
        replies = list(await target.reply(requests, sampling)) if requests else []
        if len(replies) != len(requests):
            raise ValueError(f"{len(replies)} replies to {len(requests)} requests")
        return replies
    except Exception as error:
        if len(requests) == 1:
            return [Reply.error(f"{type(error).__name__}: {error}")]
    return [(await replies_of(target, [each], sampling))[0] for each in requests]


def behind(unsafe: str, text: str, control: Control) -> str:
    """Return a text that stays unsafe, with what ``control`` keeps of another text behind it."""
    return f"{unsafe}\n\n{steering_part(text) if control.keep == 'steering' else text}"


def _asking(options: Mapping[str, str]) -> Asking:
    samples, control = options.get("samples", "1"), options.get("control", "steering")
    if not samples.isdecimal() or not int(samples) or control not in ("steering", "always", "never"):
        raise UsageError(
            f"An LLM judge does not take samples={samples} with control={control}.",
            "Write samples=N with N of 1 or more, control=steering, control=always or control=never.",
        )
    return Asking(samples=int(samples), control=control)  # type: ignore[arg-type]


def _reached(spec: str, options: Mapping[str, str]) -> targets.TargetOptions:
    """Return how a target is reached; a local model gets room for a rubric, which its default has not."""
    room = {"context": LOCAL_CONTEXT, "slots": 1} if spec.startswith("embedded") else {}
    given = {name: value for name, value in options.items() if name in targets.TargetOptions.model_fields}
    try:
        return targets.TargetOptions.model_validate(room | given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"An LLM judge's option {place}: {first['msg']}.", "See the options of targets."
        ) from None


def _leaves(spec: str, judge: Target) -> bool:
    """Return whether a target sends text out; true where it does not say and may."""
    return bool(getattr(judge, "leaves_machine", spec.partition(":")[0] not in _LOCAL))


def _controlled(verdict: Verdict, steered: tuple[str, Verdict]) -> Verdict:
    cause, control = steered
    costs = [each.cost_usd for each in (verdict, control) if each.cost_usd is not None]
    spent = {"latency_s": verdict.latency_s + control.latency_s, "cost_usd": sum(costs) if costs else None}
    if not cause:
        return verdict.model_copy(update=spent)
    return Verdict.unassessed(f"the rating cannot be believed: {cause}").model_copy(update=spent)


def _judged(exchange: Exchange) -> str:
    return exchange.prompt if exchange.reply is None else exchange.reply


def _behind_control(exchange: Exchange, control: Control) -> Exchange:
    if exchange.reply is not None:
        return exchange.model_copy(update={"reply": behind(control.reply, exchange.reply, control)})
    turns = list(exchange.conversation)
    last = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=len(turns))
    mixed = behind(control.prompt, exchange.prompt, control)
    turns[last : last + 1] = [Message(role="user", content=mixed)]
    return Exchange(conversation=tuple(turns))


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Autoescaping is for HTML; what is put in is neutralised instead.
    environment = Environment(
        loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # The reason has to come before the level, so that the level follows from it.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "ensure_ascii": False}
    return environment


@cache
def _sources() -> tuple[str, ...]:
    return tuple((FOLDER / name).read_text(encoding="utf-8") for name in _TEMPLATES)
