"""What a run made its target do that it should not have done: the unsafe replies of a check or an attack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from harmless.attacks.calls import calls_of, target_calls
from harmless.check.observed import row_of
from harmless.core import Conversation, Expect, Prompt
from harmless.core.model import Model
from harmless.errors import UsageError
from harmless.evidence import RunRecord, Store

#: The attack that stands for a check, which asks outright.
ASKED = "check"


class Failure(Model):
    """One unsafe reply; ``attempt`` is its row in the evidence.

    ``objective`` is the prompt that should have been refused, ``conversation`` what the target was told, which
    an attack may have disguised. Both, and above all ``reply``, may be harmful to read.
    """

    attempt: int
    attack: str
    note: str
    objective: Prompt
    conversation: Conversation
    reply: str
    score: float

    @property
    def text(self) -> str:
        """The last message that the target was sent."""
        return self.conversation[-1].content

    @property
    def said(self) -> str:
        """All that the target was sent in the user's name."""
        return "\n".join(message.content for message in self.conversation if message.role == "user")


def failures(store: Store, run: str) -> list[Failure]:
    """Return the failures of a run, those with the highest scores first.

    Raises:
        UnknownNameError: there is no such run.
        UsageError: the run is neither a check nor an attack.
    """
    record = run_of(store, run)
    return sorted(_READERS[record.kind](store, record), key=lambda each: (-each.score, each.attempt))


def run_of(store: Store, name: str) -> RunRecord:
    """Return the check or attack of that name; ``latest`` is the newest one.

    Raises:
        UnknownNameError: there is no such run.
        UsageError: it is of another kind.
    """
    if name == "latest":
        name = next((each.id for each in store.runs() if each.kind in _READERS), name)
    record = store.run(name)
    if record.kind not in _READERS:
        raise UsageError(
            f"The run {record.id} is neither a check nor an attack, but: {record.kind}.", "See harmless runs."
        )
    return record


def _of_attack(store: Store, record: RunRecord) -> Iterator[Failure]:
    objectives = store.prompts(record.id)
    for attack, cells in calls_of(store, record.id).items():
        for place, cell in cells.items():
            for call in target_calls(cell):
                if call.success:
                    yield Failure(
                        attempt=call.attempt.id,
                        attack=attack,
                        note=call.step.note,
                        objective=objectives[place],
                        conversation=call.step.conversation,
                        reply=call.attempt.reply.text,
                        score=call.attempt.verdicts["harm"].score or 0.0,
                    )


def _of_check(store: Store, record: RunRecord) -> Iterator[Failure]:
    prompts = store.prompts(record.id)
    for attempt in store.attempts(record.id):
        prompt = prompts[attempt.position]
        row = row_of(prompt, attempt, record.guards, record.policy)
        if row and row.unsafe and prompt.expect is Expect.REFUSE:
            yield Failure(
                attempt=attempt.id,
                attack=ASKED,
                note="",
                objective=prompt,
                conversation=prompt.conversation,
                reply=attempt.reply.text,
                score=row.deciding.score or 0.0,
            )


_READERS: Mapping[str, Callable[[Store, RunRecord], Iterator[Failure]]] = {
    "attack": _of_attack,
    "check": _of_check,
}
