"""What gcg is told in a spec, with and without torch on the machine."""

from __future__ import annotations

import importlib.util

import pytest

from harmless.attacks import load
from harmless.errors import MissingExtraError, UsageError


def there(monkeypatch: pytest.MonkeyPatch, torch: bool) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if torch else None)


def test_without_torch_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, torch=False)
    with pytest.raises(MissingExtraError, match=r"harmless\[hf\]"):
        load("gcg")


def test_its_arguments_are_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, torch=True)
    info = load("gcg(hf:folder, steps=40, momentum=0.4)").info
    assert (info.name, info.calls) == ("gcg(hf:folder, steps=40, momentum=0.4)", 4)
    assert info.source == "Zou et al. 2023; Zhang and Wei 2024"
    assert (load("gcg").info.name, load("gcg").info.calls) == ("gcg", 10)
    assert load("gcg(steps=3)").info.calls == 1


@pytest.mark.parametrize(
    "spec", ["gcg(a, b)", "gcg(speed=3)", "gcg(momentum=1)", "gcg(width=none)", "gcg(steps=0)"]
)
def test_what_is_not_known_or_out_of_range_is_told(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, torch=True)
    with pytest.raises(UsageError):
        load(spec)
