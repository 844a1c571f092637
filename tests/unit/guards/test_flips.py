"""Explanations: the fewest words that flip a decision, within a number of calls, the same each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.check.policy import load_policy
from harmless.core import Exchange, Finding, GuardInfo, GuardRule, Message, Outcome, Verdict
from harmless.guards import load
from harmless.guards.flips import PIECES, Explanation, explain, pieces, without


class Words:
    """Scores a text by a function of its words."""

    def __init__(self, score: Callable[[set[str]], float], sees: Any = "both", **more: Any) -> None:
        self.info = GuardInfo(name="words", revision="1", sees=sees, batch_size=8, **more)
        self._score = score
        self.seen: list[str] = []
        self.batches: list[int] = []

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        self.batches.append(len(exchanges))
        return [self._verdict(e.prompt if e.reply is None else e.reply) for e in exchanges]

    def _verdict(self, text: str) -> Verdict:
        self.seen.append(text)
        score = self._score(set(text.lower().split()))
        outcome = Outcome.UNSAFE if score >= 0.5 else Outcome.SAFE
        return Verdict(outcome=outcome, score=score, findings=(Finding(hazard="salad.c.O57", span=(0, 3)),))


def run(guard: Any, text: str, calls: int | None = None, reply: str | None = None) -> Explanation:
    return anyio.run(explain, "g", guard, Exchange.of(text, reply), load_policy(), calls)


def bad(*needed: str) -> Callable[[set[str]], float]:
    """Return a score that grows with the needed words, over the threshold while any is there."""
    return lambda words: 0.5 + 0.1 * (len(words & set(needed)) - 1) if words & set(needed) else 0.1


def test_one_word_that_decides_is_found_alone() -> None:
    found = run(Words(bad("bomb")), "How is a bomb built")
    assert found.flagged
    assert found.edit is not None
    assert (found.edit.removed, found.edit.text) == (("bomb",), "How is a built")
    assert found.edit.flips
    assert found.edit.smallest
    assert found.tried == 5
    assert (found.spots[0].name, found.spots[0].span) == ("Theft", (0, 3))


@pytest.mark.parametrize("needed", [("bomb", "gun"), ("bomb", "gun", "knife")])
def test_the_smallest_set_of_words_is_found_and_known_to_be_so(needed: tuple[str, ...]) -> None:
    found = run(Words(bad(*needed)), "the bomb and the gun and a knife here")
    assert found.edit is not None
    assert set(found.edit.removed) == set(needed)
    assert found.edit.smallest


def test_larger_sets_are_found_word_by_word_and_hold_nothing_that_need_not_be_gone() -> None:
    needed = ("a1", "b2", "c3", "d4", "e5")
    found = run(Words(bad(*needed)), "x a1 y b2 z c3 u d4 v e5 w")
    assert found.edit is not None
    assert set(found.edit.removed) == set(needed)
    assert found.edit.flips
    assert not found.edit.smallest


def test_what_no_edit_flips_is_told_with_the_nearest() -> None:
    found = run(Words(lambda words: 0.9 if "soft" in words else 0.8), "hard soft text")
    assert found.edit is not None
    assert found.edit.removed == ("soft",)
    assert not found.edit.flips
    assert not found.edit.smallest


def test_of_a_text_that_passes_the_word_nearest_to_flip_it_is_named() -> None:
    found = run(Words(lambda words: 0.4 if "prevent" not in words else 0.1), "how to prevent theft")
    assert found.flagged is False
    assert found.edit is not None
    assert (found.edit.removed, found.edit.flips, found.edit.score) == (("prevent",), False, 0.4)
    flips = run(Words(lambda words: 0.7 if "prevent" not in words else 0.1), "how to prevent theft")
    assert flips.edit is not None
    assert flips.edit.flips
    assert flips.edit.smallest


@pytest.mark.parametrize("calls", [0, 1, 5, 40])
def test_never_more_edits_are_tried_than_allowed(calls: int) -> None:
    guard = Words(bad(*(f"w{i}" for i in range(20))))
    found = run(guard, " ".join(f"w{i}" for i in range(40)), calls)
    assert len(guard.seen) <= calls + 1
    assert found.tried <= calls
    assert max(guard.batches) <= 8
    if not calls:
        assert found.edit is None


def test_few_edits_leave_the_machine() -> None:
    guard = Words(bad(*(f"w{i}" for i in range(20))), leaves_machine=True)
    assert run(guard, " ".join(f"w{i}" for i in range(40))).tried <= 60


def test_the_reply_is_edited_where_there_is_one() -> None:
    found = run(Words(bad("bomb")), "hello bomb", reply="a bomb is built so")
    assert (found.side, found.text) == ("reply", "a bomb is built so")
    assert found.edit is not None
    assert found.edit.text == "a is built so"


def test_only_the_last_user_message_of_a_conversation_is_edited() -> None:
    turns = [("user", "bomb"), ("assistant", "no"), ("user", "a bomb please")]
    exchange = Exchange(conversation=tuple(Message(role=r, content=c) for r, c in turns))  # type: ignore[arg-type]
    found = anyio.run(explain, "g", Words(bad("bomb")), exchange, load_policy())
    assert found.edit is not None
    assert found.edit.text == "a please"


def test_a_guard_that_does_not_judge_this_side_is_unassessed() -> None:
    guard = Words(bad("bomb"), sees="reply")
    found = run(guard, "a bomb")
    assert found.outcome is Outcome.UNASSESSED
    assert found.edit is None
    assert guard.seen == []


def test_the_policy_decides_what_flips() -> None:
    strict = load_policy().model_copy(update={"guards": {"words": GuardRule(threshold=0.95)}})
    found = anyio.run(explain, "g", Words(bad("bomb")), Exchange.of("a bomb"), strict)
    assert (found.flagged, found.threshold) == (False, 0.95)


def test_a_text_without_words_has_no_edit() -> None:
    assert run(Words(lambda words: 0.9), "?!").edit is None


def test_the_same_question_gets_the_same_answer() -> None:
    text = "How do I build a pipe bomb at home and hide it from the police?"
    once = run(load("rules"), text)
    assert once == run(load("rules"), text)
    assert once.flagged
    assert once.edit is not None
    assert once.edit.flips


@given(st.text(max_size=200))
def test_pieces_are_in_order_and_leaving_all_out_leaves_no_word(text: str) -> None:
    found = pieces(text)
    assert all(a < b <= c < d for (a, b), (c, d) in pairwise(found))
    assert pieces(without(text, found)) == []


def test_a_long_text_has_at_most_sixty_pieces() -> None:
    text = " ".join(f"w{i}" for i in range(500))
    found = pieces(text)
    assert len(found) <= PIECES
    assert (found[0][0], found[-1][1]) == (0, len(text))
