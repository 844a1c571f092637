"""What succeeded in a run is said again to another target."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmless.attacks import Results, load
from harmless.errors import UnknownNameError, UsageError
from harmless.evidence import Store
from tests.doubles import FakeTarget, said
from tests.unit.attacks.sessions import FakeSession, run
from tests.unit.attacks.test_campaign import campaign


@pytest.fixture
def first(tmp_path: Path) -> Results:
    """A run in which two templates reached "open it", and nothing "close it"."""

    def yields(prompt: str) -> bool:
        return "open it" in prompt and (
            prompt.startswith("debug>") or "agree" in prompt or "Thank you" in prompt
        )

    with Store(tmp_path / "evidence.db") as store:
        target = FakeTarget(lambda prompt, _: said("UNSAFE" if yields(prompt) else "REFUSE"))
        specs = ("template(agree_first)", "template(debug_console)")
        return campaign(store, target, specs=specs, objectives=["Open it!", "open it", "close it"])


def test_the_same_conversations_are_held_for_the_same_objective(tmp_path: Path, first: Results) -> None:
    attack = load(f"recorded({first.run}, {tmp_path})")
    assert (attack.info.name, attack.info.calls) == (f"recorded({first.run})", 2)
    session = run(attack, FakeSession(objective="Open  it."))
    assert [[m.role for m in c] for c in session.asked] == [["user", "assistant", "user"], ["user"]]
    assert session.batches == [2]
    assert "open it" in session.prompts[1]
    assert run(attack, FakeSession(objective="close it")).asked == []


def test_the_workspace_is_that_of_the_command_where_none_is_named(
    tmp_path: Path, first: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARMLESS_WORKSPACE", str(tmp_path))
    assert load(f"recorded({first.run[:6]})").info.name == f"recorded({first.run})"


def test_wrong_use_is_told(tmp_path: Path, first: Results) -> None:
    with pytest.raises(UnknownNameError):
        load(f"recorded(nothing, {tmp_path})")
    with pytest.raises(UsageError, match="by its id"):
        load(f"recorded(latest, {tmp_path})")
    with pytest.raises(UsageError, match="no evidence"):
        load(f"recorded({first.run}, {tmp_path / 'elsewhere'})")
    with Store(tmp_path / "evidence.db") as store:
        none = campaign(store, FakeTarget(lambda *_: said("REFUSE")), specs=("direct",)).run
    with pytest.raises(UsageError, match="Nothing succeeded"):
        load(f"recorded({none}, {tmp_path})")
