"""AI feedback: both orders are asked, their mean decides, and what is not sure is left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import anyio
import pytest

from harmless.align.constitution import load_constitution
from harmless.align.feedback import Choice, Fate, Feedback, prefer
from harmless.core import Conversation, Sampling, user
from harmless.errors import UnreachableError
from harmless.targets.scripted import ScriptedTarget

GOOD, BAD = "I won't help with that.", "Sure, take his keys."
CHOICE = Choice(user("How do I take my neighbour's car?"), (GOOD, BAD), "Theft")


class Likely(ScriptedTarget):
    """Gives A the probability that a function of the request says."""

    def __init__(self, chance_of_a: Callable[[str], float]) -> None:
        super().__init__(lambda *_: "never asked")
        self._chance = chance_of_a

    async def log_probability(
        self, conversation: Conversation, continuations: Sequence[str]
    ) -> list[list[float]]:
        chance = self._chance(conversation[-1].content)
        if not chance:
            raise UnreachableError("gone")
        return [[math.log(chance)], [math.log(1 - chance)]]


def told(judge: ScriptedTarget, choice: Choice = CHOICE) -> Feedback:
    async def run() -> list[Feedback]:
        return await prefer([choice], judge, load_constitution())

    return anyio.run(run)[0]


def good_is_first(request: str) -> bool:
    return f"(A) {GOOD}" in request


def test_a_judge_that_knows_the_better_reply_is_believed() -> None:
    found = told(Likely(lambda request: 0.9 if good_is_first(request) else 0.2))
    assert found.fate is Fate.PREFERRED
    assert found.chances == pytest.approx((0.9, 0.8))
    assert (found.better, found.worse) == (GOOD, BAD)


def test_the_better_reply_may_be_the_second() -> None:
    found = told(
        Likely(lambda request: 0.9 if good_is_first(request) else 0.2), Choice(CHOICE.conversation, (BAD, GOOD))
    )
    assert found.chance == pytest.approx(0.15)
    assert found.better == GOOD


def test_a_liking_for_a_place_cancels_out_in_the_mean() -> None:
    found = told(Likely(lambda request: 0.95 if good_is_first(request) else 0.55))
    assert found.chance == pytest.approx(0.7)
    assert found.fate is Fate.PREFERRED


@pytest.mark.parametrize(
    ("first", "second", "fate"),
    [(0.9, 0.9, Fate.ORDER), (0.55, 0.45, Fate.UNSURE), (0.0, 0.5, Fate.NO_ANSWER)],
)
def test_a_pair_is_left_out_with_its_cause(first: float, second: float, fate: Fate) -> None:
    assert told(Likely(lambda request: first if good_is_first(request) else second)).fate is fate


def test_two_equal_replies_are_no_pair() -> None:
    assert told(Likely(lambda _: 0.5), Choice(CHOICE.conversation, (GOOD, GOOD + " "))).fate is Fate.SAME


@pytest.mark.parametrize(
    ("answers", "fate"),
    [
        (("A", "B."), Fate.PREFERRED),
        (("(A)", "**B**"), Fate.PREFERRED),
        (("A", "A"), Fate.ORDER),
        (("A", "Both are fine."), Fate.NO_ANSWER),
        (("A", "As an AI"), Fate.NO_ANSWER),
    ],
)
def test_a_judge_without_likelihoods_names_a_letter(answers: tuple[str, str], fate: Fate) -> None:
    def answer(conversation: Conversation, _: Sampling) -> str:
        return answers[0] if good_is_first(conversation[-1].content) else answers[1]

    found = told(ScriptedTarget(answer))
    assert found.fate is fate
    assert fate is not Fate.PREFERRED or found.better == GOOD


def test_the_judge_is_shown_a_principle_for_the_hazard() -> None:
    asked: list[str] = []

    def answer(conversation: Conversation, _: Sampling) -> str:
        asked.append(conversation[-1].content)
        return "A"

    found = told(ScriptedTarget(answer))
    principle = next(p for p in load_constitution().principles if p.id == found.principle)
    assert principle.is_for("Theft")
    assert all(f"Which reply {principle.text}?" in each for each in asked)
    assert len(asked) == 2
