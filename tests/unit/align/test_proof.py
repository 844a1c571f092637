"""The proof: targets side by side on the same plan, and which of them no other beats."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import pytest

from harmless import attacks
from harmless.align.helpfulness import with_wins
from harmless.align.proof import Proof, prove
from harmless.check import CheckOptions, check, load_policy
from harmless.core import Conversation, Reply, Sampling
from harmless.data import Suite, load_suite
from harmless.errors import UnlikePlansError, UsageError
from harmless.evidence import Store
from harmless.guards.llm_judge import Asking, LlmJudge
from harmless.guards.rubric import load_rubric
from harmless.targets.scripted import ScriptedTarget
from tests.doubles import FakeTarget, judges, said

NO = "REFUSE. I won't help with that, because people could be hurt. Please call a crisis line."
BARE = "REFUSE. Sorry."


class Model(FakeTarget):
    """Answers by a function, and finds every word of a text as likely as ``chance``."""

    def __init__(self, name: str, answer: Callable[[str], str], chance: float = 0.5) -> None:
        super().__init__(lambda prompt, _: said(answer(prompt)), name=name)
        self._chance = chance

    async def log_probability(
        self, conversation: Conversation, continuations: Sequence[str]
    ) -> list[list[float]]:
        return [[math.log(self._chance)] * len(text.split()) for text in continuations]


def suite(folder: Path, harmful: int = 6, benign: int = 4) -> Suite:
    path = folder / "mine.jsonl"
    rows = [
        {"prompt": f"harmful {i}", "expect": "refuse", "hazard": "O62" if i < 2 else "O57"}
        for i in range(harmful)
    ]
    rows += [{"prompt": f"benign {i}", "expect": "answer"} for i in range(benign)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_suite(str(path))


def run(store: Store, target: FakeTarget, asked: Suite) -> str:
    return anyio.run(check, target, asked, load_policy(), store, judges(), CheckOptions()).run


def refusing(harmful: int, benign: int, how: str = NO) -> Callable[[str], str]:
    """Return what refuses so many of the harmful and of the benign prompts."""

    def answer(prompt: str) -> str:
        kind, number = prompt.split()
        if int(number) < (harmful if kind == "harmful" else benign):
            return how
        return "UNSAFE: do it so" if kind == "harmful" else f"The answer to {prompt}."

    return answer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "evidence.db")


BASE, GOOD, BLUNT, WORSE = (
    Model("base", refusing(0, 0)),
    Model("good", refusing(6, 0)),
    Model("blunt", refusing(6, 4, BARE)),
    Model("worse", refusing(3, 4, BARE)),
)


def test_targets_stand_side_by_side_with_what_changed_from_the_first(tmp_path: Path, store: Store) -> None:
    asked = suite(tmp_path)
    proof = prove(store, [run(store, target, asked) for target in (BASE, GOOD, BLUNT)])
    base, good, blunt = proof.standings
    assert [each.target for each in proof.standings] == ["base", "good", "blunt"]
    assert (base.unsafe.rate, good.unsafe.rate, blunt.over_refusal.rate) == (1.0, 0.0, 1.0)
    assert base.unsafe_change is None
    assert good.unsafe_change is not None
    assert (good.unsafe_change.fixed, good.unsafe_change.broke) == (6, 0)
    assert blunt.over_refusal_change is not None
    assert blunt.over_refusal_change.broke == 4


def test_the_front_has_those_that_no_other_beats(tmp_path: Path, store: Store) -> None:
    asked = suite(tmp_path)
    proof = prove(store, [run(store, target, asked) for target in (BASE, BLUNT, WORSE)])
    assert [each.on_front for each in proof.standings] == [True, True, False]
    assert [each.target for each in proof.front] == ["blunt", "base"]
    better = prove(store, [run(store, target, asked) for target in (BASE, BLUNT, GOOD)])
    assert [each.target for each in better.front] == ["good"]


def test_equal_targets_are_both_on_the_front(tmp_path: Path, store: Store) -> None:
    asked, twin = suite(tmp_path), Model("twin", refusing(6, 0))
    proof = prove(store, [run(store, target, asked) for target in (GOOD, twin)])
    assert [each.on_front for each in proof.standings] == [True, True]


def test_refusals_are_looked_at_for_reason_way_on_and_help(tmp_path: Path, store: Store) -> None:
    asked = suite(tmp_path)
    base, good, blunt = prove(store, [run(store, t, asked) for t in (BASE, GOOD, BLUNT)]).standings
    assert base.refusals.reason.rate is None
    assert (good.refusals.reason.rate, good.refusals.evasive.rate) == (1.0, 0.0)
    assert (good.refusals.help.rate, good.refusals.help.n) == (1.0, 2)  # the two prompts about self-harm
    assert (blunt.refusals.evasive.rate, blunt.refusals.reason.n) == (1.0, 6)
    assert (base.alike, blunt.alike) == (1.0, None)  # "The answer to benign ..." four times; no answer


def test_perplexity_is_compared_text_by_text(tmp_path: Path, store: Store) -> None:
    asked, prose = suite(tmp_path), load_suite("prose").limited(5)
    damaged = Model("damaged", refusing(6, 0), chance=0.4)
    runs = [run(store, target, each) for target in (BASE, damaged) for each in (asked, prose)]
    base, after = prove(store, runs).standings
    assert base.perplexity is not None
    assert after.perplexity is not None
    assert after.surprise is not None
    assert (base.perplexity.value, after.perplexity.value) == pytest.approx((2.0, 2.5))
    assert (after.surprise.value, after.surprise.n) == pytest.approx((0.25, 5))
    assert base.surprise is None


def test_accuracy_on_a_task_is_compared(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "task.jsonl"
    path.write_text(
        json.dumps({"prompt": "Wet?", "expect": "choose", "options": ["fire", "water"], "correct": "B"})
    )
    asked, task = suite(tmp_path), load_suite(str(path))

    def right(prompt: str) -> str:
        return "B" if prompt.startswith("Wet") else refusing(0, 0)(prompt)

    def wrong(prompt: str) -> str:
        return "A" if prompt.startswith("Wet") else refusing(6, 0)(prompt)

    targets = (Model("knows", right), Model("forgot", wrong))
    before, after = prove(store, [run(store, t, each) for t in targets for each in (asked, task)]).standings
    assert (before.accuracy["task.jsonl"].rate, after.accuracy["task.jsonl"].rate) == (1.0, 0.0)
    assert after.accuracy_change["task.jsonl"].difference == -1.0


def test_attacks_on_the_same_objectives_stand_side_by_side(tmp_path: Path, store: Store) -> None:
    asked = suite(tmp_path)

    def attacked(target: Model, texts: Sequence[str]) -> str:
        async def go() -> str:
            aims, known = attacks.from_texts(texts), [attacks.load("direct")]
            return (await attacks.attack(target, aims, known, load_policy(), store, judges())).run

        return anyio.run(go)

    texts = ["harmful 1", "harmful 5"]
    half = Model("half", refusing(3, 0))
    runs = [each for t in (BASE, half) for each in (run(store, t, asked), attacked(t, texts))]
    base, after = prove(store, runs).standings
    assert (base.attacks["direct"].rate, after.attacks["direct"].rate) == (1.0, 0.5)
    with pytest.raises(UnlikePlansError, match="differ in objectives"):
        prove(store, [*runs[:3], attacked(half, ["harmful 2", "harmful 5"])])


def test_ordinary_prompts_are_those_without_a_hazard(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "mixed.jsonl"
    rows = [("harmful 0", "refuse", "O57"), ("benign 0", "answer", "O57"), ("benign 5", "answer", None)]
    path.write_text("".join(json.dumps({"prompt": p, "expect": e, "hazard": h}) + "\n" for p, e, h in rows))
    (standing,) = prove(store, [run(store, Model("x", refusing(1, 1)), load_suite(str(path)))]).standings
    assert (standing.over_refusal.rate, standing.ordinary.rate, standing.ordinary.n) == (0.5, 0.0, 1)


def test_domains_of_the_harmful_prompts_are_apart(tmp_path: Path, store: Store) -> None:
    asked, half = suite(tmp_path), Model("half", refusing(2, 0))
    (standing,) = prove(store, [run(store, half, asked)]).standings
    assert {name: rate.rate for name, rate in standing.domains.items()} == {
        "Human Autonomy & Integrity": 0.0,
        "Malicious Use": 1.0,
    }


def test_runs_that_cannot_be_proved_with_are_named(tmp_path: Path, store: Store) -> None:
    asked = suite(tmp_path)
    first = run(store, BASE, asked)
    prose = run(store, GOOD, load_suite("prose").limited(2))
    with pytest.raises(UsageError, match="no suite with harmful and benign prompts in common"):
        prove(store, [first, prose])
    fresh = anyio.run(check, BASE, asked, load_policy(), store, judges(), CheckOptions(fresh=True)).run
    with pytest.raises(UsageError, match="base has two runs"):
        prove(store, [first, fresh])
    other = run(store, GOOD, suite(tmp_path, harmful=5))
    with pytest.raises(UnlikePlansError):
        prove(store, [first, other])
    with pytest.raises(UsageError, match="No run"):
        prove(store, [])


def judge(better: str) -> LlmJudge:
    """Return a judge that prefers the reply with a certain word."""

    def answer(conversation: Conversation, _: Sampling) -> Reply:
        asked = conversation[-1].content
        if "unsure" in asked:
            return said("I cannot say.")
        first = asked.split("Second reply:")[0]
        found = "first" if better in first else "second" if better in asked else "tie"
        return said(json.dumps({"reason": "it fits", "better": found, "key": "k"}))

    return LlmJudge([ScriptedTarget(answer)], load_rubric("helpfulness"), Asking(key=lambda: "k"))


def wins(store: Store, proof: Proof, better: str, limit: int | None = None) -> tuple[float | None, int, int]:
    found = anyio.run(lambda: with_wins(proof, store, judge(better), limit=limit))
    assert found.standings[0].wins is None
    measure = found.standings[1].wins
    assert measure is not None
    return measure.value, measure.n, measure.unassessed


def test_a_judge_compares_the_replies_to_benign_prompts(tmp_path: Path, store: Store) -> None:
    asked = suite(tmp_path)
    proof = prove(store, [run(store, target, asked) for target in (BASE, Model("half", refusing(6, 2)))])
    assert wins(store, proof, better="answer") == (0.25, 4, 0)  # two lost, two are the same reply
    assert wins(store, proof, better="REFUSE") == (0.75, 4, 0)
    assert wins(store, proof, better="answer", limit=3)[1] == 3


def test_what_the_judge_does_not_answer_is_unassessed(tmp_path: Path, store: Store) -> None:
    asked = suite(tmp_path)
    unsure = Model("unsure", lambda prompt: "unsure " + refusing(6, 0)(prompt))
    proof = prove(store, [run(store, target, asked) for target in (BASE, unsure)])
    assert wins(store, proof, better="answer") == (None, 0, 4)
