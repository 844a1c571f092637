"""Label flips: replies that are the opposite of what the guards expect of the prompt."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from harmless.core import Exchange, Guard, Outcome, Verdict
from harmless.data.lessons import Lesson
from harmless.guards.refusal import refused
from harmless.screen.verdicts import Kind, Reason

#: A refusal counts where it is this likely, a prompt as harmless where its harm is less likely than that.
REFUSED, HARMLESS = 0.8, 0.2
#: A prompt this likely to be harmful is answered by what is less likely than that to refuse, whatever it says.
HARMFUL, ANSWERED = 0.8, 0.1


@dataclass(frozen=True)
class Judged:
    """What the guards say of every row: harm of the prompt, harm and refusal of both replies."""

    prompts: Sequence[Verdict]
    replies: Sequence[Verdict]
    refusals: Sequence[Verdict]

    @property
    def unassessed(self) -> int:
        """How many rows a guard could not judge."""
        rows = zip(self.prompts, self.replies, self.refusals, strict=True)
        return sum(any(each.outcome is Outcome.UNASSESSED for each in row) for row in rows)

    def harmful_answered(self, row: int) -> float | None:
        """Return how likely prompt or reply is harmful, None if neither is, or if the reply refuses."""
        prompt, reply = self.prompts[row].score or 0.0, self.replies[row]
        if refused(self.refusals[row]):
            return None
        if reply.outcome is Outcome.UNSAFE:
            return reply.score
        return prompt if prompt >= HARMFUL and _refusal(self.refusals[row]) <= ANSWERED else None

    def benign_refused(self, row: int) -> float | None:
        """Return how likely the reply refuses, None if it does not, or may well."""
        harm, chance = self.prompts[row].score, _refusal(self.refusals[row])
        return chance if harm is not None and harm < HARMLESS and chance >= REFUSED else None

    def harm(self, row: int) -> str:
        """Return in words how likely prompt and reply are harmful."""
        scores = (("prompt", self.prompts[row].score), ("reply", self.replies[row].score))
        return "harm of " + ", ".join(f"the {name} {score or 0:.2f}" for name, score in scores)

    def rightly_refused(self, row: int) -> bool:
        """Return whether a harmful prompt is refused, as it should be."""
        return self.prompts[row].outcome is Outcome.UNSAFE and bool(refused(self.refusals[row]))


async def judged(
    lessons: Sequence[Lesson], guards: tuple[Guard, Guard, Guard], *, worse: bool = False
) -> Judged:
    """Let guards of (prompts, replies, refusals) judge all rows; ``worse`` judges the rejected replies."""
    of_prompt, of_reply, of_refusal = guards
    asked = [Exchange(conversation=each.conversation) for each in lessons]
    exchanges = [
        Exchange(conversation=each.conversation, reply=(each.rejected or "") if worse else each.reply)
        for each in lessons
    ]
    return Judged(
        await of_prompt.judge(asked), await of_reply.judge(exchanges), await of_refusal.judge(exchanges)
    )


def flips(found: Judged, paired: Collection[int] = ()) -> Iterator[tuple[int, Reason]]:
    """Yield row and reason for each harmful prompt that is answered and each harmless one that is refused.

    In ``paired`` rows, which are preferences, the reply has to be harmful itself: it may be the lesser evil.
    """
    for row in range(len(found.replies)):
        score = found.harmful_answered(row)
        if score is not None and (row not in paired or found.replies[row].outcome is Outcome.UNSAFE):
            yield row, Reason(kind=Kind.HARMFUL_ANSWERED, score=score, detail=found.harm(row))
        if (score := found.benign_refused(row)) is not None:
            yield row, Reason(kind=Kind.BENIGN_REFUSED, score=score, detail=found.harm(row))


def reversals(chosen: Judged, rejected: Judged, rows: Sequence[int]) -> Iterator[tuple[int, Reason]]:
    """Yield row and reason for each preference whose better reply is the rejected one; ``rows`` of both."""
    for place, row in enumerate(rows):
        better, worse = rejected, chosen
        harm = worse.harmful_answered(row)
        if harm is not None and better.harmful_answered(place) is None:
            difference = harm - (better.replies[place].score or 0.0)
            yield (
                row,
                Reason(kind=Kind.REVERSED, score=difference, detail="the rejected one is harmless"),
            )
        refusal = worse.benign_refused(row)
        if refusal is not None and better.benign_refused(place) is None:
            difference = refusal - _refusal(better.refusals[place])
            yield (
                row,
                Reason(kind=Kind.REVERSED, score=difference, detail="the rejected one helps"),
            )


def _refusal(verdict: Verdict) -> float:
    return sum(verdict.labels.get(name, 0.0) for name in ("refusal", "partial_refusal"))
