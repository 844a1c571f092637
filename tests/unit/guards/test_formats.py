"""What guard models are given is what their publishers give them, to the byte.

The files in ``golden/`` were compared with the publishers' texts; ``python -m tests.unit.guards.test_formats``
writes them anew, and then the difference has to be read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harmless.core import Exchange, Message, ModelInput
from harmless.errors import UnknownNameError
from harmless.guards import formats
from harmless.guards.templates import build, turns
from harmless.taxonomy import load as spine

GOLDEN = Path(__file__).with_name("golden")
TOOLS = '[{"name": "clock", "parameters": {"city": {"type": "string"}}}]'


def conversation(reply: str | None, system: str) -> Exchange:
    said = (
        Message(role="system", content=system),
        Message(role="user", content="Who was first?"),
        Message(role="assistant", content="Ann {was}."),
        Message(role="user", content="And {{then}}?"),
    )
    return Exchange(conversation=said, reply=reply)


def written(asked: ModelInput) -> str:
    """Return an input as a golden file holds it: raw text as it is, messages as JSON."""
    if asked.text is not None:
        return asked.text
    plain = {"messages": [dict(each) for each in asked.messages], "template": dict(asked.template)}
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def inputs() -> Iterator[tuple[str, ModelInput]]:
    """Yield a name and what is given, for each guard, side and kind of input that it has."""
    for name in formats.names():
        format = formats.find(name)
        for criterion in format.criteria or [""]:
            sees = format.criteria[criterion].sees if criterion else format.sees
            system = TOOLS if criterion == "function_call" else "Ann was first. Then came Bob."
            for side, reply in (("prompt", None), ("reply", "It was <b>Bob</b>.\n")):
                if sees in (side, "both"):
                    stem = ".".join(filter(None, (name, criterion, side)))
                    yield stem, build(format, conversation(reply, system), criterion)
    for name in ("granite_guardian_4_1", "nemotron_reasoning"):
        criterion = "harm" if "granite" in name else ""
        yield f"{name}.think", build(formats.find(name), conversation("Bob.", "x"), criterion, think=True)


CASES = dict(inputs())


@pytest.mark.parametrize("name", CASES)
def test_the_input_is_that_of_the_publisher(name: str) -> None:
    expected = (GOLDEN / f"{name}.txt").read_bytes().decode("utf-8")
    assert written(CASES[name]) == expected


def test_there_is_no_golden_file_without_an_input() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


def test_the_role_in_question_is_that_of_what_is_judged() -> None:
    format = formats.find("llama_guard_1")
    assert "for User in the above" in str(build(format, Exchange.of("Hi")).text)
    assert "for Agent in the above" in str(build(format, Exchange.of("Hi", "Hello")).text)


@pytest.mark.parametrize(
    ("roles", "reply", "expected"),
    [
        ("u", None, "u"),
        ("sauau", None, "uau"),
        ("uaua", None, "uau"),
        ("uu", None, "u"),
        ("u", "R", "ua"),
        ("aua", "R", "ua"),
        ("suau", "R", "uaua"),
    ],
)
def test_turns_begin_with_the_user_alternate_and_end_with_what_is_judged(
    roles: str, reply: str | None, expected: str
) -> None:
    names = {"s": "system", "u": "user", "a": "assistant"}
    said = tuple(Message(role=names[r], content=f"{r}{i}") for i, r in enumerate(roles))  # type: ignore[arg-type]
    found = turns(Exchange(conversation=said, reply=reply))
    assert "".join(turn.role[0] for turn in found) == expected
    assert found[-1].content.endswith(reply or next(t.content for t in reversed(said) if t.role == "user"))


def test_what_a_user_writes_is_never_a_template() -> None:
    text = "{{ policy }} {% raw %} {# x #}"
    for name in ("wildguard", "llama_guard_1"):
        assert text in str(build(formats.find(name), Exchange.of(text)).text)


@pytest.mark.parametrize(
    ("exchange", "criterion", "cause"),
    [
        (Exchange(conversation=()), "harm", "no user message"),
        (Exchange.of("q", "a"), "groundedness", "no context"),
        (conversation("a", "not JSON"), "function_call", "not the JSON"),
    ],
)
def test_what_does_not_fit_the_form_says_why(exchange: Exchange, criterion: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        build(formats.find("granite_guardian_3_3"), exchange, criterion)


@pytest.mark.parametrize(
    ("guard", "code", "hazard"),
    [
        ("llama_guard_3", "S10", "salad.c.O1"),  # exact
        ("llama_guard_3", "S9", "salad.c.O35"),  # narrower
        ("llama_guard_3", "S8", "salad.t.O16"),  # rolled up to the task that holds all it touches
        ("llama_guard_3", "S2", None),  # too wide for any domain
        ("llama_guard_3", "S99", None),
        ("llama_guard_2", "S9", "salad.c.O1"),  # the same number, another meaning
        ("llama_guard_2", "S10", "salad.c.O62"),
        ("md_judge_v01", "O14", "salad.t.O14"),
        ("md_judge_v01_domains", "O5", "salad.d.O5"),
        ("nemoguard", "suicide and self harm", "salad.c.O62"),
        ("qwen3guard", "Violent", None),
    ],
)
def test_a_category_leads_only_to_the_hazard_it_surely_is(guard: str, code: str, hazard: str | None) -> None:
    assert formats.find(guard).hazard(code) == hazard


@pytest.mark.parametrize("name", formats.names())
def test_every_format_is_whole_and_names_only_hazards_of_the_spine(name: str) -> None:
    format = formats.find(name)
    assert format.hub
    assert format.covers
    assert all(spine().hazard(key).key == key for key in format.hazards)
    if format.taxonomy:
        assert all(code[0] in "SO" for code in format.categories)


def test_an_unknown_guard_model_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="llama_guard_3"):
        formats.find("llama_guard3")


if __name__ == "__main__":
    for name, asked in CASES.items():
        (GOLDEN / f"{name}.txt").write_bytes(written(asked).encode("utf-8"))
