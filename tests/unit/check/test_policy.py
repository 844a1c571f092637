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


@pytest.mark.parametrize(("field", "value"), [("hazards", "[Nonsense]"), ("refusal_texts", "{Nonsense: No.}")])
def test_an_unknown_hazard_is_named_with_its_field(tmp_path: Path, field: str, value: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(f"{field}: {value}\n", encoding="utf-8")
    with pytest.raises(BadFileError, match=f"{field}: .*Nonsense"):
        load_policy(file)
