"""Examples as trees: what is learned of each reply, and where two replies part."""

from __future__ import annotations

import pytest

from harmless.align.examples import Example
from harmless.align.settings import Tuning
from harmless.core import Expect, user
from harmless.errors import UsageError

pytestmark = pytest.mark.hf
pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("transformers", reason="needs transformers (extra hf)")

from harmless.align.encoding import encoded  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402
from tests.tiny import saved  # noqa: E402


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(str(saved(tmp_path_factory.mktemp("tiny"))), "cpu")


def example(good: str, bad: str) -> Example:
    return Example(conversation=user("a"), good=good, bad=bad, expect=Expect.REFUSE)


def said(local: LocalModel, tokens: tuple[int, ...]) -> str:
    text: str = local.tokenizer.decode(tokens)
    return text


def test_what_decides_is_counted_from_where_the_replies_part(local: LocalModel) -> None:
    tuning = Tuning(loss="simpo", decision=2, opening=1)
    (whole, short) = encoded(local, [example("I can't do it", "I can do it")] * 2, tuning).trees
    assert whole.decided == short.decided == len("I can") + 2
    assert [said(local, reply) for reply in whole.replies] == ["I can't do it<|end|>", "I can d"]
    # The opening is never shorter than what decides.
    assert [said(local, reply) for reply in short.replies] == ["I can't", "I can d"]


def test_without_a_decision_both_replies_count_whole(local: LocalModel) -> None:
    (tree,) = encoded(local, [example("No.", "Yes")], Tuning(loss="dpo")).trees
    assert tree.decided is None
    assert [said(local, reply) for reply in tree.replies] == ["No.<|end|>", "Yes"]


def test_replies_that_do_not_part_teach_no_preference(local: LocalModel) -> None:
    with pytest.raises(UsageError, match="begins as the good one does"):
        encoded(local, [example("No, never", "No")], Tuning(loss="dpo"))


def test_own_replies_are_looked_at_as_far_as_they_decide_and_now_and_then_further(local: LocalModel) -> None:
    own = example("Yes, it is", "No").model_copy(update={"expect": Expect.ANSWER, "own": True})
    tuning = Tuning(loss="simpo", decision=1, opening=3)
    trees = encoded(local, [own] * 5, tuning).trees
    assert [said(local, tree.replies[0]) for tree in trees] == [
        "Yes, it is<|end|>",
        "Y",
        "Y",
        "Y",
        "Yes, it is<|end|>",
    ]
    assert all(tree.own for tree in trees)
    imitated = encoded(local, [own] * 2, tuning.model_copy(update={"hold": 0.0})).trees
    assert [said(local, tree.replies[0]) for tree in imitated] == ["Yes, it is<|end|>", "Yes"]
    assert not any(tree.own for tree in imitated)


def test_what_is_said_to_people_in_danger_is_learned_whole(local: LocalModel) -> None:
    usual, danger = (example("No, call a doctor", "Yes").model_copy(update={"hazard": hazard})
                     for hazard in ("salad.c.O1", "salad.c.O62"))  # fmt: skip
    tuning = Tuning(loss="simpo", decision=1, opening=2)
    trees = encoded(local, [usual, usual, danger], tuning).trees
    assert [said(local, tree.replies[0]) for tree in trees[1:]] == ["No", "No, call a doctor<|end|>"]
