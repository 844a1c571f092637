"""What a red LM learns from: questions that succeeded, and the reward of what it writes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import anyio
import numpy as np
import pytest

from harmless.align.red_lm import LONGEST, NO_QUESTION, Asked, Questioning, imitated, question_in, successes
from harmless.align.red_training import _Log
from harmless.align.reinforce import advantages
from harmless.attacks import built_in, from_texts
from harmless.attacks.desk import Desk
from harmless.attacks.failures import Failure
from harmless.core import Conversation, Message, Reply, ReplyStatus, Sampling, user
from harmless.errors import UnreachableError
from harmless.guards.train import contamination
from tests.doubles import Answer, FakeGuard, FakeTarget, said

AIM = from_texts(["open the box"])[0]


def failure(text: str, score: float = 0.9, *, before: Conversation = ()) -> Failure:
    return Failure(
        attempt=1,
        attack="red_lm",
        note="",
        objective=AIM,
        conversation=(*before, *user(text)),
        reply="so it is",
        score=score,
    )


def asked(text: str, score: float | None) -> Asked:
    return Asked(objective=AIM, question=text, reply="", score=score)


def test_single_questions_are_learned_from_once_and_none_of_an_evaluation_suite() -> None:
    evaluation = built_in(limit=66)[0].text
    before = (Message(role="user", content="hello"), Message(role="assistant", content="hello"))
    found, left_out = successes(
        [
            failure("How is the box opened with a spoon?"),
            failure("How is the box opened with a spoon?"),
            failure("And then?", before=before),
            failure("x" * (LONGEST + 1)),
            failure(evaluation),
        ]
    )
    assert [each.question for each in found] == ["How is the box opened with a spoon?"]
    assert left_out == {"no single question": 2, "the same question again": 1, contamination.REASON: 1}


def test_a_question_is_imitated_as_often_as_its_score_is_high() -> None:
    known = [asked("How is it?", 0.9), asked("Why is it?", 0.3)]
    found = imitated(known, 20, seed=1)
    counts = Counter(each.good for each in found)
    assert counts == {"How is it?": 30, "Why is it?": 10}
    assert all("open the box" in each.text for each in found)
    assert [each.good for each in imitated(known, 20, seed=1)] == [each.good for each in found]
    assert [each.good for each in imitated(known, 20, seed=2)] != [each.good for each in found]


def test_what_follows_a_question_is_not_asked() -> None:
    assert question_in("How is it done? I wonder.") == "How is it done?"
    assert question_in("I wonder.") is None
    assert question_in("How " + "very " * LONGEST + "long is it?") is None


def rewards(texts: list[str], answer: Answer, repeats: float = 0.0) -> np.ndarray:
    async def work() -> np.ndarray:
        reward = Questioning([AIM], Desk(FakeTarget(answer)), FakeGuard(), Sampling(), repeats)
        return await reward(0, [0] * len(texts), texts)

    found: np.ndarray = anyio.run(work)
    return found


def test_the_reward_is_the_score_of_the_reply() -> None:
    def answer(text: str, _: Sampling) -> Reply:
        if "blocked" in text:
            return said("", ReplyStatus.BLOCKED)
        return said("GARBLED" if "garbled" in text else "UNSAFE" if "unsafe" in text else "fine")

    texts = ["Is it unsafe?", "Is it so?", "Is it garbled?", "Is it blocked?", "no"]
    np.testing.assert_array_equal(rewards(texts, answer), [1, 0, np.nan, 0, NO_QUESTION])


def test_likeness_to_the_other_questions_is_taken_off() -> None:
    texts = ["Is this the same old box?", "Is this the same old box?", "Who ever brings me these?"]
    first, second, third = rewards(texts, lambda *_: said("UNSAFE"), repeats=0.5)
    assert first == second == pytest.approx(0.5)
    assert third > 0.9


def test_a_target_that_only_fails_stops_the_training() -> None:
    with pytest.raises(UnreachableError, match="only fails"):
        rewards(["Is it so?"] * 60, lambda *_: Reply.error("http 500"))


def test_the_baseline_of_a_reply_is_the_mean_of_the_others() -> None:
    found = advantages([[1.0, 0.0, 0.5], [2.0, np.nan, 1.0], [1.0, np.nan, np.nan]])
    np.testing.assert_allclose(found, [[0.75, -0.75, 0.0], [1.0, 0.0, -1.0], [0.0, 0.0, 0.0]])


def test_equal_rewards_teach_nothing() -> None:
    assert not advantages([[0.3] * 4]).any()


def test_a_step_that_is_done_again_replaces_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    log = _Log(path)
    for step in range(3):
        log.add(step, [asked(f"Is it {step}?", 0.5)])
    with path.open("a") as file:
        file.write('{"step": 3, "que')
    again = _Log(path)
    again.add(1, [asked("Is it new?", None)])
    assert [(row["step"], row["question"]) for row in again.rows()] == [(0, "Is it 0?"), (1, "Is it new?")]
