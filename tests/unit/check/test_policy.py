"""Policies from files, and the default one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmless.align import refusals
from harmless.check import load_policy
from harmless.errors import BadFileError


@pytest.mark.parametrize("hazard", ["salad.c.O6", "salad.c.O55", "salad.c.O62"])
def test_who_may_be_in_danger_gets_help_by_default(hazard: str) -> None:
    assert refusals.at_risk(hazard)
    assert refusals.quality(load_policy().refusal_texts[hazard]).help


def test_hazards_may_be_written_by_name(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("hazards: [Theft]\nrefusal_texts: {Self-Harm: Call a friend.}\n", encoding="utf-8")
    policy = load_policy(file)
    assert policy.refusal_texts == {"salad.c.O62": "Call a friend."}
    assert policy.hazards[0].startswith("salad.c.")


@pytest.mark.parametrize("name", ["embeded", "embeded(x)"])
def test_an_unknown_guard_is_named_with_the_nearest(tmp_path: Path, name: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(f"guards: {{{name}: {{threshold: 0.3}}}}\n", encoding="utf-8")
    with pytest.raises(BadFileError, match=r"guards: Unknown guard 'embeded'\. Did you mean embedded"):
        load_policy(file)


def test_guards_are_named_with_their_arguments_and_those_of_other_packages_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harmless import guards

    known = [*guards.names(), "theirs"]
    monkeypatch.setattr(guards, "names", lambda: known)
    file = tmp_path / "p.yaml"
    names = ("rules(secrets)", "any(encoder, embedded)", "llm_judge(openai:x, harm)", "theirs")
    file.write_text("guards:\n" + "".join(f"  '{name}': {{threshold: 0.3}}\n" for name in names))
    assert tuple(load_policy(file).guards) == names


def test_a_control_character_makes_a_bad_file(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("name: a\x07b\n", encoding="utf-8")
    with pytest.raises(BadFileError, match="Not YAML"):
        load_policy(file)


@pytest.mark.parametrize(("field", "value"), [("hazards", "[Nonsense]"), ("refusal_texts", "{Nonsense: No.}")])
def test_an_unknown_hazard_is_named_with_its_field(tmp_path: Path, field: str, value: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(f"{field}: {value}\n", encoding="utf-8")
    with pytest.raises(BadFileError, match=f"{field}: .*Nonsense"):
        load_policy(file)
