"""Finding a target by its spec."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from harmless.core import Target, TargetInfo
from harmless.errors import BadFileError, MissingExtraError, UnknownNameError, UsageError
from harmless.targets import TargetOptions, describe, load, registry
from tests.doubles import FakeGuard


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text("- reply: Hello.\n")
    return path


def test_every_kind_of_the_registry_can_be_imported() -> None:
    kinds = describe()
    assert [kind.name for kind in kinds][:8] == [
        "embedded", "openai", "anthropic", "hf", "guarded", "defended", "steered", "scripted"
    ]  # fmt: skip
    for kind in kinds:
        module, _, function = kind.make.partition(":")
        assert callable(getattr(import_module(module), function))
        assert kind.summary
        assert kind.name in kind.form


def test_heavy_packages_are_not_imported_with_the_layer() -> None:
    code = (
        "import sys, harmless.targets, harmless.targets.embedded, harmless.targets.openai, harmless.targets.hf;"
        "print(sorted({'openai', 'anthropic', 'xllamacpp', 'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_an_unknown_kind_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Unknown target 'opnai'") as caught:
        load("opnai:gpt")
    assert "openai" in caught.value.next_step


def test_a_model_name_may_have_colons(monkeypatch: pytest.MonkeyPatch) -> None:
    target = load("openai:llama3.2:1b", TargetOptions(base_url="http://127.0.0.1:9/v1", concurrency=5))
    assert target.info.name == "openai:llama3.2:1b"
    assert (target.info.batch_size, target.info.concurrency) == (1, 5)


def test_the_revision_of_an_endpoint_tells_addresses_apart() -> None:
    one, other = (load("openai:m", TargetOptions(base_url=f"http://h{i}/v1")).info for i in range(2))
    assert one.name == other.name
    assert one.identity != other.identity


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("openai:", {"base_url": "http://h"}, "names no model"),
        ("anthropic:", {"base_url": "http://h"}, "names no model"),
        ("hf:", {}, "names no model"),
        ("openai:m", {}, "OPENAI_API_KEY holds no key"),
        ("anthropic:m", {}, "ANTHROPIC_API_KEY holds no key"),
        ("openai:m", {"base_url": "http://h", "api_key_env": "MY_KEY"}, "MY_KEY holds no key"),
        ("openai:m", {"base_url": "localhost:8000"}, "not the address of an endpoint"),
        ("guarded:", {}, "names no guard or no target"),
        ("guarded:rules", {}, "names no guard or no target"),
        ("guarded::embedded", {}, "names no guard or no target"),
    ],
)
def test_what_is_missing_is_named(spec: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load(spec, TargetOptions(**options))
    assert caught.value.next_step


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"harmless\[hf\]"):
        load("hf:some/model")


def test_the_guard_of_a_guarded_spec_may_hold_colons_in_its_brackets(script: Path) -> None:
    asked: list[str] = []

    def guards(spec: str) -> FakeGuard:
        asked.append(spec)
        return FakeGuard("harm")

    target = load(f"guarded:rules(a:b, c(d:e)):scripted:{script}", guards=guards)
    assert asked == ["rules(a:b, c(d:e))"]
    assert target.info.name == "guarded:harm:scripted:rules.yaml"


def test_guards_may_be_nested(script: Path) -> None:
    target = load(f"guarded:one:guarded:two:scripted:{script}", guards=lambda name: FakeGuard(name))
    assert target.info.name == "guarded:one:guarded:two:scripted:rules.yaml"


def test_without_a_loader_of_guards_a_guarded_target_says_so(script: Path) -> None:
    with pytest.raises(UsageError, match="needs guards"):
        load(f"guarded:rules:scripted:{script}")


def test_another_package_can_bring_a_kind(monkeypatch: pytest.MonkeyPatch, script: Path) -> None:
    class Point:
        name, value = "mine", "harmless.targets.scripted:scripted"

    class Ours(Point):
        name, value = "openai", "nowhere:nothing"

    registry._kinds.cache_clear()
    monkeypatch.setattr(registry, "entry_points", lambda group: [Point, Ours])
    try:
        assert load(f"mine:{script}").info.name == "scripted:rules.yaml"
        with pytest.raises(UsageError, match="names no model"):
            load("openai:")
    finally:
        registry._kinds.cache_clear()


def test_a_kind_that_cannot_be_imported_is_an_error_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = registry.TargetKind(name="broken", make="harmless.nowhere:make")
    monkeypatch.setattr(registry, "_kinds", lambda: {"broken": broken})
    with pytest.raises(UsageError, match="'broken' cannot be imported"):
        load("broken:x")


def test_a_target_keeps_to_the_protocol(script: Path) -> None:
    target = load(f"scripted:{script}")
    assert isinstance(target, Target)
    assert isinstance(target.info, TargetInfo)


def test_the_embedded_target_wants_a_gguf_file(tmp_path: Path) -> None:
    other = tmp_path / "model.gguf"
    with pytest.raises(BadFileError, match="cannot be read: No such file"):
        load(f"embedded:{other}")
    other.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(BadFileError, match="not a GGUF file"):
        load(f"embedded:{other}")
    with pytest.raises(BadFileError, match="no adapter"):
        load(f"embedded:{tmp_path}")
