"""``guarded:GUARD:TARGET``: a target behind a guard that judges prompts, replies or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harmless import taxonomy
from harmless.core import (
    Conversation,
    Exchange,
    GradeBand,
    Guard,
    Policy,
    Reply,
    ReplyStatus,
    Sampling,
    Target,
    TargetInfo,
    Verdict,
    digest,
)
from harmless.core.judging import judge_safely
from harmless.errors import UsageError
from harmless.targets.options import TargetOptions
from harmless.targets.registry import load


class GuardedTarget:
    """Answers as ``target`` does, unless ``guard`` flags the prompt or the reply under ``policy``.

    A flagged prompt never reaches the target. What is flagged, and under ``on_unassessed: block`` also what
    the guard could not judge, is answered with the policy's refusal text, that of the hazard if there is one,
    and the status BLOCKED.
    """

    def __init__(self, guard: Guard, target: Target, policy: Policy) -> None:
        self._guard, self._target, self._policy = guard, target, policy
        rule = policy.guards.get(guard.info.name)
        threshold = rule.threshold if rule else guard.info.threshold
        seen = (guard.info.identity, target.info.identity)
        self._info = target.info.model_copy(
            update={
                "name": f"guarded:{guard.info.name}:{target.info.name}",
                "revision": digest(*seen, threshold, policy.on_unassessed, *_texts(policy)),
                "white_box": False,
                "guarded_by": (*target.info.guarded_by, *guard.info.families),
            }
        )

    @property
    def info(self) -> TargetInfo:
        """The target's limits; name and revision are of both, and of what the policy makes of the verdicts."""
        return self._info

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Judge the prompts, ask the target what passed, judge its replies; order and length are kept."""
        replies = await self._refusals(conversations)
        passed = [i for i, reply in enumerate(replies) if reply is None]
        if passed:
            answers = await self._target.reply([conversations[i] for i in passed], sampling)
            judged = await self._judged([conversations[i] for i in passed], answers)
            for i, answer in zip(passed, judged, strict=True):
                replies[i] = answer
        return [reply for reply in replies if reply is not None]

    async def aclose(self) -> None:
        """Close the target; the guard belongs to the caller."""
        await self._target.aclose()

    async def _refusals(self, conversations: Sequence[Conversation]) -> list[Reply | None]:
        """Return the refusal of each blocked prompt, None for those that pass."""
        if self._guard.info.sees == "reply":
            return [None] * len(conversations)
        verdicts = await judge_safely(self._guard, [Exchange(conversation=each) for each in conversations])
        return [self._block("prompt", verdict) for verdict in verdicts]

    async def _judged(self, conversations: Sequence[Conversation], answers: Sequence[Reply]) -> Sequence[Reply]:
        """Return the answers, with those that the guard flags replaced by refusals."""
        spoken = [i for i, answer in enumerate(answers) if answer.has_text and not answer.withheld]
        if self._guard.info.sees == "prompt" or not spoken:
            return answers
        exchanges = [Exchange(conversation=conversations[i], reply=answers[i].text) for i in spoken]
        judged = list(answers)
        for i, verdict in zip(spoken, await judge_safely(self._guard, exchanges), strict=True):
            judged[i] = self._block("reply", verdict, answers[i]) or answers[i]
        return judged

    def _block(self, what: str, verdict: Verdict, answer: Reply | None = None) -> Reply | None:
        """Return the refusal that ``verdict`` leads to, None if it lets pass; keeps what the answer used."""
        guard = self._guard.info
        flagged = self._policy.flagged(guard.name, guard.threshold, verdict)
        if flagged is False or (flagged is None and self._policy.on_unassessed == "allow"):
            return None
        reason = verdict.reason or "no reason given"
        blocked = {
            "status": ReplyStatus.BLOCKED,
            "text": self._text(verdict),
            "cause": f"{what} blocked by {guard.name}: {'not judged, ' if flagged is None else ''}{reason}",
            "unjudged": flagged is None,
        }
        unasked = Reply(status=ReplyStatus.BLOCKED, latency_s=verdict.latency_s, cost_usd=verdict.cost_usd)
        return (answer or unasked).model_copy(update=blocked)

    def _text(self, verdict: Verdict) -> str:
        """Return the refusal for the likeliest hazard found: that of its own, else of the level above."""
        texts, known = self._policy.refusal_texts, taxonomy.load()
        for found in sorted(verdict.findings, key=lambda each: -each.score) if texts else ():
            if found.hazard is None:
                continue
            for hazard in (known.hazard(found.hazard), *known.ancestors(found.hazard)):
                if hazard.key in texts:
                    return texts[hazard.key]
        return self._policy.refusal_text


def _texts(policy: Policy) -> list[str]:
    return [policy.refusal_text, *(part for each in sorted(policy.refusal_texts.items()) for part in each)]


def guarded(
    argument: str, options: TargetOptions, guards: Callable[[str], Guard] | None = None
) -> GuardedTarget:
    """Return the target of ``GUARD:TARGET``; colons inside the guard's brackets belong to the guard.

    Raises:
        UsageError: one of the two is missing, or nobody gave a loader of guards.
    """
    guard, target = _split(argument)
    if not guard or not target:
        raise UsageError(f"'guarded:{argument}' names no guard or no target.", "Write guarded:GUARD:TARGET.")
    if guards is None:
        raise UsageError("A guarded target needs guards.", "Pass guards=harmless.load_guard to load_target.")
    policy = options.policy or Policy(grades=(GradeBand(grade="-", max_rate=1),))
    return GuardedTarget(guards(guard), load(target, options, guards=guards), policy)


def _split(argument: str) -> tuple[str, str]:
    depth = 0
    for i, character in enumerate(argument):
        depth += (character == "(") - (character == ")")
        if character == ":" and depth == 0:
            return argument[:i], argument[i + 1 :]
    return argument, ""
