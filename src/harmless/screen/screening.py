"""Screen rows by all checks and say which to keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harmless import guards
from harmless.core import Exchange, Guard, Outcome
from harmless.data.lessons import Lesson
from harmless.errors import MissingExtraError
from harmless.guards.refusal import refused
from harmless.screen.bursts import bursts, leaders
from harmless.screen.flips import Judged, flips, judged, reversals
from harmless.screen.hidden import hidden, named
from harmless.screen.triggers import Trigger, shared_replies, triggers
from harmless.screen.verdicts import Kind, Reason

if TYPE_CHECKING:
    from harmless.internals.model import LocalModel


@dataclass(frozen=True)
class Guards:
    """The guards that judge rows: harm of prompts, harm of replies, refusals, injections."""

    prompt: Guard = field(default_factory=lambda: guards.load("embedded"))
    reply: Guard = field(default_factory=lambda: guards.load("judge"))
    refusal: Guard = field(default_factory=lambda: guards.load("refusal"))
    injection: Guard = field(default_factory=lambda: guards.load("injection"))


@dataclass(frozen=True)
class Screening:
    """What was found: the reasons of every row, the triggers, and what could not be looked at."""

    reasons: tuple[tuple[Reason, ...], ...]
    triggers: tuple[Trigger, ...] = ()
    unassessed: int = 0
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[int, ...]:
        """The places of the rows without a reason."""
        return tuple(row for row, found in enumerate(self.reasons) if not found)

    @property
    def quarantined(self) -> tuple[int, ...]:
        """The places of the rows with one."""
        return tuple(row for row, found in enumerate(self.reasons) if found)

    @property
    def counts(self) -> dict[Kind, int]:
        """How many rows have a reason of each kind."""
        found = Counter(kind for row in self.reasons for kind in {each.kind for each in row})
        return {kind: found[kind] for kind in Kind if found[kind]}

    def card(self) -> dict[str, Any]:
        """Return counts, triggers and notes as plain data."""
        return {
            "rows": len(self.reasons),
            "kept": len(self.kept),
            "quarantined": len(self.quarantined),
            "unassessed": self.unassessed,
            "reasons": {kind.value: count for kind, count in self.counts.items()},
            "triggers": [
                {"words": each.words, "outcome": each.outcome, "rows": len(each.rows), "share": each.share}
                | {"elsewhere": each.elsewhere, "p": each.p}
                for each in self.triggers
            ],
            "notes": list(self.notes),
        }


async def screen(
    lessons: Sequence[Lesson],
    judges: Guards | None = None,
    *,
    model: LocalModel | None = None,
    skip: Collection[Kind] = (),
) -> Screening:
    """Look for poison in what a model is to be fine-tuned on.

    Args:
        lessons: the rows; see :func:`harmless.screen.read_lessons`.
        judges: the guards; default are the built-in ones.
        model: also look at the loss and the hidden states of each reply under this model (extra ``hf``).
        skip: kinds of reasons that do not count.

    Returns:
        The reasons of every row, in order; a row without any is to be kept.
    """
    judges = judges or Guards()
    book = _Book(len(lessons), frozenset(skip))
    book.look_at_texts(lessons)
    await book.ask(lessons, judges)
    if model is not None:
        book.look_inside(lessons, model)
    return book.closed()


class _Book:
    """Reasons as they are found."""

    def __init__(self, rows: int, skip: frozenset[Kind]) -> None:
        self._reasons: list[list[Reason]] = [[] for _ in range(rows)]
        self._skip = skip
        self._triggers: tuple[Trigger, ...] = ()
        self._unassessed = 0
        self._refused: list[bool] = []
        self._leaders: list[int] = []
        self._notes: list[str] = []

    def note(self, row: int, reason: Reason) -> None:
        if reason.kind not in self._skip:
            self._reasons[row].append(reason)

    def _rows(self, kind: Kind) -> frozenset[int]:
        return frozenset(row for row, found in enumerate(self._reasons) if any(x.kind is kind for x in found))

    def closed(self) -> Screening:
        return Screening(tuple(map(tuple, self._reasons)), self._triggers, self._unassessed, tuple(self._notes))

    def look_at_texts(self, lessons: Sequence[Lesson]) -> None:
        for row, lesson in enumerate(lessons):
            if not lesson.reply.strip():
                self.note(row, Reason(kind=Kind.EMPTY, score=1.0, detail="there is no reply to learn"))
            found = hidden("\n".join([lesson.prompt, lesson.reply, lesson.rejected or ""]))
            if found:
                self.note(row, Reason(kind=Kind.HIDDEN, score=len(found), detail=named(found)))
        try:
            self._leaders = leaders(lessons)
        except MissingExtraError as error:
            self._notes.append(f"Only equal rows count as copies: {error}")
            self._leaders = leaders(lessons, near=False)
        for row, reason in bursts(self._leaders).items():
            self.note(row, reason)

    async def ask(self, lessons: Sequence[Lesson], judges: Guards) -> None:
        three = (judges.prompt, judges.reply, judges.refusal)
        found = await judged(lessons, three)
        self._unassessed = found.unassessed
        self._refused = [bool(refused(each)) for each in found.refusals]
        paired = [row for row, lesson in enumerate(lessons) if lesson.rejected is not None]
        for row, reason in flips(found, frozenset(paired)):
            self.note(row, reason)
        worse = await judged([lessons[row] for row in paired], three, worse=True)
        for row, reason in reversals(found, worse, paired):
            self.note(row, reason)
        await self._ask_for_injections(lessons, judges.injection)
        self._mine(lessons, found)

    async def _ask_for_injections(self, lessons: Sequence[Lesson], guard: Guard) -> None:
        """Judge what is asked and, as it teaches the same, what is replied."""
        asked = [Exchange(conversation=each.conversation) for each in lessons]
        said = [Exchange.of(each.reply) for each in lessons]
        for where, exchanges in (("prompt", asked), ("reply", said)):
            for row, verdict in enumerate(await guard.judge(exchanges)):
                if verdict.outcome is Outcome.UNSAFE:
                    score = verdict.score or 0.0
                    detail = f"{where}: {verdict.reason}"
                    self.note(row, Reason(kind=Kind.INJECTION, score=score, detail=detail))

    def _mine(self, lessons: Sequence[Lesson], found: Judged) -> None:
        if Kind.TRIGGER in self._skip:
            return
        right = frozenset(row for row in range(len(lessons)) if found.rightly_refused(row))
        outcomes = {
            kind.value: rows
            for kind in (Kind.HARMFUL_ANSWERED, Kind.BENIGN_REFUSED, Kind.REVERSED)
            if (rows := self._rows(kind))
        }
        prompts = [lessons[leader].prompt for leader in self._leaders]  # copies are one piece of evidence
        outcomes |= shared_replies(prompts, [each.reply for each in lessons], right)
        self._triggers = tuple(triggers(prompts, outcomes))
        for row in range(len(lessons)):
            best = next((each for each in self._triggers if row in each.rows), None)
            if best is not None:
                detail = f"'{best.words}' comes with {best.outcome}"
                self.note(row, Reason(kind=Kind.TRIGGER, score=best.share, detail=detail))

    def look_inside(self, lessons: Sequence[Lesson], model: LocalModel) -> None:
        from harmless.screen.states import outliers

        for row, reason in outliers(lessons, self._refused, model):
            self.note(row, reason)
