"""``harmless make``: which targets are also aligned, and what is said where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmless.cli import make
from harmless.core import Target
from tests.doubles import FakeTarget, said


def load(spec: str) -> Target:
    return FakeTarget(lambda prompt, sampling: said("x"), name=spec)


def chosen(target: str, method: str | None) -> tuple[str, str, str] | None:
    """Return the model to train, the method and the folder, None if nothing is trained."""
    found = make._aligning(target, method, Path("out"), load, quiet=True)
    return found and (found.spec, found.method, found.folder.as_posix())


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    packages = {"torch", "transformers", "peft"}
    monkeypatch.setattr(make, "find_spec", lambda name: name if name in packages else None)
    return packages


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("target", "method", "wanted"),
    [
        ("embedded", None, ("embedded", "simpo", "out/aligned-simpo")),
        ("embedded:mine.gguf", "sft", ("embedded:mine.gguf", "sft", "out/aligned-sft")),
        ("embedded", "none", None),
        ("hf:folder", None, None),  # it may be large: only where the user asks for it
        ("hf:folder", "dpo", ("hf:folder", "dpo", "out/aligned-dpo")),
        ("openai:gpt-4o-mini", None, None),
    ],
)
def test_the_embedded_model_is_aligned_and_others_where_it_is_asked_for(
    target: str, method: str | None, wanted: tuple[str, str, str] | None
) -> None:
    assert chosen(target, method) == wanted


@pytest.mark.parametrize(("target", "told"), [("embedded", True), ("openai:gpt-4o-mini", False)])
def test_without_torch_it_says_what_would_be_gained(
    installed: set[str], capsys: pytest.CaptureFixture[str], target: str, told: bool
) -> None:
    installed.remove("peft")
    assert chosen(target, None) is None
    assert ("Not aligned: with the extra 'align'" in capsys.readouterr().err) is told
