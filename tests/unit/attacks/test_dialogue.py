"""A dialogue keeps what the target answered, forgets what it refused, and fits the target's context."""

from __future__ import annotations

import anyio
from hypothesis import given
from hypothesis import strategies as st

from harmless.attacks.dialogue import CHARACTERS_A_TOKEN, Dialogue, items
from harmless.core import Conversation, Message, Reply
from tests.unit.attacks.sessions import FakeSession


def lead(session: FakeSession, *texts: str, keep_refused: bool = False) -> Dialogue:
    dialogue = Dialogue(session)

    async def say() -> None:
        for text in texts:
            await dialogue.say(text, keep_refused=keep_refused)

    anyio.run(say)
    return dialogue


def echo(conversation: Conversation) -> str | Reply:
    text = conversation[-1].content
    return Reply.error("http 500") if text == "fail" else text


def texts(conversation: Conversation) -> list[str]:
    return [f"{message.role}: {message.content}" for message in conversation]


def test_the_assistants_turns_are_the_targets_replies() -> None:
    session = FakeSession(lambda conversation: f"reply to {conversation[-1].content}")
    lead(session, "a", "b")
    assert texts(session.asked[1]) == ["user: a", "assistant: reply to a", "user: b"]


def test_what_is_refused_or_fails_is_forgotten() -> None:
    session = FakeSession(echo)
    dialogue = lead(session, "a", "REFUSE", "fail", "b")
    assert texts(dialogue.turns) == ["user: a", "assistant: a", "user: b", "assistant: b"]
    assert [len(conversation) for conversation in session.asked] == [1, 3, 3, 3]


def test_refusals_may_be_kept_but_failures_are_not() -> None:
    dialogue = lead(FakeSession(echo), "REFUSE", "fail", keep_refused=True)
    assert texts(dialogue.turns) == ["user: REFUSE", "assistant: REFUSE"]


def test_what_comes_before_the_objectives_last_message_begins_every_conversation() -> None:
    session = FakeSession(echo)
    system = Message(role="system", content="rules")
    session.objective = session.objective.model_copy(
        update={"conversation": (system, *session.objective.conversation)}
    )
    lead(session, "a", "b")
    assert all(conversation[0] == system for conversation in session.asked)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(1, 60))
def test_the_oldest_turns_are_left_out_where_the_context_is_full(lengths: list[int], context: int) -> None:
    session = FakeSession(lambda _: "r" * 10, context_length=context)
    said = [chr(97 + i) * length for i, length in enumerate(lengths)]
    lead(session, *said)
    for number, conversation in enumerate(session.asked):
        assert conversation[-1].content == said[number]
        assert [m.content for m in conversation[::2]] == said[number + 1 - len(conversation[::2]) : number + 1]
        size = sum(len(message.content) for message in conversation)
        assert size <= context * CHARACTERS_A_TOKEN or len(conversation) == 1


def test_items_are_those_of_a_list_or_else_lines() -> None:
    assert items("Sure:\n1. One\n2) **Two**\n- Three", 5) == ["One", "Two", "Three"]
    assert items("Here they are:\nOne\n\nTwo\nOne", 5) == ["One", "Two"]
    assert items("1. One\n2. Two", 1) == ["One"]
    assert items(None, 3) == []
