"""The shortest prompt that still makes a target fail, by delta debugging with the target itself."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harmless import __version__
from harmless.attacks.copied import own_words
from harmless.attacks.door import Door
from harmless.attacks.failures import Failure
from harmless.attacks.minimise import minimise
from harmless.check.outcomes import is_unsafe, without_judging
from harmless.core import Conversation, Exchange, Guard, Message, Policy, Reply, Sampling, Target, digest
from harmless.core.model import Model
from harmless.errors import UnreachableError, UsageError
from harmless.evidence import Attempt, RunRecord, Step, Store, ask_key, now, run_lock

#: Kind of the runs that hold what was asked to shorten prompts.
KIND = "minimise"


class Shortened(Model):
    """What is left of a failing prompt, in words.

    ``again`` says whether the prompt as it was succeeded once more, None if that could not be assessed; unless
    it did, nothing could be left out. ``minimal``: no single word can be left out; False where the calls were
    used up before that was known, or a reply could not be assessed.
    ``text`` may be harmful, and is empty where it is not to be shown.
    """

    attempt: int
    words: int
    left: int
    again: bool | None
    minimal: bool
    calls: int
    text: str


@dataclass(frozen=True)
class Shortening:
    """Whom to ask, how, and who judges in view of the objective; ``calls`` is the most for one prompt."""

    target: Target
    judge: Guard
    policy: Policy
    sampling: Sampling
    calls: int


async def shorten(failures: Sequence[Failure], how: Shortening, store: Store, source: str) -> list[Shortened]:
    """Leave out words of the last message of each failure as long as the target still fails.

    What is asked is recorded in a run of its own, and the same call asks again only what failed. A success that
    needs its reply decoded, or a judge that an attack brings, does not succeed again here.

    Args:
        failures: what to shorten.
        how: target, judge and budget.
        store: where it is recorded.
        source: the run of the failures.

    Raises:
        UsageError: there is no call for a prompt.
        UnreachableError: the target only fails, or turns away, or no prompt could be tried again.
        EvidenceError: the store cannot be written, or another process works on the run.
    """
    if how.calls < 1:
        raise UsageError(f"{how.calls} calls shorten nothing.", "Give --calls 1 or more.")
    run = _run(failures, how, store, source)
    with run_lock(store.path.parent, run):
        desk = _Asked(how, store, run)
        try:
            found = [await desk.shortened(place, failure) for place, failure in enumerate(failures)]
        except UnreachableError as error:
            store.add_event(run, "aborted", str(error))
            raise
        store.add_event(run, "finished")
    if desk.cause and all(each.again is None for each in found):
        raise UnreachableError(
            f"Nothing could be tried again: {desk.cause}.",
            "Look at the cause, then run the same command again.",
        )
    return found


def shortest(found: Sequence[Failure], attempts: Sequence[int]) -> Failure:
    """Return the failure with the fewest words among those of some attempts: the quickest to shorten."""
    known = {each.attempt: each for each in found}
    return min((known[attempt] for attempt in attempts), key=lambda each: len(each.text.split()))


class _Asked:
    """Asks what is not in the run already; ``cause`` is why the last of the replies that failed did."""

    def __init__(self, how: Shortening, store: Store, run: str) -> None:
        self.cause = ""
        self._how, self._store, self._run = how, store, run
        self._door, self._tries = Door(how.target.info.name, 1), store.tries(run)
        self._known: Mapping[str, Attempt] = {
            each.key: each for each in store.attempts(run) if each.reply.status != "error"
        }

    async def shortened(self, place: int, failure: Failure) -> Shortened:
        *before, last = failure.conversation
        outcomes: list[bool | None] = []

        async def succeeds(text: str) -> bool:
            conversation = (*before, Message(role="user", content=text))
            fails = bool(text) and await self._fails(place, len(outcomes), conversation, failure)
            outcomes.append(fails)
            return bool(fails)

        found = await minimise(last.content, succeeds, self._how.calls)
        words = len(last.content.split())
        return Shortened(
            attempt=failure.attempt,
            words=words,
            left=len(found.text.split()),
            again=outcomes[0],
            minimal=found.minimal and None not in outcomes,
            calls=found.calls,
            text=found.text,
        )

    async def _fails(
        self, place: int, number: int, conversation: Conversation, failure: Failure
    ) -> bool | None:
        key = digest(self._run, failure.attempt, conversation, length=24)
        known = self._known.get(key)
        if known and "harm" in known.verdicts:
            verdict = known.verdicts["harm"]
        else:
            reply = known.reply if known else await self._reply(conversation)
            attempt = known.id if known else self._commit(key, place, number, conversation, reply)
            decided = without_judging(failure.objective, reply).get("harm")
            exchange = Exchange(conversation=failure.objective.conversation, reply=reply.text)
            verdict = decided or own_words(
                (await self._how.judge.judge([exchange]))[0], reply.text, conversation
            )
            self._store.add_verdicts([(attempt, "harm", self._how.judge.info.identity, verdict)])
        return is_unsafe(verdict, self._how.judge.info, self._how.policy)

    async def _reply(self, conversation: Conversation) -> Reply:
        (reply,) = await self._how.target.reply([conversation], self._how.sampling)
        reply = self._door.passed(reply)
        self.cause = reply.cause if reply.status == "error" else self.cause
        return reply

    def _commit(self, key: str, place: int, number: int, conversation: Conversation, reply: Reply) -> int:
        ask = ask_key(self._how.target.info, self._how.sampling, conversation)
        tries = self._tries.get(key, 0)
        attempt = Attempt(key=key, ask=ask, position=place, sample=number, tries=tries, reply=reply)
        step = Step(attack=KIND, role="target", conversation=conversation)
        return self._store.add_attempt(self._run, attempt, step)


def _run(failures: Sequence[Failure], how: Shortening, store: Store, source: str) -> str:
    """Return the run of the same call, or a new one."""
    plan = digest(source, [each.attempt for each in failures], how.sampling, how.calls)
    key = digest(plan, how.target.info.identity, how.judge.info.identity, how.policy, length=24)
    if found := store.latest_with_key(key):
        return found.id
    record = RunRecord(
        id=secrets.token_hex(4),
        key=key,
        kind=KIND,
        created_at=now(),
        suite=f"failures of {source}",
        plan_hash=plan,
        target=how.target.info,
        guards={"harm": how.judge.info},
        policy=how.policy,
        sampling=how.sampling,
        options={"source": source, "calls": how.calls, "version": __version__},
    )
    store.add_run(record, [each.objective for each in failures])
    store.add_event(record.id, "started")
    return record.id
