"""A model with vectors in its hidden states is a target of its own."""

from __future__ import annotations

from pathlib import Path

import anyio
import numpy as np
import pytest

from harmless.core import Sampling, user
from harmless.errors import BadFileError, UsageError
from harmless.targets import load
from tests.tiny import saved

pytestmark = pytest.mark.hf
pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("transformers", reason="needs transformers (extra hf)")

from harmless.internals.steering import Steering  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("tiny"))


def steering(place: Path, vectors: dict[int, np.ndarray]) -> Path:
    Steering(vectors).save(place / "steering.npz")
    return place


def reply(spec: str) -> str:
    async def ask() -> str:
        target = load(spec)
        answer = await target.reply([user("hi")], Sampling(max_tokens=8))
        await target.aclose()
        return answer[0].text

    return anyio.run(ask)


def test_zero_changes_nothing_and_a_vector_changes_the_reply(folder: Path, tmp_path: Path) -> None:
    none = steering(tmp_path / "none", {1: np.zeros(32, np.float32)})
    much = steering(tmp_path / "much", {2: np.linspace(-900, 900, 32).astype(np.float32)})
    plain = reply(f"hf:{folder}")
    assert reply(f"steered:{none}:hf:{folder}") == plain
    assert reply(f"steered:{much}:hf:{folder}") != plain


def test_name_and_revision_tell_what_is_added(folder: Path, tmp_path: Path) -> None:
    one = steering(tmp_path / "one", {1: np.ones(32, np.float32)})
    two = steering(tmp_path / "two", {2: np.ones(32, np.float32)})
    infos = [load(spec).info for spec in (f"hf:{folder}", f"steered:{one}:{folder}", f"steered:{two}:{folder}")]
    assert infos[1].name == f"steered:one:{folder.name}"
    assert len({info.revision for info in infos}) == 3


def test_what_does_not_fit_is_said(folder: Path, tmp_path: Path) -> None:
    deep = steering(tmp_path / "deep", {9: np.ones(32, np.float32)})
    with pytest.raises(BadFileError, match="layer 9"):
        load(f"steered:{deep}:{folder}")
    (tmp_path / "steering.npz").write_bytes(b"no")
    with pytest.raises(BadFileError, match="no steering"):
        load(f"steered:{tmp_path}:{folder}")
    with pytest.raises(UsageError, match="not whole"):
        load(f"steered:{tmp_path}")
