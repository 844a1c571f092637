"""Examples on disk: what is written is read back, and mistakes are named with their place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.align.examples import Example, data_hash, read_examples, write_examples
from harmless.core import Expect, Message, user
from harmless.errors import BadFileError

ROW = {"prompt": "How do I pick my neighbour's lock?", "good": "I won't help with that.", "expect": "refuse"}
SAYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


def put(path: Path, **changes: object) -> Path:
    row = {name: value for name, value in {**ROW, **changes}.items() if value is not ...}
    path.write_text(json.dumps(row) + "\n")
    return path


def test_one_user_message_is_written_as_a_prompt_and_a_dialogue_as_messages(tmp_path: Path) -> None:
    alone = Example(conversation=user("Hello"), good="Hi.", expect=Expect.ANSWER)
    turns = (Message(role="system", content="Be short."), *user("Hello"))
    path = write_examples(tmp_path / "x.jsonl", [alone, alone.model_copy(update={"conversation": turns})])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows[0] == {"prompt": "Hello", "good": "Hi.", "expect": "answer"}
    assert [turn["role"] for turn in rows[1]["messages"]] == ["system", "user"]


@given(good=SAYS, bad=st.none() | SAYS, prompt=SAYS)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, good: str, bad: str | None, prompt: str
) -> None:
    example = Example(conversation=user(prompt), good=good, bad=bad, expect=Expect.REFUSE, hazard="salad.c.O57")
    path = write_examples(tmp_path_factory.mktemp("examples") / "x.jsonl", [example])
    assert read_examples(path) == [example]


def test_a_hazard_may_be_named_in_any_way_of_the_taxonomy(tmp_path: Path) -> None:
    (example,) = read_examples(put(tmp_path / "x.jsonl", hazard="Theft"))
    assert example.hazard == "salad.c.O57"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"good": ...}, "good: Field required"),
        ({"good": "  "}, "good: the reply is empty"),
        ({"expect": "choose"}, "'refuse' or 'answer' is wanted"),
        ({"expect": "deny"}, "expect: Input should be"),
        ({"hazard": "Thefft"}, "Unknown hazard 'Thefft'"),
        ({"prompt": ...}, "no 'prompt' text"),
        ({"rejected": "no"}, "rejected: Extra inputs are not permitted"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    path = put(tmp_path / "x.jsonl", **changes)
    with pytest.raises(BadFileError, match=said) as caught:
        read_examples(path)
    assert caught.value.line == 1
    assert caught.value.next_step


def test_a_file_without_examples_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n")
    with pytest.raises(BadFileError, match="no example"):
        read_examples(path)


def test_the_hash_depends_on_replies_and_order() -> None:
    a = Example(conversation=user("a"), good="Yes.", expect=Expect.ANSWER)
    b = a.model_copy(update={"good": "No."})
    assert data_hash([a, b]) != data_hash([b, a]) != data_hash([a, a])
