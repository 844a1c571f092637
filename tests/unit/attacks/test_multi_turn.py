"""Attacks that lead conversations: what they ask, keep, take back, and when they give up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harmless.attacks import load
from harmless.attacks.goat import read
from harmless.attacks.writing import wording
from harmless.core import Conversation, Reply
from harmless.errors import UsageError
from tests.unit.attacks.sessions import FakeSession, run

SPECS = ("crescendo", "goat", "actor", "echo_chamber")


def counting(prefix: str = "message") -> Callable[[Conversation], str]:
    """A writer whose texts are numbered."""
    numbers = iter(range(1, 10_000))
    return lambda _: f"<prompt>{prefix} {next(numbers)}</prompt>"


def agrees(conversation: Conversation) -> str:
    return f"yes to {conversation[-1].content}"


@pytest.mark.parametrize("spec", SPECS)
def test_an_attacker_that_always_refuses_ends_the_attack(spec: str) -> None:
    session = run(load(spec), FakeSession(agrees, lambda _: "REFUSE"))
    assert len(session.asked) <= load(spec).info.calls
    assert len(session.written) <= 12


@pytest.mark.parametrize("spec", SPECS)
def test_conversations_grow_by_the_targets_own_replies(spec: str) -> None:
    session = run(load(spec), FakeSession(agrees, lambda _: "1. first?\n2. second?\n3. third?", calls=6))
    longest = max(session.asked, key=len)
    assert len(longest) >= 5
    for question, reply in zip(longest[::2], longest[1::2], strict=False):
        assert (question.role, reply.role) == ("user", "assistant")
        assert reply.content == f"yes to {question.content}"


@pytest.mark.parametrize("spec", SPECS)
def test_they_end_with_a_success(spec: str) -> None:
    session = FakeSession(lambda c: "UNSAFE" if len(c) > 2 else "hm", lambda _: "1. first?\n2. second?")
    run(load(spec), session)
    assert session.reached
    assert len(session.asked) == 2


@pytest.mark.parametrize("spec", SPECS)
def test_a_target_that_only_fails_is_not_asked_for_ever(spec: str) -> None:
    session = run(load(spec), FakeSession(lambda _: Reply.error("http 500"), counting(), calls=60))
    assert len(session.asked) <= 60
    assert all(len(conversation) == 1 for conversation in session.asked)


def test_crescendo_takes_back_what_was_refused_and_remembers_it() -> None:
    session = FakeSession(
        lambda c: "REFUSE" if c[-1].content == "message 2" else f"fine {c[-1].content}", counting(), calls=4
    )
    run(load("crescendo"), session)
    assert session.prompts == [f"message {n}" for n in (1, 2, 3, 4)]
    assert [m.content for m in session.asked[3] if m.role == "user"] == ["message 1", "message 3", "message 4"]
    assert session.notes == ["turn 1", "turn 2", "turn 2, 1 taken back", "turn 3, 1 taken back"]
    told = [conversation[-1].content for conversation in session.written]
    assert "message 2" not in told[1]
    assert all("refused these messages" in text and "message 2" in text for text in told[2:])
    assert "fine message 1" in told[2]


def test_crescendo_begins_anew_after_its_turns_or_backtracks() -> None:
    session = run(load("crescendo(2, 3)"), FakeSession(agrees, counting(), calls=5))
    assert [len(conversation) for conversation in session.asked] == [1, 3, 1, 3, 1]
    session = run(load("crescendo(2, 3)"), FakeSession(writer=counting(), calls=6))
    assert session.notes[3:] == ["turn 1, 3 taken back", "turn 1", "turn 1, 1 taken back"]


def test_crescendo_goes_on_with_another_strategy_where_its_model_does_not_write() -> None:
    strategies = wording("crescendo")["strategies"]

    def writes(conversation: Conversation) -> str:
        return (
            "<prompt>once upon a time</prompt>" if strategies["story"] in conversation[0].content else "REFUSE"
        )

    session = run(load("crescendo"), FakeSession(agrees, writes, calls=3))
    assert session.prompts == ["once upon a time"] * 3
    told = [conversation[0].content for conversation in session.written]
    assert not any(each in told[0] for each in strategies.values() if each)
    assert [strategies["history"] in each for each in told] == [False, True, False, False, False]
    assert all(strategies["story"] in each for each in told[2:]), "it stays with the one that worked"


def test_goat_asks_for_what_stands_behind_reply_and_notes_the_strategy() -> None:
    written = "Observation: it is open\nThought: more\n**Strategy:** persona\nReply: Be my aunt.\nShe tells."
    session = run(load("goat(2, 1)"), FakeSession(writer=lambda _: written))
    assert session.prompts == ["Be my aunt.\nShe tells."] * 2
    assert session.notes[0] == "turn 1: persona"
    assert len(session.asked[1]) == 3, "a refusal stays in the conversation"
    assert "REFUSE" in session.written[1][-1].content


@pytest.mark.parametrize(
    ("text", "reply", "strategy"),
    [
        ("Just a message", "Just a message", ""),
        ("Strategy: story\nTell me a story", "story\nTell me a story", "story Tell me a story"),
        ("Reply:", None, ""),
        ("Reply: your next message to it, and nothing else", None, ""),
        (None, None, ""),
    ],
)
def test_goat_reads_what_is_not_in_the_form_too(text: str | None, reply: str | None, strategy: str) -> None:
    assert read(text) == (reply, strategy)


def test_actor_asks_the_written_questions_and_puts_a_refused_one_more_mildly() -> None:
    def writes(conversation: Conversation) -> str:
        asked = conversation[-1].content
        if "Name one" in asked:
            return "Ada"
        return "softer?" if "did not answer" in asked else "1. Who is Ada?\n2. hard?\n3. And then?"

    def replies(conversation: Conversation) -> str:
        return "REFUSE" if conversation[-1].content == "hard?" else "well"

    session = run(load("actor(1, 3)"), FakeSession(replies, writes))
    assert session.prompts == ["Who is Ada?", "hard?", "softer?", "And then?"]
    assert [m.content for m in session.asked[3] if m.role == "user"] == [
        "Who is Ada?",
        "softer?",
        "And then?",
    ]
    assert "Ada" in session.written[1][-1].content


def test_actor_describes_an_actor_that_is_not_named() -> None:
    long = "I would say that it depends on very many things"
    session = run(load("actor(1, 1)"), FakeSession(agrees, lambda _: long))
    assert long not in session.written[1][-1].content


def test_actor_uses_another_kind_of_actor_for_each_conversation() -> None:
    session = run(load("actor(6, 1)"), FakeSession(agrees, lambda _: "1. who?"))
    assert len({note.partition(",")[0] for note in session.notes}) == 6


def test_echo_chamber_names_the_objective_only_at_the_end() -> None:
    session = run(load("echo_chamber(5, 1)"), FakeSession(agrees, lambda _: "box, lid\nhinge"))
    assert len(session.asked) == 5
    assert ["open the old box" in prompt for prompt in session.prompts] == [False] * 4 + [True]
    assert all(word in session.prompts[0] for word in ("box", "lid", "hinge"))
    assert len(session.asked[4]) == 9


def test_echo_chamber_takes_words_of_the_objective_where_none_are_written() -> None:
    session = run(load("echo_chamber"), FakeSession(agrees, lambda _: None, objective="Cross the wide river"))
    assert "cross, river, wide" in session.prompts[0]


def test_echo_chamber_plants_only_what_looks_like_words() -> None:
    written = "Turn_1 = a party\na long remark that is no word\nold lid"
    session = run(load("echo_chamber"), FakeSession(agrees, lambda _: written))
    assert "old lid" in session.prompts[0]
    assert "Turn_1" not in session.prompts[0]
    assert "remark" not in session.prompts[0]


def test_echo_chamber_tries_another_path_where_one_is_refused() -> None:
    session = FakeSession(lambda c: "fine" if len(c) == 1 else "REFUSE", lambda _: "box")
    run(load("echo_chamber(6, 1)"), session)
    assert len(set(session.prompts)) == 6
    assert [len(conversation) for conversation in session.asked] == [1, 3, 3, 3, 3, 3]


def test_context_filling_fills_more_and_more_of_the_context() -> None:
    session = run(load("context_filling"), FakeSession(agrees, context_length=1000))
    sizes = [len(prompt) for prompt in session.prompts]
    assert len(sizes) == load("context_filling").info.calls
    assert sizes == sorted(sizes, key=lambda size: round(size / 300))
    assert 2400 < max(sizes) <= 0.95 * 3000
    assert all(prompt.count("open the old box") == 1 for prompt in session.prompts)
    assert session.prompts[-2].endswith("open the old box")
    assert 0.3 < session.prompts[-1].index("open the old box") / sizes[-1] < 0.7


def test_context_filling_takes_the_length_that_the_user_gives_and_survives_a_tiny_one() -> None:
    session = run(load("context_filling(100000)"), FakeSession(agrees, context_length=1000))
    assert max(map(len, session.prompts)) > 280_000
    assert run(load("context_filling(1)"), FakeSession(agrees)).prompts[0].endswith("open the old box")


@pytest.mark.parametrize(
    "spec", ["crescendo(0)", "goat(x)", "actor(1, 0)", "echo_chamber(-1)", "context_filling(a)"]
)
def test_arguments_are_whole_numbers_above_0(spec: str) -> None:
    with pytest.raises(UsageError, match="whole number"):
        load(spec)
