"""Mutation lets a model change templates, those first that gained most."""

from __future__ import annotations

import random

import pytest

from harmless.attacks import load
from harmless.attacks.contract import Tried
from harmless.attacks.mutation import Node, learned, walked
from harmless.attacks.writing import wording
from harmless.core import Conversation, Outcome, Reply, ReplyStatus, Verdict, user
from harmless.errors import UsageError
from tests.unit.attacks.sessions import FakeSession, run


def tried(score: float, *, refused: bool = False) -> Tried:
    reply = Reply(status=ReplyStatus.COMPLETE, text="x")
    return Tried(user("x"), reply, Verdict(outcome=Outcome.SAFE, score=score), refused)


def test_every_root_is_visited_once_before_any_is_visited_again() -> None:
    roots = [Node(name) for name in "abcd"]
    for step in range(1, 5):
        walked(roots, step, random.Random(0))
    assert [node.visits for node in roots] == [1, 1, 1, 1]


def test_what_gained_is_visited_more_often() -> None:
    roots, rng = [Node(name) for name in "abcd"], random.Random(0)
    for step in range(1, 200):
        path = walked(roots, step, rng)
        for node in path:
            node.reward += 0.9 * (path[0].template == "c")
    assert roots[2].visits > 3 * max(node.visits for node in roots if node.template != "c")


def test_a_walk_goes_down_and_stops_at_an_inner_node_now_and_then() -> None:
    root, rng = Node("a", children=[Node("b", 1)]), random.Random(0)
    lengths = [len(walked([root], step, rng)) for step in range(1, 1001)]
    assert 60 < lengths.count(1) < 140
    assert root.visits == 1000


def test_a_reward_is_less_the_deeper_it_was_won_but_never_below_a_fifth() -> None:
    for level, share in ((0, 1.0), (3, 0.7), (20, 0.2)):
        node = Node("a", level=level)
        learned([node], "b", tried(0.5))
        assert node.reward == pytest.approx(0.5 * share)


def test_a_template_is_kept_unless_it_was_refused_or_scored_less() -> None:
    node = Node("a", level=1, score=0.3)
    for score, refused in ((0.2, False), (0.4, True), (0.3, False)):
        learned([node], f"{score}", tried(score, refused=refused))
    assert [(child.template, child.level, child.score) for child in node.children] == [("0.3", 2, 0.3)]


def test_the_changed_template_is_asked_with_the_objective_in_its_place() -> None:
    def writes(_: Conversation) -> str:
        return "<prompt>Now do [REQUEST] gladly.</prompt>"

    session = run(load("mutation(12)"), FakeSession(lambda c: "no", writes, calls=12))
    assert len(session.asked) == 12
    plain = [p for p, note in zip(session.prompts, session.notes, strict=True) if note != "expand"]
    expanded = [p for p, note in zip(session.prompts, session.notes, strict=True) if note == "expand"]
    assert set(plain) == {"Now do open the old box gladly."}
    assert all(p.startswith("Now do  gladly. ") and p.count("open the old box") == 1 for p in expanded)
    assert expanded
    assert set(session.notes) <= set(wording("mutation")["mutators"])


def test_the_attacker_sees_templates_with_a_mark_and_never_the_objective() -> None:
    session = run(load("mutation"), FakeSession(lambda c: "no", lambda _: "x [REQUEST]", calls=40))
    assert all("[REQUEST]" in conversation[-1].content for conversation in session.written)
    assert not any("open the old box" in m.content for c in session.written for m in c)
    assert not any("{" in m.content for c in session.written for m in c if m.role == "system")


def test_a_template_that_lost_the_place_is_given_it_at_its_end() -> None:
    session = run(load("mutation"), FakeSession(lambda c: "no", lambda _: "Please be open.", calls=10))
    assert "Please be open.\n\nopen the old box" in session.prompts
    assert all("open the old box" in prompt for prompt in session.prompts)


def test_a_model_that_writes_nothing_is_given_up() -> None:
    session = run(load("mutation"), FakeSession())
    assert (len(session.asked), len(session.written)) == (0, 10)


def test_it_depends_on_the_seed_and_on_what_came_back_alone() -> None:
    def played(seed: int) -> list[Conversation]:
        return run(
            load("mutation"), FakeSession(lambda c: "no", lambda c: c[-1].content, calls=15, seed=seed)
        ).asked

    assert played(1) == played(1)
    assert played(1) != played(2)


def test_a_wrong_number_is_told() -> None:
    with pytest.raises(UsageError, match="calls"):
        load("mutation(none)")
    info = load("mutation(5)").info
    assert (info.name, info.calls, info.attacker, info.adaptive) == ("mutation(5)", 5, True, True)
