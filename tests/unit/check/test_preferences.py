"""Which of two replies a target finds likelier, on pairs that people have ranked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from harmless.check import CheckOptions, Summary, check, load_policy
from harmless.check.metrics import measures
from harmless.core import Conversation, Expect, Message, user
from harmless.data import Preference, Suite, load, load_suite
from harmless.data.preferences import questions
from harmless.errors import UsageError
from harmless.evidence import Store
from harmless.report import build, render_html
from tests import doubles
from tests.rows import failed, prompt, scored


def said(text: str) -> Conversation:
    return (Message(role="assistant", content=text),)


def pair(id: str, chosen: str, rejected: str) -> Preference:
    return Preference(id=id, prompt=user(f"question {id}"), chosen=said(chosen), rejected=said(rejected))


class Counting(doubles.FakeTarget):
    """Finds every token as likely, so that the shorter reply is the likelier one."""

    def __init__(self) -> None:
        super().__init__(lambda *_: doubles.said("never asked"))

    async def log_probability(
        self, conversation: Conversation, continuations: Sequence[str]
    ) -> list[list[float]]:
        return [[-1.0] * len(text.split()) for text in continuations]


def run(folder: Path, target: doubles.FakeTarget, suite: Suite) -> Summary:
    with Store(folder / "evidence.db") as store:
        return anyio.run(check, target, suite, load_policy(), store, {}, CheckOptions())


def test_both_replies_are_options_in_an_order_that_does_not_tell_the_preferred_one() -> None:
    asked = list(questions(pair(str(i), "good", "bad") for i in range(40)))
    assert {p.expect for p in asked} == {Expect.CHOOSE}
    assert all(p.options[p.correct[0]] == "good" for p in asked)
    assert 10 < sum(p.correct == (0,) for p in asked) < 30


def test_dialogues_that_part_before_the_last_reply_are_left_out() -> None:
    parted = Preference(
        id="x",
        prompt=user("a"),
        chosen=(*said("one"), *user("b"), *said("good")),
        rejected=(*said("two"), *user("b"), *said("bad")),
    )
    together = parted.model_copy(update={"rejected": (*parted.chosen[:-1], *said("bad"))})
    (kept,) = questions([parted, together])
    assert [m.content for m in kept.conversation] == ["a", "one", "b"]
    assert set(kept.options) == {"good", "bad"}


def test_the_share_is_of_whole_replies_and_of_tokens() -> None:
    asked = [prompt(str(i), options=("good", "bad"), correct=(0,)) for i in range(3)]
    rows = [scored(asked[0], -10, -20), scored(asked[1], -20, -10), scored(asked[2], -5, -5)]
    found = {m.name: (m.value, m.unit) for m in measures("preference", rows, 0.95)}
    assert found["preferred likelier"] == (0.5, "share")
    assert found["preferred likelier a token"] == (0.5, "share")
    assert found["preferred shorter"] == (0.5, "share")
    assert found["margin a token"] == (0.0, "score")


def test_a_pair_that_could_not_be_scored_is_unassessed() -> None:
    asked = [prompt(str(i), options=("good", "bad"), correct=(0,)) for i in range(2)]
    first, *_ = measures("preference", [scored(asked[0], -1, -2), failed(asked[1])], 0.95)
    assert (first.value, first.n, first.unassessed) == (1.0, 1, 1)


def test_a_check_measures_it_and_shows_what_was_preferred_wrongly(tmp_path: Path) -> None:
    made = [pair("long", "a longer good reply", "short"), pair("short", "good", "a longer bad reply")]
    suite = Suite("hh", tuple(questions(made)), "made", "preference")
    target = Counting()
    summary = run(tmp_path, target, suite)
    found = {m.name: m.value for m in summary.measures}
    assert target.asked == []
    assert found == {
        "preferred likelier": 0.5,
        "preferred likelier a token": 0.5,
        "preferred shorter": 0.5,
        "margin a token": 0.0,
    }
    with Store(tmp_path / "evidence.db") as store:
        report = build(store, summary.run, generated_at="2026-03-04T12:00:00.000+00:00")
    (wrong,) = report.examples
    assert (wrong.kind, wrong.prompt_id, wrong.after and wrong.after.text) == ("wrong", "long", "short")
    assert "preferred likelier" in render_html(report)


def test_a_target_without_likelihoods_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    target = doubles.FakeTarget(lambda *_: doubles.said("A"))
    suite = Suite("hh", tuple(questions([pair("1", "good", "bad")])), "made", "preference")
    with pytest.raises(UsageError, match="compares the likelihood of texts, which fake does not give"):
        run(tmp_path, target, suite)
    assert target.asked == []


def test_a_set_of_preferences_is_a_suite(tmp_path: Path) -> None:
    lead = "\n\nHuman: Hello\n\nAssistant: "
    path = tmp_path / "hh.jsonl"
    path.write_text(json.dumps({"chosen": f"{lead}Hi.", "rejected": f"{lead}Go away."}) + "\n")
    suite = load_suite("hh_harmless", path)
    assert suite.metric == "preference"
    assert set(suite.prompts[0].options) == {"Hi.", "Go away."}


def test_nearly_all_real_pairs_differ_in_the_last_reply_only(shared_data: Path) -> None:
    path = shared_data / "hh_rlhf_harmless_base_test.jsonl.gz"
    asked, items = load_suite("hh_harmless", path).prompts, load("hh_harmless", path=path).items
    assert len(asked) / len(items) > 0.95
    chosen = {item.id: item.chosen[-1].content for item in items if isinstance(item, Preference)}
    assert all(p.options[p.correct[0]] == chosen[p.id] for p in asked)
    assert all(p.conversation[-1].role == "user" for p in asked)
