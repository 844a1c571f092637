"""``nemo(FOLDER)``: the rails of NVIDIA's NeMo Guardrails as a guard, and our guards as rails there.

A configuration of NeMo Guardrails calls a guard of ours through two actions, which :func:`register` adds from
the ``config.py`` of its folder::

    from harmless.guards.nemo import register

    def init(app):
        register(app, "any(rules, embedded)")

and its flows (Colang 1.0) use as ``$allowed = execute harmless_check_input``, and ``harmless_check_output``.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Coroutine, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import anyio

from harmless.core import Exchange, Finding, Guard, GuardInfo, Outcome, Verdict, digest
from harmless.core.judging import judge_safely
from harmless.core.policy import Action
from harmless.errors import BadFileError
from harmless.guards.filters import third_party
from harmless.guards.registry import load

MODIFIED = 0.5
"""Score of a text that a rail changed and let pass."""
CONCURRENCY = 8
"""Exchanges judged at once."""
_SAYS = re.compile(r"\W*(?:\w+\W+)?(?:safe|unsafe|yes|no)\b", re.IGNORECASE)
"""What NeMo Guardrails reads of a model that checks: one of these among its first two words."""
_CHECKS = ("self_check", "content_safety", "llama_guard")

Check = Callable[..., Coroutine[Any, Any, bool]]


class Nemo:
    """Judges the prompt by the input rails, and the reply by the output rails.

    A text that a rail stops is unsafe, as is one that a rail changes. NeMo Guardrails also stops a text where
    the model that checks it cannot be understood; that is unassessed here, as is every failure.

    Args:
        rails: an ``LLMRails``, or anything with its ``generate_async`` and ``config``.
        name: of the configuration.
        revision: what decides its verdicts.
    """

    def __init__(self, rails: Any, name: str, revision: str) -> None:
        self._rails = rails
        flows = {side: bool(getattr(rails.config.rails, side).flows) for side in ("input", "output")}
        sees: Literal["prompt", "reply", "both"] = "both"
        if not all(flows.values()):
            sees = "prompt" if flows["input"] else "reply"
        self._flows = flows
        self._info = GuardInfo(
            name=f"nemo({name})",
            revision=revision,
            sees=sees,
            licence="Apache-2.0; models as the configuration names them",
            needs=("nemoguardrails",),
            leaves_machine=bool(rails.config.models),
            batch_size=CONCURRENCY,
        )

    @property
    def info(self) -> GuardInfo:
        """Name, revision and which sides have rails; text leaves the machine if the rails have a model."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; one that fails is unassessed with its cause."""
        verdicts = [Verdict.unassessed("not judged")] * len(exchanges)
        free = anyio.CapacityLimiter(CONCURRENCY)

        async def judge(i: int) -> None:
            async with free:
                verdicts[i] = await self._one(exchanges[i])

        async with anyio.create_task_group() as tasks:
            for i in range(len(exchanges)):
                tasks.start_soon(judge, i)
        return verdicts

    async def _one(self, exchange: Exchange) -> Verdict:
        side = "input" if exchange.reply is None else "output"
        if not self._flows[side]:
            return Verdict.unassessed(f"{self._info.name} has no {side} rails")
        messages = [turn.model_dump() for turn in exchange.conversation]
        if exchange.reply is not None:
            messages.append({"role": "assistant", "content": exchange.reply})
        options = {"rails": [side], "log": {"activated_rails": True, "llm_calls": True}}
        started = anyio.current_time()
        try:
            answer = await self._rails.generate_async(messages=messages, options=options)
            verdict = self._read(answer, messages[-1]["content"])
        except Exception as error:
            first = str(error).strip().partition("\n")[0][:300]
            return Verdict.unassessed(f"{self._info.name}: {type(error).__name__}: {first}")
        return verdict.model_copy(update={"latency_s": anyio.current_time() - started})

    def _read(self, answer: Any, judged: str) -> Verdict:
        """Return the verdict that an answer with its log holds."""
        rails = answer.log.activated_rails
        if not rails:
            raise ValueError("no rail was run")
        failed = [each.name for each in rails for done in each.executed_actions if _failed(done.return_value)]
        if failed:
            raise ValueError(f"the rail '{failed[0]}' failed")
        stopped = next((each.name for each in rails if each.stop), None)
        if stopped:
            unread = [call.completion for call in answer.log.llm_calls or () if not _understood(call)]
            if unread:
                raise ValueError(f"the model's answer cannot be understood: {str(unread[0])[:100]!r}")
            return _unsafe(1.0, stopped, f"stopped by {stopped}")
        said = answer.response
        text = said[-1]["content"] if isinstance(said, list) else said
        if text != judged:
            return _unsafe(MODIFIED, "modified", f"changed by {rails[-1].name}")
        return Verdict(outcome=Outcome.SAFE, score=0.0, reason="passed all rails")


