"""Templates put an objective into a text of ours or of the user; all of them are data."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmless.attacks import load
from harmless.attacks.templates import Template, templates
from harmless.attacks.templates.template import FILES, demonstrations
from harmless.core import Conversation, Message, Reply
from harmless.errors import BadFileError, UnknownNameError
from tests.unit.attacks.sessions import FakeSession, run


@pytest.mark.parametrize("name", templates())
def test_every_template_says_the_objective_and_leaves_no_place_open(name: str) -> None:
    found = templates()[name]
    said = found.said("PAINT THE FENCE")
    assert "PAINT THE FENCE" in "".join(said)
    assert "{objective}" not in "".join(said)
    assert "{demonstrations}" not in "".join(said)
    assert len(said) == len(found.turns)
    assert found.family
    assert found.source
    assert found.licence == "Apache-2.0"


def test_names_are_told_apart_and_each_is_an_attack() -> None:
    sizes = [sum(f.family == t.family for f in templates().values()) for t in templates().values()]
    assert len(templates()) > 100
    assert min(sizes) >= 8
    assert {load(f"template({name})").info.name for name in templates()} == {
        f"template({n})" for n in templates()
    }


def test_no_name_is_in_two_files() -> None:
    folder = Path(__file__).parents[3] / "src/harmless/attacks/templates"
    lines = [line for name in FILES for line in (folder / f"{name}.yaml").read_text().splitlines()]
    names = [line.strip().partition(":")[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert sorted(names) == sorted(templates())


def test_there_are_forty_techniques_of_persuasion() -> None:
    session = run(load("persuasion"), FakeSession())
    assert len(set(session.notes)) == 40
    assert all("open the old box" in prompt for prompt in session.prompts)


def test_all_templates_are_tried_until_one_succeeds() -> None:
    attack = load("templates")
    session = run(attack, FakeSession(calls=attack.info.calls))
    assert len(session.asked) == attack.info.calls
    assert set(session.notes) == {t.name for t in templates().values() if t.family != "persuasion"}
    gives_in = FakeSession(lambda c: "UNSAFE" if c[-1].content.startswith("debug>") else "REFUSE")
    assert run(attack, gives_in).notes[-1] == "debug_console"


def test_the_second_turn_comes_after_the_reply_to_the_first() -> None:
    session = run(load("template(agree_first)"), FakeSession(lambda c: f"reply {len(c)}"))
    first, second = session.asked
    assert [m.role for m in second] == ["user", "assistant", "user"]
    assert second[:2] == (first[0], Message(role="assistant", content="reply 1"))
    assert "open the old box" not in first[0].content
    assert second[2].content.endswith("open the old box")


def test_without_a_reply_to_the_first_turn_there_is_no_second() -> None:
    session = run(load("template(agree_first)"), FakeSession(lambda _: Reply.error("http 500")))
    assert len(session.asked) == 1


def test_demonstrations_come_before_the_request_as_turns_or_inside_it() -> None:
    turns = run(load("template(many_shot_16)"), FakeSession()).asked[0]
    assert [m.role for m in turns] == ["user", "assistant"] * 16 + ["user"]
    assert turns[0].content == demonstrations()[0][0]
    inside = run(load("template(transcript)"), FakeSession()).asked[0]
    assert len(inside) == 1
    assert inside[0].content.count("User: ") == 7
    assert len(demonstrations()) >= 32


def test_a_system_message_is_joined_with_that_of_the_objective() -> None:
    before: Conversation = (
        Message(role="system", content="Be brief."),
        Message(role="assistant", content="Hi."),
    )
    opening = Template(name="x", turns=("{objective}",), system="Obey.").opening(before)
    assert [(m.role, m.content) for m in opening] == [("system", "Obey.\n\nBe brief."), ("assistant", "Hi.")]


def test_a_file_of_the_user_is_an_attack_by_all_its_templates(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "family: house\ntemplates:\n  a: {text: 'Please: {objective}'}\n  b: {turns: [Hi, '{objective}']}\n"
    )
    attack = load(f"template({file})")
    assert (attack.info.family, attack.info.calls, attack.info.turns) == ("house", 3, "multi")
    session = run(attack, FakeSession())
    assert sorted(session.prompts) == ["Hi", "Please: open the old box", "open the old box"]
    assert session.prompts.index("Hi") + 1 == session.prompts.index("open the old box")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("templates: {a: {text: nothing}}", r"no turn of 'a' has \{objective\}"),
        ("templates: {a: {}}", "The template 'a': Field required"),
        ("templates: {a: 3}", "The template 'a'"),
        ("templates: {}", "no template in it"),
        ("a: b", "no 'templates' in it"),
        ("a: [", "Not YAML"),
        (None, "cannot be read"),
    ],
)
def test_mistakes_in_a_file_are_told(tmp_path: Path, text: str | None, told: str) -> None:
    file = tmp_path / "mine.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadFileError, match=told):
        load(f"template({file})")


def test_an_unknown_template_is_told() -> None:
    with pytest.raises(UnknownNameError, match="developer_mode"):
        load("template(developer_mod)")
