"""Guards are found by name, ours and third parties'."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from harmless.core import Policy
from harmless.core.policy import GradeBand
from harmless.errors import MissingExtraError, UnknownNameError, UsageError
from harmless.guards import describe, load, names, registry
from harmless.guards.registry import GuardEntry, parse

POLICY = Policy(grades=(GradeBand(grade="A", max_rate=1),))


@pytest.fixture
def with_entries(monkeypatch: pytest.MonkeyPatch):
    """Register guards of a module that exists only in this test."""
    module = ModuleType("guards_of_a_stranger")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def register(**makers):
        for name, make in makers.items():
            setattr(module, name, make)
        points = [EntryPoint(name, f"{module.__name__}:{name}", registry.GROUP) for name in makers]
        monkeypatch.setattr(registry, "entry_points", lambda group: points)
        registry._entries.cache_clear()

    yield register
    registry._entries.cache_clear()


def test_our_guards_are_known_and_described_without_being_imported():
    assert {"rules", "embedded", "refusal", "judge"} <= set(names())
    described = {entry.name: entry for entry in describe()}
    assert list(described) == names()
    assert all(described[name].summary for name in ("rules", "embedded", "refusal", "judge"))


def test_an_unknown_guard_suggests_the_nearest_names():
    with pytest.raises(UnknownNameError, match=r"Unknown guard 'ruels'. Did you mean rules"):
        load("ruels")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("rules", ("rules", ())),
        (" rules ( my file.yaml ) ", ("rules", ("my file.yaml",))),
        ("any(rules(a.yaml, b.yaml), judge)", ("any", ("rules(a.yaml, b.yaml)", "judge"))),
        ("rules()", ("rules", ())),
    ],
)
def test_a_spec_is_a_name_with_arguments_in_brackets(spec, expected):
    assert parse(spec) == expected


@pytest.mark.parametrize("spec", ["rules(", "rules(a))", "(a)", "rules(a)b", "rules((a)"])
def test_brackets_that_do_not_match_are_a_usage_error(spec):
    with pytest.raises(UsageError, match="Guard"):
        load(spec)


def test_an_entry_point_of_another_package_is_a_guard(with_entries):
    with_entries(theirs=lambda *words: ("theirs", words))
    assert "theirs" in names()
    assert load("theirs(a, b)") == ("theirs", ("a", "b"))


def test_the_policy_reaches_only_guards_that_take_one(with_entries):
    with_entries(plain=lambda: "plain", strict=lambda policy=None: policy)
    assert load("plain", POLICY) == "plain"
    assert load("strict", POLICY) is POLICY


def test_an_installed_package_cannot_replace_one_of_our_guards(with_entries):
    with_entries(rules=lambda: "impostor")
    assert next(entry for entry in describe() if entry.name == "rules").origin == "harmless"


def test_arguments_that_a_guard_does_not_take_are_a_usage_error(with_entries):
    with_entries(plain=lambda: "plain")
    with pytest.raises(UsageError, match="too many positional arguments"):
        load("plain(a)")


def test_a_guard_without_its_extra_names_the_extra(monkeypatch):
    entry = GuardEntry(name="heavy", make="a_module_that_is_missing:make", extra="hf")
    monkeypatch.setattr(registry, "_entries", lambda: {"heavy": entry})
    with pytest.raises(MissingExtraError, match=r"harmless\[hf\]"):
        load("heavy")


def test_a_broken_package_is_named_in_one_clear_error(monkeypatch):
    entry = GuardEntry(name="broken", make="json:no_such_function", origin="strangers-guards")
    monkeypatch.setattr(registry, "_entries", lambda: {"broken": entry})
    with pytest.raises(UsageError, match="of strangers-guards cannot be imported"):
        load("broken")