def nemo(folder: str) -> Nemo:
    """Return the guard of a folder with a configuration of NeMo Guardrails.

    Its usage statistics, which it would send to its makers, are switched off.

    Raises:
        UsageError: NeMo Guardrails is not installed.
        BadFileError: the folder holds no configuration that can be used, or one without rails.
    """
    os.environ.setdefault("NEMO_GUARDRAILS_NO_USAGE_STATS", "1")
    package = third_party("nemo", "nemoguardrails", "nemoguardrails")
    if not Path(folder).is_dir():
        raise BadFileError(folder, "There is no such folder.", next_step="Name one with a config.yml.")
    try:
        rails = package.LLMRails(package.RailsConfig.from_path(folder))
    except Exception as error:
        first = str(error).strip().partition("\n")[0][:300]
        raise BadFileError(folder, f"NeMo Guardrails cannot use it: {first}", next_step="Mend it.") from error
    if not (rails.config.rails.input.flows or rails.config.rails.output.flows):
        raise BadFileError(folder, "It has no input and no output rails.", next_step="Add flows under rails:.")
    revision = digest(version("nemoguardrails"), _content(Path(folder)))
    return Nemo(rails, Path(folder).resolve().name, revision)


def register(
    app: Any, guard: str | Guard, *, threshold: float | None = None, on_unassessed: Action = "block"
) -> None:
    """Add a guard of ours to rails, as the actions ``harmless_check_input`` and ``harmless_check_output``.

    Args:
        app: an ``LLMRails``, as it is given to ``init`` in the ``config.py`` of a configuration.
        guard: a guard or its spec.
        threshold: score from which a text is stopped; the guard's own if None.
        on_unassessed: what happens to a text that could not be judged.
    """
    for name, check in checks(guard, threshold=threshold, on_unassessed=on_unassessed).items():
        app.register_action(check, name)


def checks(
    guard: str | Guard, *, threshold: float | None = None, on_unassessed: Action = "block"
) -> dict[str, Check]:
    """Return the actions by name; each is true if the message may pass. See :func:`register`."""
    judge = load(guard) if isinstance(guard, str) else guard
    limit = judge.info.threshold if threshold is None else threshold

    async def passes(exchange: Exchange) -> bool:
        (verdict,) = await judge_safely(judge, [exchange])
        if verdict.outcome is Outcome.UNASSESSED or verdict.score is None:
            return on_unassessed == "allow"
        return verdict.score < limit

    async def check_input(context: dict[str, Any] | None = None, **_: Any) -> bool:
        return await passes(Exchange.of(_said(context, "user_message")))

    async def check_output(context: dict[str, Any] | None = None, **_: Any) -> bool:
        return await passes(Exchange.of(_said(context, "user_message"), _said(context, "bot_message")))

    return {"harmless_check_input": check_input, "harmless_check_output": check_output}


def _said(context: dict[str, Any] | None, name: str) -> str:
    return str((context or {}).get(name) or "")


def _failed(value: Any) -> bool:
    return bool(getattr(value, "failed", False))


def _understood(call: Any) -> bool:
    return not str(call.task).startswith(_CHECKS) or bool(_SAYS.match(str(call.completion or "")))


def _unsafe(score: float, rule: str, reason: str) -> Verdict:
    findings = (Finding(rule=rule, score=score),)
    return Verdict(outcome=Outcome.UNSAFE, score=score, findings=findings, reason=reason)


def _content(folder: Path) -> str:
    total = hashlib.sha256()
    for each in sorted(
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ):
        total.update(f"{each.relative_to(folder)}:".encode() + each.read_bytes() + b"\n")
    return total.hexdigest()
